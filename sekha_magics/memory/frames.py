"""What a memory shows of itself, as DataFrames. Texts in them are as they were stored: show them as hostile."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..display.sizes import format_bytes
from .archive import Archive
from .checks import sound
from .matrices import Matrices
from .periods import LEVELS, name_of
from .search import Found
from .tables import TABLES
from .vectors import Vectors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["conversations_frame", "hits_frame", "messages_frame", "snippet", "stats_frame", "summaries_frame"]

_SNIPPET = 160
_AT_ONCE = 500
_SUMMARY = ("conversation", "level", "period", "content", "starts_at", "ends_at", "sources", "provider_id", "model_id",
            "created_at", "decision_id", "summary_id")  # fmt: skip
_HIT = ("content", "conversation", "folder", "label", "role", "importance", "pinned", "ts", "message_id")


def hits_frame(archive: Archive, query: str, found: Found) -> pd.DataFrame:
    """One row per hit, best first. A message deleted in the meantime is left out."""
    import pandas as pd

    seqs = [hit.seq for hit in found.hits]
    of: dict[int, tuple[Any, ...]] = {}
    for start in range(0, len(seqs), _AT_ONCE):
        part = seqs[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        rows = archive.rows(f"SELECT seq, {', '.join(_HIT)} FROM remembered WHERE seq IN ({marks})", part)
        of.update((row[0], row[1:]) for row in rows)
    words = re.findall(r"\w+", sound(query[:2000]).lower())
    hits = [hit for hit in found.hits if hit.seq in of]
    columns: dict[str, list[Any]] = {
        "score": [hit.score for hit in hits],
        "ranks": [hit.ranks for hit in hits],
        "cosine": [max(hit.cosines.values(), default=float("nan")) for hit in hits],
        "snippet": [snippet(of[hit.seq][0], words) for hit in hits],
        **{name: [of[hit.seq][i] for hit in hits] for i, name in enumerate(_HIT)},
    }
    texts = ("ranks", "snippet", "content", "conversation", "folder", "label", "role", "message_id")
    frame = pd.DataFrame({name: pd.Series(v, dtype=object) for name, v in columns.items()})
    frame = frame.astype({"score": float, "cosine": float, "importance": int, "pinned": bool})
    frame["ts"] = pd.to_datetime(frame["ts"], utc=True, format="ISO8601")
    frame.insert(list(frame.columns).index("ts") + 1, "age", pd.Timestamp(datetime.now(UTC)) - frame["ts"])
    frame = frame.astype(dict.fromkeys(texts, object))
    frame.attrs["skipped"] = dict(found.skipped)
    return frame


def snippet(content: str, words: list[str]) -> str:
    """A line of `content`, around the first of `words` that is in it."""
    text = " ".join(content[:100_000].split())
    lower = text.lower()
    at = min((i for word in words if (i := lower.find(word)) >= 0), default=0)
    start = max(0, at - _SNIPPET // 3)
    end = start + _SNIPPET
    return f"{'…' if start else ''}{text[start:end]}{'…' if end < len(text) else ''}"


def conversations_frame(archive: Archive) -> pd.DataFrame:
    frame = _frame(archive, "conversations", "")
    counts = dict(archive.rows("SELECT conversation, count(*) FROM remembered GROUP BY conversation"))
    frame.insert(1, "messages", [counts.get(name, 0) for name in frame["conversation"]])
    return frame.astype({"messages": int})


def messages_frame(archive: Archive, conversation: str | None) -> pd.DataFrame:
    return _frame(archive, "messages", "" if conversation is None else "WHERE conversation = ?", conversation)


def summaries_frame(archive: Archive, conversation: str | None, level: str | None) -> pd.DataFrame:
    import pandas as pd

    frame = _frame(archive, "summaries", "")
    # What an interrupted summary left behind is for its next try alone.
    frame = frame[frame["level"].isin([level] if level else LEVELS)]
    if conversation is not None:
        frame = frame[frame["conversation"] == conversation]
    days = frame["starts_at"].dt.date
    names = [name_of(of, day) for of, day in zip(frame["level"], days, strict=True)]
    frame.insert(2, "period", pd.Series(names, index=frame.index, dtype=object))
    frame["sources"] = pd.Series([json.loads(ids) for ids in frame["sources"]], index=frame.index, dtype=object)
    by = [frame["conversation"], frame["level"].map(LEVELS.index), frame["starts_at"]]
    order = pd.concat(by, axis=1).sort_values(["conversation", "level", "starts_at"]).index
    return frame.loc[order, [*_SUMMARY]].reset_index(drop=True)


def _frame(archive: Archive, name: str, where: str, value: str | None = None) -> pd.DataFrame:
    import pandas as pd

    select, types = TABLES[name]
    select = select.replace(" ORDER BY", f" {where} ORDER BY")
    columns, rows = archive.columns(select, () if value is None else (value,))
    frame = pd.DataFrame(
        {c: pd.Series([row[i] for row in rows], dtype=object) for i, c in enumerate(columns)}, columns=columns
    )
    for column, kind in types.items():
        if kind == "TIMESTAMPTZ":
            frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
        else:
            frame[column] = frame[column].astype(bool if kind == "BOOLEAN" else int)
    return frame


def stats_frame(folder: Path, archive: Archive, vectors: Vectors, matrices: Matrices) -> pd.DataFrame:
    import pandas as pd

    def count(table: str, where: str = "") -> int:
        rows = archive.rows(f"SELECT count(*) FROM {table} {where}")
        return int(rows[0][0]) if rows else 0

    def spread() -> str:
        """In how many folders messages stand, and from when to when."""
        rows = archive.rows("SELECT count(DISTINCT folder), min(ts), max(ts) FROM remembered")
        folders, oldest, newest = rows[0] if rows else (0, None, None)
        many = "1 folder" if folders == 1 else f"{folders} folders"
        return f"in {many}, from {oldest[:10]} to {newest[:10]}; " if oldest else ""

    sqlite = sum(_size(folder / f"memory.sqlite{ending}") for ending in ("", "-wal"))
    marked = f"{count('conversations', 'WHERE archived')} archived, {count('conversations', 'WHERE pinned')} pinned"
    rows: list[tuple[str, int, int | None, str]] = [
        ("conversations", count("conversations"), None, marked),
        ("messages", count("messages"), sqlite, spread() + str(folder / "memory.sqlite")),
        ("summaries", count("summaries"), None, ""),
    ]
    waiting = archive.rows("SELECT coalesce(error, ''), count(*) FROM unembedded GROUP BY 1 ORDER BY 2 DESC")
    why = "; ".join(f"{error} ({n})" if len(waiting) > 1 else error for error, n in waiting if error)
    rows.append(("waiting for a vector", sum(n for _, n in waiting), None, why))
    for table in vectors.tables():
        held = matrices.nbytes(table)
        loaded = f"; {format_bytes(held)} in memory" if held else ""
        live = count("vectors", f"WHERE table_id = {table.id}")
        detail = f"{table.model}, {table.dimension} numbers; {matrices.state(table, live)}{loaded}"
        rows.append((table.name, live, _size(vectors.file(table).path), detail))
    frame = pd.DataFrame(rows, columns=["what", "count", "bytes", "detail"])
    return frame.astype({"bytes": "Int64", "what": object, "detail": object})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
