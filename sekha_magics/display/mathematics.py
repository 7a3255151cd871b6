r"""Which parts of a text are clearly mathematics, and what of LaTeX is safe to hand to a typesetter.

`$5`, `$5 and $6`, `$HOME` and `US$` are text. A formula passes only when every command in it is on the list in
`tex_commands.txt`: LaTeX as browsers typeset it can make links, styles and definitions, and a list of what is allowed
is the only one that stays complete.
"""

from __future__ import annotations

import re
from functools import cache
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

__all__ = ["add_mathematics", "is_clearly_mathematics", "is_safe_tex"]

LONGEST_FORMULA = 4000

_COMMAND = re.compile(r"\\([A-Za-z]+|[\s\S])")
_PUNCTUATION_COMMANDS = frozenset("\\{}|,;:!>%&#_$- \n")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\s*\{([^{}]*)\}")
_ENVIRONMENTS = frozenset(
    (
        *(
            "equation",
            "align",
            "alignat",
            "gather",
            "multline",
            "eqnarray",
            "aligned",
            "alignedat",
            "gathered",
            "split",
        ),
        *("cases", "dcases", "rcases", "array", "smallmatrix", "subarray"),
        *("matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix"),
    )
)
_OUTERMOST = r"(?:equation|align|alignat|gather|multline|eqnarray)\*?"
_WORDS = re.compile(r"\\[a-z]+|[^\W\d_]{3,}")
_OPERATOR = re.compile(r"[=<>+*/|^!]|(?<=[\w)}])\s*-\s*(?=[\w({\\])|(?<![^\W\d_])[^\W\d_]_")
_SHORT = re.compile(
    r"[^\W\d_]{1,2}'*|\d+[^\W\d_]|-?\d+(?:[.,]\d+)*"  # x, AB, f', 2x, -1, 42
    r"|[^\W\d_]'*(?:,\s?[^\W\d_]'*){1,5}"  # a, b, c
    r"|(?:[^\W\d_]'*\s?)?[(\[]-?[^\W_]{1,2}(?:,\s?-?[^\W_]{1,2}){0,5}[)\]]"  # f(x), (0, 1), [a, b]
)
_UNESCAPED_DOLLAR = re.compile(r"(?<!\\)(?:\\\\)*\$")
_LOOSE_BACKSLASH = re.compile(r"(?<!\\)(?:\\\\)*\\$")
_BLOCK_OPENER = re.compile(rf"\$\$|\\\[|\\begin\{{({_OUTERMOST})\}}")
_LONGEST_BLOCK = 100


@cache
def _allowed_commands() -> frozenset[str]:
    lines = files(__package__).joinpath("tex_commands.txt").read_text(encoding="utf-8").splitlines()
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


def is_safe_tex(tex: str) -> bool:
    """Whether a typesetter may be given `tex`: known commands and environments, balanced braces, a sane length."""
    if not tex.strip() or len(tex) > LONGEST_FORMULA or not _balanced(tex):
        return False
    if _UNESCAPED_DOLLAR.search(tex) or _LOOSE_BACKSLASH.search(tex.strip()):
        return False
    commands = (match[1] for match in _COMMAND.finditer(tex))
    known = _allowed_commands()
    if not all(c in known or c in _PUNCTUATION_COMMANDS for c in commands):
        return False
    environments = [match[1].removesuffix("*") for match in _ENVIRONMENT.finditer(tex)]
    opened = len(re.findall(r"\\(?:begin|end)(?![A-Za-z])", tex))
    return opened == len(environments) and all(e in _ENVIRONMENTS for e in environments)


def is_clearly_mathematics(tex: str) -> bool:
    """Whether what stands between two single dollars is a formula, and not the text between two prices or variables."""
    if not is_safe_tex(tex) or tex != tex.strip() or "\n\n" in tex:
        return False
    words = [w for w in _WORDS.findall(tex) if not w.startswith("\\")]
    if re.search(r"\\[A-Za-z]", tex):
        return len(words) <= 12
    return not words and bool(_OPERATOR.search(tex) or _SHORT.fullmatch(tex))


