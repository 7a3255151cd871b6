"""The days, weeks and months of a conversation, in UTC, and what a summary of each is made from.

A summary's id follows from what it is made of: the same messages give the same id, so what is there is not paid for
again, and what changed has another id, all the way up from the day to the month. A week begins on Monday, and belongs
to the month its Thursday is in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import groupby

__all__ = ["LEVELS", "PART", "Period", "Source", "name_of", "periods", "summary_id"]

LEVELS = ("daily", "weekly", "monthly")
PART = "part"
"""The level of what an interrupted summary of a long day, week or month leaves behind."""


@dataclass(frozen=True, slots=True)
class Source:
    """A message, or the summary of a shorter period. `version` changes with its text."""

    source: str
    version: str
    day: date


@dataclass(frozen=True, slots=True)
class Period:
    """A day, week or month in which something was said, and the summary it ought to have; it ends before `end`."""

    level: str
    start: date
    end: date
    sources: tuple[Source, ...]
    summary_id: str

    @property
    def name(self) -> str:
        return name_of(self.level, self.start)


def name_of(level: str, start: date) -> str:
    """2026-11-26, 2026-W48 or 2026-11."""
    if level == "monthly":
        return f"{start:%Y-%m}"
    year, week, _ = start.isocalendar()
    return f"{year}-W{week:02}" if level == "weekly" else start.isoformat()


def periods(conversation_id: str, messages: Iterable[tuple[str, str, str]]) -> dict[str, list[Period]]:
    """By level, the periods of messages given as (id, SHA-256, time), each level's sources being the one below."""
    sources = [Source(i, sha256, _day(ts)) for i, sha256, ts in messages]
    found: dict[str, list[Period]] = {}
    for level in LEVELS:
        found[level] = _grouped(conversation_id, level, sources)
        sources = [Source(p.summary_id, p.summary_id, p.start) for p in found[level]]
    return found


def summary_id(conversation_id: str, level: str, name: str, sources: Sequence[tuple[str, str]]) -> str:
    """The id of a summary made of these sources, given by id and version."""
    made_of = json.dumps([conversation_id, level, name, sources], ensure_ascii=False)
    return hashlib.sha256(made_of.encode()).hexdigest()[:32]


def _grouped(conversation_id: str, level: str, sources: list[Source]) -> list[Period]:
    start_of, end_of = _BOUNDS[level]
    in_order = sorted(sources, key=lambda s: s.day)
    found = []
    for start, group in groupby(in_order, key=lambda s: start_of(s.day)):
        members = tuple(group)
        ids = [(s.source, s.version) for s in members]
        own = summary_id(conversation_id, level, name_of(level, start), ids)
        found.append(Period(level, start, end_of(start), members, own))
    return found


def _day(ts: str) -> date:
    moment = datetime.fromisoformat(ts)
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _month(monday: date) -> date:
    return (monday + timedelta(days=3)).replace(day=1)


_BOUNDS: dict[str, tuple[Callable[[date], date], Callable[[date], date]]] = {
    "daily": (lambda day: day, lambda day: day + timedelta(days=1)),
    "weekly": (_monday, lambda monday: monday + timedelta(days=7)),
    "monthly": (_month, lambda first: (first + timedelta(days=31)).replace(day=1)),
}
