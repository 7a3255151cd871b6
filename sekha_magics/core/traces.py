"""How a text that is to be forgotten is recognised wherever it was copied to: in prompts, answers and quotations.

Blanks, the `> ` of quoted lines and how a character is escaped count for nothing. What repeats a passage of it is a
trace of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["MARK_CHARACTERS", "Traces"]

MARK_CHARACTERS = 12
"""So many characters of a message's id stand in its quotations."""

_SHORTEST = 20
"""Anything shorter stands in many texts by chance, and is looked for as a whole line alone."""

_WHOLE, _PASSAGE = 100, 50

_FEW = 300
"""So many passages are looked for one by one; of more, the beginnings are compared with every place in a text."""

_PREFIX = re.compile(r"^[ \t]*> ?", re.MULTILINE)
_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
_MARK = re.compile(rf'"id": ?"([0-9a-f]{{{MARK_CHARACTERS}}})"')


class Traces:
    """Of `texts`, and of quotations of the messages with `ids`."""

    def __init__(self, texts: Iterable[str], ids: Iterable[str] = ()) -> None:
        self._texts = {_normal(text) for text in texts} - {""}
        self._marks = {one[:MARK_CHARACTERS] for one in ids}
        self._short = {text for text in self._texts if len(text) < _SHORTEST}
        self._wholes = _by_beginning(self._texts - self._short)
        self._passages = _by_beginning(p for text in self._texts - self._short for p in _passages(text))

    def repeated_in(self, text: str) -> bool:
        """Whether the whole of one of the texts stands in `text`, or a quotation of it."""
        return self._marked(text) or self._holds(text, self._wholes)

    def touched_by(self, text: str) -> bool:
        """Whether `text`, or a text in the JSON it is, holds a passage of one of the texts, or quotes it."""
        return any(self._marked(one) or self._holds(one, self._passages) for one in _texts_in(text))

    def _marked(self, text: str) -> bool:
        return any(found in self._marks for found in _MARK.findall(text))

    def _holds(self, text: str, wanted: dict[str, list[str]]) -> bool:
        if self._short and any(_normal(line) in self._short for line in (text, *text.splitlines())):
            return True
        normal = _normal(text)
        if sum(map(len, wanted.values())) <= _FEW:
            return any(passage in normal for passages in wanted.values() for passage in passages)
        for start in range(len(normal) - _SHORTEST + 1):
            for passage in wanted.get(normal[start : start + _SHORTEST], ()):
                if normal.startswith(passage, start):
                    return True
        return False


def _normal(text: str) -> str:
    return " ".join(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), _PREFIX.sub("", text)).split())


def _passages(text: str) -> list[str]:
    """A copy of 100 characters has one of them in it, wherever it was cut."""
    if len(text) <= _WHOLE:
        return [text]
    return [text[start : start + _PASSAGE] for start in range(0, len(text) - _PASSAGE + 1, _PASSAGE)]


def _by_beginning(passages: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for passage in passages:
        found.setdefault(passage[:_SHORTEST], []).append(passage)
    return found


def _texts_in(text: str) -> Iterator[str]:
    yield text
    if text[:1] in ("{", "["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            # A message's parts are one text.
            parts = value.get("parts")
            if isinstance(parts, list):
                yield "".join(str(p.get("text", "")) for p in parts if isinstance(p, dict))
            for inner in value.values():
                yield from _strings(inner)
        case list():
            for inner in value:
                yield from _strings(inner)