def add_mathematics(md: MarkdownIt) -> None:
    """Teach `md` formulas: inline and displayed, between dollars, brackets, or as a LaTeX environment."""
    md.inline.ruler.before("escape", "mathematics", _inline)
    md.block.ruler.before("fence", "mathematics", _block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    md.add_render_rule("math_inline", _render_inline)
    md.add_render_rule("math_block", _render_block)


def _balanced(tex: str) -> bool:
    depth = 0
    for brace in re.findall(r"\\[\s\S]|[{}]", tex):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        if depth < 0:
            return False
    return depth == 0


def _find_closer(source: str, closer: str, start: int, end: int) -> int:
    """Where `closer` next stands unescaped, or -1."""
    found = source.find(closer, start, min(end, start + LONGEST_FORMULA + len(closer)))
    while found > 0 and closer[0] == "$" and source[found - 1] == "\\":
        found = source.find(closer, found + 1, min(end, start + LONGEST_FORMULA + len(closer)))
    return found


def _inline(state: StateInline, silent: bool) -> bool:
    source, start, end = state.src, state.pos, state.posMax
    opener = source[start : start + 2]
    if opener == "$$":
        closer = "$$"
    elif opener in (r"\(", r"\["):
        closer = r"\)" if opener == r"\(" else r"\]"
    elif opener[:1] == "$":
        opener = closer = "$"
    else:
        return False
    inside = start + len(opener)
    close = _find_closer(source, closer, inside, end)
    if close < 0 or (opener != closer and source.find(opener, inside, close) >= 0):
        return False
    tex, after = source[inside:close], close + len(closer)
    if opener == "$":
        before = source[start - 1 : start]
        follows = source[after : after + 1] if after < end else ""
        touches_a_word = before.isalnum() or before in ("$", "\\") or follows.isalnum() or follows == "$"
        if touches_a_word or not is_clearly_mathematics(tex):
            return False
    elif not is_safe_tex(tex):
        return False
    if not silent:
        token = state.push("math_inline", "", 0)
        token.content, token.markup = tex, opener
    state.pos = after
    return True


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    first = state.src[state.bMarks[start_line] + state.tShift[start_line] : state.eMarks[start_line]]
    opening = _BLOCK_OPENER.match(first)
    if opening is None:
        return False
    environment = opening[1]
    closer = rf"\end{{{environment}}}" if environment else {"$$": "$$", r"\[": r"\]"}[opening[0]]
    lines: list[str] = [first[opening.end() :]]
    line = start_line
    while not lines[-1].rstrip().endswith(closer):
        if closer in lines[-1] or opening[0] in lines[-1]:
            return False
        line += 1
        if line >= end_line or line - start_line > _LONGEST_BLOCK or state.isEmpty(line):
            return False
        if state.sCount[line] < state.blkIndent:
            return False
        lines.append(state.getLines(line, line + 1, state.blkIndent, False))
    tex = "\n".join(lines).rstrip().removesuffix(closer)
    whole = f"{opening[0]}{tex}{closer}" if environment else tex
    if closer in tex or not is_safe_tex(whole):
        return False
    if not silent:
        token = state.push("math_block", "", 0)
        token.block, token.content, token.markup = True, whole, "" if environment else opening[0]
        token.map = [start_line, line + 1]
        state.line = line + 1
    return True


def _for_typesetter(tex: str, delimiter: str) -> str:
    # Plain dollars: every front end and exporter that typesets knows them, and where none does they read as written.
    return f"{delimiter}{escape(tex.strip())}{delimiter}"


def _render_inline(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[index]
    delimiter = "$" if token.markup in ("$", r"\(") else "$$"
    return f'<span class="math">{_for_typesetter(token.content.replace(chr(10), " "), delimiter)}</span>'


def _render_block(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    token = tokens[index]
    return f'<div class="math">{_for_typesetter(token.content, "$$" if token.markup else "")}</div>\n'
