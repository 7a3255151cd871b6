"""Where every event is committed before anything else knows of it: one SQLite row per event, from any process.

An event is there whole or not at all, `kill -9` included. It leaves only when a fold has made it durable elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from .sqlite import Database

__all__ = ["Columns", "NewRow", "Queue", "QueuedRow", "payload_of"]

Columns = Mapping[str, Sequence[Any]]
"""Rows of one table by column: every sequence is as long as the others."""


class NewRow(NamedTuple):
    """`event_id` is unique in the world; `payload` comes from `payload_of`."""

    event_id: str
    kind: str
    payload: str


class QueuedRow(NamedTuple):
    seq: int
    event_id: str
    kind: str
    payload: str


def payload_of(tables: Mapping[str, Columns]) -> str:
    """The rows an event adds, by table. By column, because a column's name is then written once, not once per row."""
    return json.dumps(tables, separators=(",", ":"))


class Queue:
    """The queue in the file at `path`. Raises `sqlite3.Error` or `OSError` when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, Path(__file__).with_name("queue.sql").read_text(encoding="utf-8"))

    @property
    def generation(self) -> int:
        """Grows when the file was deleted and made anew; what was in it is gone."""
        return self._database.generation

    def append(self, rows: Iterable[NewRow]) -> None:
        """Commit all of `rows` or none. A row whose `event_id` is there already is left out."""
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO queue (event_id, kind, payload) VALUES (?, ?, ?) ON CONFLICT (event_id) DO NOTHING", rows
            )

    def read(self, *, after: int = 0, limit: int = -1) -> list[QueuedRow]:
        """Rows in the order they were committed, from the one behind `after`; all of them without `limit`."""
        with self._database.read() as connection:
            if connection is None:
                return []
            found = connection.execute(
                "SELECT seq, event_id, kind, payload FROM queue WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit)
            )
            return [QueuedRow(*row) for row in found]

    def last(self) -> int:
        """The number of the newest row, 0 when there is none."""
        with self._database.read() as connection:
            found = None if connection is None else connection.execute("SELECT max(seq) FROM queue").fetchone()[0]
            return found or 0

    def delete(self, seqs: Iterable[int]) -> None:
        with self._database.write() as connection:
            connection.executemany("DELETE FROM queue WHERE seq = ?", ((seq,) for seq in seqs))

    def __len__(self) -> int:
        with self._database.read() as connection:
            if connection is None:
                return 0
            return int(connection.execute("SELECT count(*) FROM queue").fetchone()[0])

    def scrub(self) -> bool:
        """Leave nothing of deleted rows on the disk; False where that has to wait for a reader elsewhere."""
        return self._database.scrub()

    def tidy(self) -> None:
        """Do now, where nobody waits, what SQLite would do inside some later commit."""
        self._database.checkpoint()

    def close(self) -> None:
        self._database.close()
