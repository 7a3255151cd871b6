"""One small table for everything that is not an answer: costs, models, health, keys, candidates.

Every cell is taken for hostile: model names and error messages come from other people's servers. As HTML it takes its
look from the front end, so that it reads in light, dark and high contrast; as text its columns line up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from .drawing import Drawing
from .text import one_line, to_html_text

__all__ = ["QUIET", "Table"]

# Not a colour: a share of the theme's own, so that it reads on any background.
QUIET = "opacity:0.75;font-size:90%"
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Table:
    """Columns and rows of any values, shown by `str`: None as nothing, booleans as yes and no.

    A column of numbers, or one named in `right`, is aligned right. `strong` are the indexes of rows to stand out: bold,
    or marked with `*` in text. `empty` is said instead of a table without rows.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    caption: str = ""
    footnotes: tuple[str, ...] = ()
    right: frozenset[str] = frozenset()
    strong: frozenset[int] = frozenset()
    empty: str = "nothing to show"
    _cells: tuple[tuple[str, ...], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"a row of {len(row)} cells in a table of {len(self.columns)} columns")
        object.__setattr__(self, "_cells", tuple(tuple(_shown(value) for value in row) for row in self.rows))

    def to_plain(self) -> str:
        """Aligned text, without a control sequence; long cells are not wrapped."""
        parts = [one_line(self.caption)] if self.caption else []
        parts.append(self._plain_grid() if self._cells else f"({one_line(self.empty)})")
        parts += [one_line(note) for note in self.footnotes]
        return "\n".join(parts)

    @property
    def width(self) -> int:
        """Of the grid, in columns of a terminal."""
        return max((_width(line) for line in self._plain_grid().split("\n")), default=0) if self._cells else 0

    def to_html(self) -> str:
        """A `<table>` with a caption and headed columns; nothing in it runs or is loaded."""
        caption = to_html_text(one_line(self.caption))
        notes = "".join(_quiet_paragraph(note) for note in self.footnotes)
        if not self._cells:
            heading = f"<p>{caption}</p>" if caption else ""
            return f"<div>{heading}{_quiet_paragraph(f'({self.empty})')}{notes}</div>\n"
        sides = ["right" if right else "left" for right in self._right_aligned()]
        head = "".join(
            f'<th scope="col" style="text-align:{side}">{to_html_text(one_line(name))}</th>'
            for name, side in zip(self.columns, sides, strict=True)
        )
        body = "".join(f"<tr>{self._html_row(index, sides)}</tr>\n" for index in range(len(self._cells)))
        heading = f'<caption style="text-align:left">{caption}</caption>\n' if caption else ""
        table = f"<table>\n{heading}<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table>"
        return f"<div>{table}{notes}</div>\n"

    def mimebundle(self) -> dict[str, Any]:
        return {"text/plain": self.to_plain(), "text/html": self.to_html()}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return self.mimebundle()

    def _right_aligned(self) -> list[bool]:
        return [name in self.right or _all_numbers(row[i] for row in self.rows) for i, name in enumerate(self.columns)]

    def _html_row(self, index: int, sides: Sequence[str]) -> str:
        weight = ";font-weight:bold" if index in self.strong else ""
        return "".join(
            f'<td style="text-align:{side}{weight}">'
            f"{value.to_html() if isinstance(value, Drawing) else to_html_text(cell)}</td>"
            for value, cell, side in zip(self.rows[index], self._cells[index], sides, strict=True)
        )

    def _plain_grid(self) -> str:
        marks = [("* " if i in self.strong else "  ") if self.strong else "" for i in range(len(self._cells))]
        head = tuple(one_line(name) for name in self.columns)
        widths = [max(_width(row[i]) for row in (head, *self._cells)) for i in range(len(head))]
        right = self._right_aligned()
        blank = "  " if self.strong else ""
        lines = [blank + _aligned(head, widths, right), blank + _GAP.join("─" * width for width in widths)]
        lines += [mark + _aligned(row, widths, right) for mark, row in zip(marks, self._cells, strict=True)]
        return "\n".join(line.rstrip() for line in lines)


def _quiet_paragraph(text: str) -> str:
    return f'<p style="{QUIET}">{to_html_text(one_line(text))}</p>'


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value) if isinstance(value, Drawing) else one_line(value)


def _all_numbers(values: Any) -> bool:
    known = [v for v in values if v is not None]
    return bool(known) and all(isinstance(v, (int, float, Decimal)) and not isinstance(v, bool) for v in known)


def _width(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def _aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        space = " " * (width - _width(cell))
        padded.append(space + cell if is_right else cell + space)
    return _GAP.join(padded)
