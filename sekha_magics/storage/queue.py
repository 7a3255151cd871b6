"""Where every event is committed before anything else knows of it: one SQLite row per event, from any process.

An event is there whole or not at all, its texts included, `kill -9` as well. It leaves only when a fold has made it
durable elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from sqlite3 import Connection
from typing import Any, NamedTuple

from .flat import by_column, quoted_json
from .migrations import migrations
from .sqlite import Database

__all__ = ["Queue", "QueuedRow", "payload_of"]

STEPS = migrations(Path(__file__).with_name("schemas") / "queue")
_INSERT = "INSERT INTO events (event_id, payload, texts) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
# By table: how its rows look. A file of an earlier version that may only be read lacks the first.
_ROWS = {
    "events": "SELECT event_id, payload, {texts} FROM events WHERE event_id > :after ORDER BY event_id LIMIT :limit",
    "queue": "SELECT event_id, payload, '' FROM queue WHERE event_id > :after ORDER BY event_id LIMIT :limit",
}


class QueuedRow(NamedTuple):
    """`event_id` is unique in the world; `payload` comes from `payload_of`; `texts` are bodies by hash, as JSON."""

    event_id: str
    payload: str
    texts: str = ""


def payload_of(tables: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """The rows an event adds, by table: `{"table": {"column": [value, ...], ...}, ...}`."""
    return "{" + ",".join([f"{quoted_json(table)}:{by_column(rows)}" for table, rows in tables.items() if rows]) + "}"


class Queue:
    """The queue in the file at `path`. Raises `sqlite3.Error` or `OSError` when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, STEPS)

    @property
    def generation(self) -> int:
        """Grows when the file was deleted and made anew; what was in it is gone."""
        return self._database.generation

    def append(self, rows: Iterable[QueuedRow]) -> None:
        """Commit all of `rows` or none. A row whose `event_id` is there already is left out."""
        given = list(rows)
        if len(given) == 1:
            self._database.execute(_INSERT, given[0])
        elif given:
            with self._database.write() as connection:
                connection.executemany(_INSERT, given)

    def read(self, *, after: str = "", limit: int = -1, texts: bool = True) -> list[QueuedRow]:
        """Rows in the order of their ids, from the one behind `after`; all of them without `limit`.

        Without `texts` these are left empty: they are most of what is read.
        """
        with self._database.read() as connection:
            if connection is None or not (tables := _present(connection)):
                return []
            column = "texts" if texts else "''"
            parts = " UNION ALL ".join(f"SELECT * FROM ({_ROWS[table].format(texts=column)})" for table in tables)
            query = f"{parts} ORDER BY event_id LIMIT :limit"
            return [QueuedRow(*row) for row in connection.execute(query, {"after": after, "limit": limit})]

    def delete(self, event_ids: Iterable[str]) -> None:
        gone = [(event_id,) for event_id in event_ids]
        with self._database.write() as connection:
            connection.executemany("DELETE FROM events WHERE event_id = ?", gone)
            connection.executemany("DELETE FROM queue WHERE event_id = ?", gone)

    def __len__(self) -> int:
        with self._database.read() as connection:
            if connection is None:
                return 0
            counts = (connection.execute(f"SELECT count(*) FROM {table}") for table in _present(connection))
            return sum(int(count.fetchone()[0]) for count in counts)

    def scrub(self) -> bool:
        """Leave nothing of deleted rows on the disk; False where that has to wait for a reader elsewhere."""
        return self._database.scrub()

    def purge(self) -> None:
        """Leave nothing of the rows that were deleted, in the file or its log."""
        self._database.purge()

    def tidy(self) -> None:
        """Do now, where nobody waits, what SQLite would do inside some later commit."""
        self._database.checkpoint()

    def close(self) -> None:
        self._database.close()


def _present(connection: Connection) -> list[str]:
    found = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in _ROWS if table in found]
