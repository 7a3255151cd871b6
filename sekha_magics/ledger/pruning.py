"""Forgetting: old decisions, or those of one notebook or session, with everything that belongs to them alone.

First the file without their rows takes the place of the old one, then the texts nothing refers to any more go, and
nothing of either is left in the files. What a kernel writes meanwhile stays: its rows wait in the queue, and it hands
over once more the texts they refer to. A death in between leaves texts without rows, which the next prune takes.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidInput
from ..storage.content import ContentStore
from ..storage.fold import rewrite
from ..storage.paths import private_file
from ..storage.queue import Queue, QueuedRow
from ..storage.tables import Tables, quoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Pruned", "Which", "mark", "prune", "pruned_at", "would_prune"]

_HERE = Path(__file__).parent
_HASH = re.compile(r"[0-9a-f]{64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNDER_WAY = timedelta(days=1)
_WAIT = 30.0
_LEFT = "NOT EXISTS (SELECT 1 FROM sekha_gone AS g WHERE g.decision_id = t.decision_id)"
_STAYS = {
    "decisions": _LEFT,
    "candidates": _LEFT,
    "calls": _LEFT,
    "ratings": f"{_LEFT} AND NOT EXISTS (SELECT 1 FROM calls AS c INNER JOIN sekha_gone AS g"
    " ON c.decision_id = g.decision_id WHERE c.call_id = t.call_id)",
    "receipts": _LEFT,
    "pruned": "true",
    "snapshots": "EXISTS (SELECT 1 FROM sekha_staying AS s WHERE s.snapshot_id = t.snapshot_id)",
}
_TOLD = ("decisions", "candidates", "calls", "ratings", "snapshots")
_MEMBERS = """INSERT OR IGNORE INTO temp.sekha_referred SELECT m.value FROM temp.sekha_referred AS r
JOIN contents AS c ON c.sha256 = r.sha256,
json_each(CASE WHEN json_valid(c.body) THEN c.body ELSE '[]' END) AS m WHERE c.body GLOB '[[]"*'"""
_UNREFERRED = "sha256 NOT IN (SELECT sha256 FROM temp.sekha_referred)"


@dataclass(frozen=True, slots=True)
class Which:
    """What to forget: all three that are given must fit."""

    before: datetime | None = None
    notebook: str | None = None
    session: str | None = None

    def __post_init__(self) -> None:
        if self.before is None and self.notebook is None and self.session is None:
            raise InvalidInput("Nothing says what to prune.", hint="Give before, notebook or session.")
        if self.before is not None and (not isinstance(self.before, datetime) or self.before.tzinfo is None):
            raise InvalidInput(f"before is {self.before!r}.", hint="It is a datetime with a time zone, or a timedelta.")
        for name in ("notebook", "session"):
            given = getattr(self, name)
            if given is not None and (not isinstance(given, str) or not given):
                raise InvalidInput(f"{name} is {given!r}.", hint=f"It is the {name} as the ledger names it.")


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go: rows of each table with how many there are, and texts with their bytes in UTF-8.

    `done` is False for a dry run. `disk_bytes` are those of the ledger's files, before and, when it is done, after.
    `scrubbed` says that nothing of it is left in them; else a kernel that was reading keeps a log for a while.
    """

    done: bool
    rows: Mapping[str, tuple[int, int]]
    texts: tuple[int, int]
    text_bytes: int
    oldest: datetime | None
    newest: datetime | None
    disk_bytes: tuple[int, int | None]
    scrubbed: bool
    decision_ids: tuple[str, ...] = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per table, and one for the texts of prompts and answers."""
        import pandas as pd

        counted = [*self.rows.items(), ("texts", self.texts)]
        frame = pd.DataFrame(
            {
                "table": [name for name, _ in counted],
                "pruned": [gone for _, (gone, _) in counted],
                "kept": [total - gone for _, (gone, total) in counted],
                "bytes": [*[None] * len(self.rows), self.text_bytes],
            }
        )
        return frame.astype({"table": "str", "pruned": "Int64", "kept": "Int64", "bytes": "Int64"})


def would_prune(connection: Any, contents: ContentStore, files: Sequence[Path], which: Which) -> Pruned:
    """A dry run on a connection that reads queue and file as one."""
    chosen = _choose(connection, which, ())
    with contents.reading() as reading:
        texts = _NO_TEXTS if reading is None else _unreferred(reading, chosen.hashes)
    return _pruned(False, chosen, texts, (_size(files), None))


def prune(
    path: Path,
    queue: Queue,
    tables: Tables,
    contents: ContentStore,
    files: Sequence[Path],
    which: Which,
    *,
    keep: Callable[[Sequence[QueuedRow]], None],
    spooled: Callable[[], Sequence[QueuedRow]],
) -> Pruned:
    """Do it. Raises `LedgerError` when the ledger cannot be written anew, `OSError` or `sqlite3.Error` for the disk."""
    before = _size(files)

    def fill(connection: Any) -> _Chosen:
        # In this order. From here on a kernel hands over anew every snapshot and text that it had written before, and
        # once more what it made before and commits after the queue was looked at.
        mark(path)
        queued = _hashes_in([*queue.read(), *spooled()])
        chosen = _choose(connection, which, queued)
        chosen = chosen._replace(hashes=chosen.hashes | queued)
        for table in tables.keys:
            connection.execute(
                f"INSERT INTO folded.main.{quoted(table)} BY NAME"
                f" SELECT t.* FROM {quoted(table)} AS t WHERE {_STAYS[table]}"
            )
        connection.execute((_HERE / "taken.sql").read_text(encoding="utf-8"))
        return chosen

    def then(chosen: _Chosen) -> Pruned:
        texts = _NO_TEXTS
        if contents.path.exists():
            with contents.writing() as writing:
                texts = _unreferred(writing, chosen.hashes)
                writing.execute("PRAGMA secure_delete = ON")
                writing.execute(f"DELETE FROM contents WHERE {_UNREFERRED}")
        # Both, whatever the first says.
        scrubbed = all([contents.scrub(), queue.scrub()])
        return _pruned(True, chosen, texts, (before, _size(files)), scrubbed)

    return rewrite(path, queue, tables, fill, then, wait=_WAIT, keep=keep)


def pruned_at(path: Path) -> int:
    """Changes with every prune of the ledger at `path` and whenever texts are forgotten, also by another process."""
    try:
        return mark_of(path).stat().st_mtime_ns
    except OSError:
        return 0


def mark_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.pruned")


def mark(path: Path) -> None:
    """Let every kernel know that texts and snapshots it had written may be gone."""
    private_file(mark_of(path))
    # Two seconds are the coarsest any file system counts in.
    now = max(time.time_ns(), pruned_at(path) + 2 * 10**9)
    os.utime(mark_of(path), ns=(now, now))


class _Chosen(NamedTuple):
    decision_ids: tuple[str, ...]
    rows: Mapping[str, tuple[int, int]]
    hashes: frozenset[str]
    oldest: datetime | None
    newest: datetime | None


class _Texts(NamedTuple):
    gone: int
    total: int
    size: int


_NO_TEXTS = _Texts(0, 0, 0)


def _choose(connection: Any, which: Which, queued: Iterable[str]) -> _Chosen:
    """What goes, in the temporary tables `sekha_gone` and `sekha_staying`, and what the rest refers to."""
    orphans = datetime.now(UTC) - _UNDER_WAY
    wanted = {"before": which.before, "notebook": which.notebook, "session": which.session}
    connection.execute(
        (_HERE / "gone.sql").read_text(encoding="utf-8"),
        wanted | {"orphans": min(which.before or orphans, orphans)},
    )
    connection.execute((_HERE / "staying.sql").read_text(encoding="utf-8"), {"queued": list(queued)})
    gone = tuple(row[0] for row in connection.execute("SELECT decision_id FROM sekha_gone ORDER BY ALL").fetchall())
    if not gone:
        _refuse_misspelt(connection, which)
    rows = {}
    for table in _TOLD:
        stays = _STAYS[table]
        total = connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0]
        kept = connection.execute(f"SELECT count(*) FROM {quoted(table)} AS t WHERE {stays}").fetchone()[0]
        rows[table] = (total - kept, total)
    hashes = connection.execute(
        f"SELECT prompt_sha256 FROM calls AS t WHERE {_LEFT} UNION SELECT response_sha256 FROM calls AS t WHERE {_LEFT}"
    ).fetchall()
    span = connection.execute(
        "SELECT epoch_us(min(ts)), epoch_us(max(ts)) FROM decisions WHERE decision_id IN (FROM sekha_gone)"
    ).fetchone()
    oldest, newest = (None if us is None else _EPOCH + timedelta(microseconds=us) for us in span)
    return _Chosen(gone, rows, frozenset(row[0] for row in hashes if row[0]), oldest, newest)


def _refuse_misspelt(connection: Any, which: Which) -> None:
    for column in ("notebook", "session"):
        given = getattr(which, column)
        if given is None:
            continue
        name = "session_id" if column == "session" else column
        found = connection.execute(f"SELECT DISTINCT {name} FROM decisions WHERE {name} IS NOT NULL").fetchall()
        known = {key: row[0] for row in found for key in (row[0], re.split(r"[/\\]", row[0])[-1])}
        if given not in known:
            near = get_close_matches(given, known, 3)
            raise InvalidInput(
                f"The ledger knows no {column} {given!r}.",
                hint=f"Did you mean {', '.join(near)}?" if near else f"`%sekha_cost --all --by {column}` lists them.",
            )


def _hashes_in(rows: Iterable[QueuedRow]) -> frozenset[str]:
    """Whatever could be a hash in a queued row or its texts, also in one of a newer version."""
    return frozenset(found for row in rows for part in row[1:] for found in _HASH.findall(part))


def _unreferred(connection: sqlite3.Connection, hashes: Iterable[str]) -> _Texts:
    """Count the texts that neither `hashes` nor a prompt among them refers to."""
    connection.execute("DROP TABLE IF EXISTS temp.sekha_referred")
    connection.execute("CREATE TEMP TABLE sekha_referred (sha256 TEXT PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO temp.sekha_referred VALUES (?)", ((sha256,) for sha256 in hashes))
    connection.execute(_MEMBERS)
    total = connection.execute("SELECT count(*) FROM contents").fetchone()[0]
    gone, size = connection.execute(
        f"SELECT count(*), coalesce(sum(length(CAST(body AS BLOB))), 0) FROM contents WHERE {_UNREFERRED}"
    ).fetchone()
    return _Texts(gone, total, size)


def _pruned(
    done: bool, chosen: _Chosen, texts: _Texts, sizes: tuple[int, int | None], scrubbed: bool = False
) -> Pruned:
    return Pruned(
        done, chosen.rows, (texts.gone, texts.total), texts.size, chosen.oldest, chosen.newest, sizes,
        scrubbed, chosen.decision_ids,
    )  # fmt: skip


def _size(files: Iterable[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.exists())
