"""A model's Markdown as HTML that is harmless by construction.

There is no sanitiser: the renderer knows no way to make a script, an event handler, a `javascript:` link or anything
that is loaded from elsewhere. Raw HTML is text, links go to a few schemes, images are links to images. Rendering takes
bounded time; a text too long for that is shown as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from .code import code_block
from .mathematics import add_mathematics
from .text import to_html_text, to_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token
    from markdown_it.utils import EnvType, OptionsDict

__all__ = ["fenced_code", "preformatted", "to_html", "to_plain"]

LONGEST_RENDERED = 200_000
DEEPEST_NESTING = 20

_ALLOWED_LINK = re.compile(r"(?:https?://|mailto:)\S|#", re.IGNORECASE)
_LOADABLE = re.compile(r"https?://", re.IGNORECASE)


def to_html(text: str) -> str:
    """`text`, Markdown from a stranger, as HTML: nothing in it runs and nothing in it is loaded.

    Tables, strikethrough, coloured code and LaTeX that is clearly mathematics are known. Dollars that are prices stay
    text also under a typesetter.
    """
    plain = to_plain(text)
    if len(plain) > LONGEST_RENDERED:
        return preformatted(plain)
    rendered: str = _renderer().render(plain)
    return rendered


def preformatted(text: str) -> str:
    """`text` as it stands, in a block which breaks long lines."""
    return f'<pre style="white-space:pre-wrap;overflow-wrap:anywhere">{to_html_text(to_plain(text))}</pre>\n'


def fenced_code(text: str) -> tuple[tuple[str, str], ...]:
    """The fenced code blocks of a Markdown text, each as (language, code)."""
    plain = to_plain(text)
    if len(plain) > LONGEST_RENDERED:
        return ()
    return tuple((_language(t), t.content) for t in _renderer().parse(plain) if t.type == "fence")


@cache
def _renderer() -> MarkdownIt:
    from markdown_it import MarkdownIt

    md = MarkdownIt(
        "commonmark", {"html": False, "linkify": False, "typographer": False, "maxNesting": DEEPEST_NESTING}
    )
    md.enable(["table", "strikethrough"])
    md.disable(["html_block", "html_inline"])
    md.validateLink = lambda url: bool(_ALLOWED_LINK.match(url))  # type: ignore[method-assign]
    add_mathematics(md)
    md.core.ruler.push("images_to_links", _images_to_links)
    md.core.ruler.push("links_open_apart", _links_open_apart)
    for kind, rule in {"text": _text, "text_special": _text, "code_inline": _code_inline,
                       "fence": _code, "code_block": _code}.items():  # fmt: skip
        md.add_render_rule(kind, rule)
    return md


def _inline_runs(state: StateCore) -> Iterator[Token]:
    return (token for token in state.tokens if token.type == "inline" and token.children)


def _images_to_links(state: StateCore) -> None:
    for run in _inline_runs(state):
        depth = 0
        children: list[Token] = []
        for token in run.children or ():
            depth += {"link_open": 1, "link_close": -1}.get(token.type, 0)
            children += _instead_of_image(token, linked=depth > 0) if token.type == "image" else (token,)
        run.children = children


def _instead_of_image(image: Token, *, linked: bool) -> tuple[Token, ...]:
    from markdown_it.token import Token

    label = Token("text", "", 0, content=f"[image: {image.content}]" if image.content else "[image]")
    address = str(image.attrs.get("src", ""))
    if linked or not _LOADABLE.match(address):
        return (label,)
    return (Token("link_open", "a", 1, attrs={"href": address}), label, Token("link_close", "a", -1))


def _links_open_apart(state: StateCore) -> None:
    for run in _inline_runs(state):
        for token in run.children or ():
            if token.type == "link_open" and not str(token.attrs.get("href", "")).startswith("#"):
                token.attrs.update({"target": "_blank", "rel": "noopener noreferrer"})


def _text(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    return to_html_text(tokens[index].content)


def _code_inline(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    return f"<code>{to_html_text(tokens[index].content)}</code>"


def _code(
    _renderer: RendererProtocol, tokens: Sequence[Token], index: int, _options: OptionsDict, _env: EnvType
) -> str:
    return code_block(tokens[index].content, _language(tokens[index]))


def _language(fence: Token) -> str:
    words = fence.info.split()
    return words[0] if words else ""
