"""Our magics keep the text behind them, whatever it looks like.

IPython reads `%magic why?` as a call for help, takes `>>>` and common indentation out of cells, and strips blanks. This
transformer comes before all of that and turns our magics into calls with their text as it was written.
Strings that only contain such a line, and the bodies of other cell magics, are left alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from IPython.core.inputtransformer2 import (
    EscapedCommand,
    MagicAssign,
    SystemAssign,
    TokenTransformBase,
    assemble_continued_line,
    find_end_of_continued_line,
    leading_empty_lines,
    make_tokens_by_line,
)

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["KeepPrompts"]


class KeepPrompts:
    """A transformer of lists of lines, as `input_transformers_cleanup` takes them."""

    # Whether input is complete is asked of it before it is transformed: a cell magic ends with a blank line there.
    has_side_effects = True

    def __init__(self, line_magics: Collection[str], cell_magics: Collection[str]) -> None:
        names = "|".join(sorted(line_magics, key=len, reverse=True))
        cells = "|".join(sorted(cell_magics, key=len, reverse=True))
        # `%sekha_chat?` and `%%sekha_chat?` stay what they are: a call for help.
        self._cell = re.compile(rf"(?P<indent>[ \t]*)%%(?P<name>{cells})(?=\s|$)(?P<line>.*)", re.DOTALL)
        self._line = re.compile(rf"%(?P<name>{names})(?=\s|$)\s?(?P<line>.*)", re.DOTALL)
        # `%time %sekha_chat why?`: the outer magic transforms its text again.
        self._inside = re.compile(rf"%(?P<name>\w+)\s+(?P<line>.*?%{{1,2}}(?:{names})(?=\s|$).*)", re.DOTALL)
        self._mentioned = re.compile(rf"%(?:{names})(?=\s|$)")

    def __call__(self, lines: list[str]) -> list[str]:
        if not any(self._mentioned.search(line) for line in lines):
            return lines
        body = leading_empty_lines(lines)
        if own := self._cell.match(body[0]):
            return [_cell_call(own, body[1:])]
        if body[0].lstrip().startswith("%%"):
            return lines
        return self._line_magics(lines)

    def _line_magics(self, lines: list[str]) -> list[str]:
        # Text behind other magics is no Python and would mislead the tokenizer, so each one found is blanked out in
        # a copy of the lines before the next is looked for.
        shadow = list(lines)
        result: list[str | None] = list(lines)
        while (found := _first_command(shadow)) is not None:
            start, column = found.start_line, found.start_col
            end = min(find_end_of_continued_line(shadow, start), len(lines) - 1)
            text = _written(lines, start, column, end)
            own = self._line.match(text) or self._inside.match(text)
            if own:
                call = f"get_ipython().run_line_magic({own['name']!r}, {own['line']!r})\n"
                result[start : end + 1] = [lines[start][:column] + call, *[None] * (end - start)]
            shadow[start : end + 1] = [lines[start][:column] + "0\n", *["\n"] * (end - start)]
        return [line for line in result if line is not None]


def _cell_call(own: re.Match[str], body: list[str]) -> str:
    indent = own["indent"]
    text = "".join(line.removeprefix(indent) for line in body)
    if not text:
        # IPython refuses a cell without a body; help, and a prompt written behind the magic, need none.
        return f"get_ipython().run_line_magic({own['name']!r}, {own['line'].strip()!r})\n"
    return f"get_ipython().run_cell_magic({own['name']!r}, {own['line'].strip()!r}, {text!r})\n"


def _first_command(lines: list[str]) -> TokenTransformBase | None:
    tokens = make_tokens_by_line(lines)
    found = [at for at in (kind.find(tokens) for kind in (MagicAssign, SystemAssign, EscapedCommand)) if at is not None]
    return min(found, key=lambda at: (at.start_line, at.start_col), default=None)


def _written(lines: list[str], start: int, column: int, end: int) -> str:
    """The text of a command without its line end; one that goes on behind a backslash is joined as IPython joins it."""
    if end == start:
        return lines[start][column:].rstrip("\r\n")
    joined: str = assemble_continued_line(lines, (start, column), end)
    return joined
