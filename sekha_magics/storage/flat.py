"""JSON of flat values without the encoder, which makes a list of pieces four times as long as the values."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

__all__ = ["by_column", "encode", "flat_object", "quoted_json", "text_object"]

# Made once, since `json.dumps` with an option makes one each time. Not escaped to ASCII: what is kept takes less room,
# and can be searched for a key.
encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
quoted_json: Callable[[str], str] = encode_basestring
_BY_TYPE: dict[type, Callable[[Any], str]] = {
    str: quoted_json,
    int: int.__repr__,
    # No JSON has these numbers, and a row with one would be understood by nobody.
    float: lambda number: float.__repr__(number) if isfinite(number) else "null",
    bool: lambda truth: "true" if truth else "false",
    type(None): lambda _: "null",
}


def flat_object(values: Mapping[str, Any]) -> str:
    """An object of `values`, most of which are neither lists nor objects."""
    return _form(tuple(values), False) % _encoded(values.values())


def by_column(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with the same names as an object of lists: a name is then written once, not once per row."""
    if len(rows) == 1:
        return _form(tuple(rows[0]), True) % _encoded(rows[0].values())
    return encode({name: [row[name] for row in rows] for name in rows[0]})


def text_object(texts: Mapping[str, str]) -> str:
    """An object of texts under names that are others every time."""
    return "{" + ",".join([f"{quoted_json(name)}:{quoted_json(text)}" for name, text in texts.items()]) + "}"


def _encoded(values: Iterable[Any]) -> tuple[str, ...]:
    known, other = _BY_TYPE.get, encode
    return tuple([known(type(value), other)(value) for value in values])


@lru_cache(maxsize=64)
def _form(names: tuple[str, ...], listed: bool) -> str:
    before, after = (":[", "]") if listed else (":", "")
    return "{" + ",".join(quoted_json(name).replace("%", "%%") + f"{before}%s{after}" for name in names) + "}"
