"""What of the memory stood before a prompt, as people read it: a line under the answer, and a table of the reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .tables import Table
from .text import one_line

if TYPE_CHECKING:
    from ..core.types import Quoted

__all__ = ["memory_line", "memory_metadata", "memory_table"]

_MOST_NAMED = 3
_COLUMNS = ("conversation", "date", "folder", "by", "score", "similarity", "importance", "recency", "tokens", "")


def memory_line(quoted: Sequence[Quoted]) -> str:
    """`from memory: 2 quotations of plans (2026-11-20), uni (2026-10-02)`."""
    places = list(dict.fromkeys(f"{one_line(q.conversation, 60)} ({one_line(q.ts[:10])})" for q in quoted))
    more = f" and {len(places) - _MOST_NAMED} more" if len(places) > _MOST_NAMED else ""
    many = "1 quotation" if len(quoted) == 1 else f"{len(quoted)} quotations"
    return f"from memory: {many} of {', '.join(places[:_MOST_NAMED])}{more}"


def memory_table(quoted: Sequence[Quoted]) -> Table:
    return Table(
        columns=_COLUMNS,
        rows=[_row(q) for q in quoted],
        caption="quoted from memory: half of a score is similarity, a quarter each importance and recency",
    )


def memory_metadata(quoted: Sequence[Quoted]) -> list[dict[str, Any]]:
    return [
        {name: one_line(value) if isinstance(value, str) else value for name, value in q._asdict().items()}
        for q in quoted
    ]


def _row(q: Quoted) -> tuple[object, ...]:
    marks = [mark for mark, holds in (("pinned", q.pinned), ("cut", q.cut)) if holds]
    terms = (f"{term:.2f}" for term in (q.score, q.similarity, q.importance, q.recency))
    return (one_line(q.conversation, 60), q.ts[:10], one_line(q.folder, 60), q.role, *terms, q.tokens, ", ".join(marks))
