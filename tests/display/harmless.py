"""What harmless HTML is, checked on the tree a real HTML5 parser builds from it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import html5lib

TAGS = frozenset(
    (
        *("div", "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre"),
        *("code", "span", "em", "strong", "s", "a"),
        *("table", "caption", "thead", "tbody", "tr", "th", "td"),
    )
)
ATTRIBUTES = {
    "a": {"href", "title", "target", "rel"},
    "ol": {"start"},
    "th": {"scope", "style"},
    "td": {"style"},
    "span": {"style", "class"},
    "div": {"class"},
    "p": {"style"},
    "pre": {"style"},
    "caption": {"style"},
}
STYLE = re.compile(
    r"(?:(?:color:#[0-9a-f]{6}|font-(?:style|weight):(?:italic|bold)|text-align:(?:left|right|center)|opacity:[0-9.]+"
    r"|font-size:[0-9]+%|overflow-x:auto|white-space:pre-wrap|overflow-wrap:anywhere|margin:0.5em 0 1em)(?:;|$))+"
)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def parse(html: str):
    return html5lib.parseFragment(html, treebuilder="etree", namespaceHTMLElements=False)


def assert_harmless(html: str) -> None:
    """No element, attribute, style or address that is not on a short list, no control character, no loose dollar."""
    assert not CONTROLS.search(html)
    for element in parse(html).iter():
        if element.tag == "DOCUMENT_FRAGMENT":
            continue
        assert element.tag in TAGS, element.tag
        assert set(element.attrib) <= ATTRIBUTES.get(element.tag, set()), (element.tag, element.attrib)
        style = element.get("style")
        assert style is None or STYLE.fullmatch(style), style
        assert element.get("class") in (None, "math")
        if element.tag == "a":
            assert_harmless_link(element)


def assert_harmless_link(anchor) -> None:
    href = anchor.get("href")
    assert urlsplit(href).scheme in ("http", "https", "mailto") or href.startswith("#"), href
    if not href.startswith("#"):
        assert anchor.get("rel") == "noopener noreferrer"
        assert anchor.get("target") == "_blank"


def runs_of_text(html: str) -> list[tuple[str, str]]:
    """(class of the element, text) of each unbroken run of text outside code: what a typesetter looks at."""
    runs: list[tuple[str, str]] = []

    def walk(element) -> None:
        if element.tag in ("pre", "code"):
            return
        if element.text:
            runs.append((element.get("class") or "", element.text))
        for child in element:
            walk(child)
            if child.tail:
                runs.append((element.get("class") or "", child.tail))

    walk(parse(html))
    return runs


def formulas(html: str) -> list[str]:
    return [text for kind, text in runs_of_text(html) if kind == "math"]


def assert_only_formulas_are_typeset(html: str) -> None:
    """Outside formulas no run of text holds a pair of delimiters."""
    for kind, text in runs_of_text(html):
        if kind != "math":
            assert text in ("$", "\\") or not set(text) & {"$", "\\"}, text
