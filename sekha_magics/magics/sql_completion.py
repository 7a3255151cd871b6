"""What Tab offers inside a query: tables, frames and their columns, and behind a dollar what can be bound."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["complete"]

_PARAMETER = re.compile(r"\$(\w*)$")
_NAME = re.compile(r"(?:(?P<owner>\w+)\s*\.\s*)?(?P<fragment>\w*)$")
_A_TABLE = re.compile(r"\b(?:from|join|describe|summarize)\s+\w*$|\b(?:from)\s+(?:\w+\s*,\s*)+\w*$", re.IGNORECASE)
_PLAIN = re.compile(r"[^\W\d]\w*")


def complete(before: str, query: str, variables: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What is being written at the end of `before`, and what it may become; `query` is the whole of it.

    `variables` are the notebook's, those it shows to its user.
    """
    from ..ledger.binding import is_frame
    from ..ledger.catalogue import columns

    if parameter := _PARAMETER.search(before):
        return parameter[1], [name for name, value in variables.items() if _fits(name, parameter[1], value)]
    place = _NAME.search(before)
    if place is None:
        return "", []
    tables = {name: list(found) for name, found in columns().items()}
    frames = {name: _columns(value) for name, value in variables.items() if is_frame(value)}
    known = {**frames, **tables}
    fragment, owner = place["fragment"], place["owner"]
    if owner is not None:
        if owner.lower() == "notebook":
            return fragment, _beginning(fragment, frames)
        meant = _meant(owner, query, known)
        return fragment, _beginning(fragment, known[meant]) if meant is not None else []
    if _A_TABLE.search(before):
        return fragment, _beginning(fragment, known)
    spoken_of = {word.lower() for word in re.findall(r"\w+", query)}
    read = [name for name in known if name.lower() in spoken_of]
    offered = [column for name in read or tables for column in known[name]]
    return fragment, _beginning(fragment, [*offered, *known]) if fragment or read else []


def _fits(name: str, fragment: str, value: object) -> bool:
    from ..ledger.binding import is_frame

    return (
        name.startswith(fragment) and not is_frame(value) and not callable(value) and type(value).__name__ != "module"
    )


def _meant(owner: str, query: str, known: Mapping[str, object]) -> str | None:
    """The table that `owner` names, by itself or as its alias."""
    names = {name.lower(): name for name in known}
    if owner.lower() in names:
        return names[owner.lower()]
    for alias in re.finditer(rf"(\w+)\s+(?:as\s+)?{re.escape(owner)}\b", query, re.IGNORECASE):
        if alias[1].lower() in names:
            return names[alias[1].lower()]
    return None


def _columns(frame: Any) -> list[str]:
    # An Arrow table gives its columns under `columns`, and their names here.
    return [name for name in getattr(frame, "column_names", frame.columns) if isinstance(name, str)]


def _beginning(fragment: str, names: Iterable[str]) -> list[str]:
    found = dict.fromkeys(name for name in names if name.casefold().startswith(fragment.casefold()))
    return [_written(name) for name in found if name.isprintable()]


def _written(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'
