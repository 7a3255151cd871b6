"""Takes known key values out of any text that is going to be stored or shown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from .wire import Secret

__all__ = ["Redactor"]

# Anything shorter would also match in ordinary text; no provider issues keys that short.
_SHORTEST = 6


class Redactor:
    """Call it with a text; it gives the text back with every known key replaced by `***`."""

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._pattern: re.Pattern[str] | None = None
        self._values: frozenset[str] = frozenset()
        self.learn(secrets)

    def learn(self, secrets: Iterable[Secret]) -> None:
        """From now on, take these out as well, also as JSON writes them: once, and in a JSON text within another."""
        values = set(self._values)
        for value in (s.reveal() for s in secrets if len(s.reveal()) >= _SHORTEST):
            values |= {value, once := _in_json(value), _in_json(once)}
        if values != self._values:
            self._values = frozenset(values)
            # Longest first: where one key begins with another, nothing of the longer may stay.
            self._pattern = re.compile("|".join(map(re.escape, sorted(values, key=len, reverse=True))))

    def would_change(self, text: str) -> bool:
        """Whether a known key stands in `text`."""
        # Several times as fast as the pattern, which looks at every character.
        return any(value in text for value in self._values)

    def __call__(self, text: str) -> str:
        return self._pattern.sub("***", text) if self._pattern and self.would_change(text) else text


def _in_json(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
