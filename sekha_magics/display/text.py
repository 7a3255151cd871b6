"""Text from strangers, made fit to be shown: in a terminal, and inside HTML.

Whatever goes in, what comes out carries no control sequence, encodes as UTF-8, and (as HTML) is nothing but text.
"""

from __future__ import annotations

import re
from html import escape

__all__ = ["clipped", "one_line", "to_html_text", "to_plain"]

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS and the like, closed
    r"|\x1b[ -/]*[0-~]"  # every other escape
)
_LINE_ENDS = re.compile("\r\n|[\r\v\f\x85\u2028\u2029]")
_CONTROLS = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"
    "\u202a-\u202e\u2066-\u2069]"  # embeddings, overrides and isolates reorder what a reader sees
)
_SURROGATES = re.compile("[\ud800-\udfff]")
# MathJax looks for delimiters in one run of text at a time: alone in an element of its own, none finds its partner.
_DELIMITERS = re.compile(r"[$\\]")


def to_plain(text: str) -> str:
    """`text` without terminal control sequences, control characters and bidirectional overrides.

    Tabs stay, every kind of line end becomes a newline (a lone carriage return would let one line overwrite
    another), and what UTF-8 cannot carry becomes U+FFFD.
    """
    without = _SEQUENCES.sub("", _LINE_ENDS.sub("\n", text))
    return _SURROGATES.sub("\ufffd", _CONTROLS.sub("", without))


def one_line(value: object, limit: int = 2000) -> str:
    """`str(value)` as at most `limit` characters on one line, fit for a cell of a table or a sentence."""
    text = str(value)
    flat = " ".join(to_plain(text[: 4 * limit]).split())
    return flat if len(flat) <= limit and len(text) <= 4 * limit else flat[: limit - 1] + "…"


def clipped(text: str, width: int) -> str:
    """`text` on one line that takes at most `width` columns of a terminal; what is too long loses its middle."""
    from wcwidth import wcswidth

    whole = one_line(text)
    if wcswidth(whole) <= width:
        return whole
    head, tail = "", ""
    for near, far in zip(whole, reversed(whole), strict=True):
        if wcswidth(head + near) + wcswidth(tail) >= width:
            break
        head += near
        if wcswidth(head) + wcswidth(far + tail) >= width:
            break
        tail = far + tail
    return f"{head}…{tail}"


def to_html_text(text: str) -> str:
    """`text` as HTML that shows exactly it: nothing in it is markup, and no dollar or backslash begins mathematics."""
    return _DELIMITERS.sub(r"<span>\g<0></span>", escape(text, quote=True))
