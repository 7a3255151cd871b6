"""Stored text as a model is shown it: quoted line by line, so that nothing in it can end the quotation.

Texts that are too long for a model are dealt into batches that fit; only a text that fits into none is cut.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..core.tokens import estimate_text
from .quoting import escaped

__all__ = ["Piece", "batches", "quoted"]

_CHARACTERS_A_TOKEN = 6
"""No text has more, by any estimate of ours."""


class Piece(NamedTuple):
    """A text, or a part of one. `head` is a line of ours that says what it is, `source` the id it is known by."""

    source: str
    head: str
    text: str

    @property
    def quoted(self) -> str:
        return f"[{self.head}]\n{quoted(self.text)}"

    @property
    def tokens(self) -> int:
        return estimate_text(self.quoted).expected + 1


def quoted(text: str) -> str:
    """`text` with `> ` before each line, whatever its lines end with, and no role marker of a chat template in it."""
    return "\n".join(f"> {escaped(line)}" for line in text.splitlines())


def batches(pieces: Iterable[Piece], room: int | None) -> list[list[Piece]]:
    """The pieces in order, in as few batches of at most `room` tokens as there must be; all in one without a limit."""
    pieces = list(pieces)
    if room is None:
        return [pieces]
    dealt: list[list[Piece]] = []
    left = 0
    for piece in (part for whole in pieces for part in _cut(whole, room)):
        tokens = piece.tokens
        if not dealt or tokens > left:
            dealt.append([])
            left = room
        dealt[-1].append(piece)
        left -= tokens
    return dealt


def _cut(piece: Piece, room: int) -> Sequence[Piece]:
    """The piece, or parts of it that fit, each as long as may be."""
    if piece.tokens <= room:
        return [piece]
    parts, text = [], piece.text
    while text:
        length = min(len(text), room * _CHARACTERS_A_TOKEN)
        while length > 1 and piece._replace(text=text[:length]).tokens > room:
            length //= 2
        if length < len(text):
            length = text.rfind(" ", length // 2, length) + 1 or length
        parts.append(piece._replace(text=text[:length]))
        text = text[length:]
    return parts
