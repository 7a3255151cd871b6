"""Program text with its colours, in HTML that reads on light and on dark.

Colours are literal, in `style`, since front ends drop variables from output they do not trust. Each is of middle
lightness, at least 4:1 against white and against Jupyter's dark background; the rest takes the theme's own colour.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from .text import to_html_text

if TYPE_CHECKING:
    from pygments.token import _TokenType

__all__ = ["COLOURS", "code_block", "highlight"]

# Lexers are regular expressions by many hands; text beyond this is shown plain, so that none can take long.
LONGEST_COLOURED = 20_000
_LANGUAGES = {
    "python": "python py python3 ipython pycon sage",
    "sql": "sql duckdb sqlite postgresql mysql",
    "bash": "bash sh shell zsh console",
    "json": "json jsonc json5",
    "yaml": "yaml yml",
    "toml": "toml",
    "ini": "ini cfg conf",
    "javascript": "javascript js jsx node",
    "typescript": "typescript ts tsx",
    "html": "html htm",
    "xml": "xml svg",
    "css": "css",
    "r": "r rscript",
    "julia": "julia jl",
    "c": "c h",
    "cpp": "cpp c++ cc hpp cxx",
    "csharp": "csharp c# cs",
    "java": "java",
    "kotlin": "kotlin kt",
    "scala": "scala",
    "swift": "swift",
    "go": "go golang",
    "rust": "rust rs",
    "ruby": "ruby rb",
    "php": "php",
    "perl": "perl pl",
    "lua": "lua",
    "haskell": "haskell hs",
    "matlab": "matlab octave",
    "fortran": "fortran f90",
    "tex": "tex latex",
    "diff": "diff patch",
    "docker": "dockerfile docker",
    "make": "makefile make",
    "powershell": "powershell ps1",
}
_LEXER_OF = {alias: lexer for lexer, aliases in _LANGUAGES.items() for alias in aliases.split()}

COLOURS = {
    "Comment": "#6f7781;font-style:italic",
    "Keyword": "#9a5bd4;font-weight:bold",
    "Operator.Word": "#9a5bd4;font-weight:bold",
    "Literal.String": "#c2524f",
    "Literal.Number": "#1b827d",
    "Name.Function": "#3577c2",
    "Name.Class": "#3577c2",
    "Name.Tag": "#3577c2",
    "Name.Decorator": "#a2690a",
    "Name.Attribute": "#a2690a",
    "Name.Builtin": "#3577c2",
    "Name.Exception": "#c2524f",
    "Generic.Inserted": "#25853f",
    "Generic.Deleted": "#c2524f",
}


def highlight(code: str, language: str) -> str:
    """`code` as HTML inside `<pre>`: coloured when `language` is a common one and the text is not very long."""
    lexer_name = _LEXER_OF.get(language.strip().lower())
    if lexer_name is None or len(code) > LONGEST_COLOURED:
        return to_html_text(code)
    from pygments.lexers import get_lexer_by_name

    lexer = get_lexer_by_name(lexer_name, stripnl=False, ensurenl=False)
    return "".join(
        f'<span style="color:{style}">{to_html_text(text)}</span>' if (style := _style(kind)) else to_html_text(text)
        for kind, text in lexer.get_tokens(code)
    )


def code_block(code: str, language: str = "") -> str:
    """`code` as a block of its own, scrolling sideways rather than breaking lines."""
    return f'<pre style="margin:0.5em 0 1em;overflow-x:auto"><code>{highlight(code, language)}</code></pre>\n'


@cache
def _style(kind: _TokenType) -> str:
    names = str(kind).split(".")[1:]
    return next((COLOURS[n] for i in range(len(names), 0, -1) if (n := ".".join(names[:i])) in COLOURS), "")
