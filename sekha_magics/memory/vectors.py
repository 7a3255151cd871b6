"""The vectors of all models: new ones in SQLite, old ones in a DuckDB file for each dimension and model.

A vector counts while SQLite has a row of its id: deleting a message or its text takes that row away at once, whatever
the files still hold, and the next fold drops it there. A row whose vector is neither in SQLite nor in the file (a file
was deleted, a bulk load was killed) is found by a fold, and its message is embedded again.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import InvalidInput, MemoryStoreError
from .archive import Archive, content_hash
from .vector_file import Block, VectorFile
from .vector_tables import VectorTable, check_vectors, table_name

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Text", "Vectors"]

_FOLD_AT, _FOLD_SHARE = 2_000, 0.1
"""Vectors in SQLite that are worth a fold: as many, and this share of those in the file, which is copied."""

_AT_ONCE = 500


class Text(NamedTuple):
    """A message's text as it was when it was read to be embedded."""

    seq: int
    message_id: str
    content: str


class Vectors:
    """The vectors of the messages in `archive`, with their files in `folder`."""

    def __init__(self, archive: Archive, folder: Path) -> None:
        self._archive, self._folder = archive, folder

    # --- tables ---

    def tables(self) -> list[VectorTable]:
        return [VectorTable(*row) for row in self._archive.rows("SELECT * FROM vector_tables ORDER BY id")]

    def file(self, table: VectorTable) -> VectorFile:
        return VectorFile(self._folder, table, self._archive.epoch())

    def table(self, dimension: int, model: str) -> VectorTable:
        """The one of this dimension and model, made when it is not there."""
        with self._archive.writing() as connection:
            return _table(connection, dimension, model)

    # --- adding ---

    def put(self, table: VectorTable, texts: Sequence[Text] | Sequence[str], vectors: Any) -> int:
        """Keep the vectors of these texts, or messages by their ids, and say how many were still wanted.

        A text may be gone or changed meanwhile. Many at once go straight to the file. Raises `MemoryStoreError` for
        vectors that do not fit the table.
        """
        array = check_vectors(table, vectors, len(texts))
        rows = [(row, text) for row, text in enumerate(self._texts(texts)) if text is not None]
        if len(rows) < len(texts):
            array = array[[row for row, _ in rows]]
        wanted = [text for _, text in rows]
        if len(wanted) >= self._worth_a_fold(table):
            return self._put_to_file(table, wanted, array)
        with self._archive.writing() as connection:
            return sum(
                _insert(connection, table, text, vector.tobytes()) is not None
                for text, vector in zip(wanted, array, strict=True)
            )

    def _texts(self, given: Sequence[Text] | Sequence[str]) -> Sequence[Text | None]:
        ids = [one for one in given if isinstance(one, str)]
        found: dict[str, Text] = {}
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            query = f"SELECT seq, message_id, content FROM messages WHERE message_id IN ({marks})"
            found.update((row[1], Text(*row)) for row in self._archive.rows(query, part))
        return [found.get(one) if isinstance(one, str) else one for one in given]

    def _put_to_file(self, table: VectorTable, texts: Sequence[Text], array: np.ndarray[Any, Any]) -> int:
        import numpy as np

        with self._folding(table, wait=60.0) as held:
            if not held:
                raise MemoryStoreError(f"{table.name} is being folded by another process.", hint="Try again later.")
            ids: list[int | None] = []
            for start in range(0, len(texts), _AT_ONCE):
                with self._archive.writing() as connection:
                    ids += [_insert(connection, table, t, None) for t in texts[start : start + _AT_ONCE]]
            kept = [row for row, vector_id in enumerate(ids) if vector_id is not None]
            block = Block(
                np.array([ids[row] for row in kept], np.int64),
                np.array([texts[row].seq for row in kept], np.int64),
                np.array([content_hash(texts[row].content)[1] for row in kept], np.int64),
                array if len(kept) == len(texts) else array[kept],
                [texts[row].message_id for row in kept],
            )
            if not self._rewrite(table, block):
                raise MemoryStoreError(f"{table.name} is held open by another program.", hint="Close it there.")
        return len(kept)

    # --- reading ---

    def pending(self, table: VectorTable, after: int = 0, until: int = 2**62) -> Block:
        """Vectors that are in SQLite, with ids above `after`, up to `until`."""
        rows = self._archive.rows(
            "SELECT v.id, v.message, v.content_hash, v.vector, m.message_id FROM vectors AS v"
            " JOIN messages AS m ON m.seq = v.message"
            " WHERE v.table_id = ? AND v.id > ? AND v.id <= ? AND v.vector IS NOT NULL ORDER BY v.id",
            (table.id, after, until),
        )
        return _block(rows, table.dimension)

    def live(self, table: VectorTable) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Ids and content hashes of all vectors that count, by id."""
        import numpy as np

        rows = self._archive.rows("SELECT id, content_hash FROM vectors WHERE table_id = ? ORDER BY id", (table.id,))
        both = np.array(rows, np.int64).reshape(-1, 2)
        return both[:, 0], both[:, 1]

    # --- folding ---

    def fold(self, *, force: bool = False, wait: float = 10.0) -> bool:
        """Move vectors from SQLite to the files where enough have come, or all with `force`; drop what counts no more.

        False when some must wait: another process folds, or holds a file open.
        """
        done = True
        for table in self.tables():
            if not force and self._waiting(table) < self._worth_a_fold(table):
                continue
            with self._folding(table, wait) as held:
                done &= held and self._rewrite(table, None)
        return done

    def _waiting(self, table: VectorTable) -> int:
        query = "SELECT count(*) FROM vectors WHERE table_id = ? AND vector IS NOT NULL"
        return int(self._archive.rows(query, (table.id,))[0][0])

    def _worth_a_fold(self, table: VectorTable) -> int:
        query = "SELECT count(*) FROM vectors WHERE table_id = ?"
        return max(_FOLD_AT, int(_FOLD_SHARE * self._archive.rows(query, (table.id,))[0][0]))

    def _folding(self, table: VectorTable, wait: float) -> _FoldLock:
        return _FoldLock(self.file(table).path, wait)

    def _rewrite(self, table: VectorTable, bulk: Block | None) -> bool:
        """One fold, with the lock held. `bulk` are rows whose ids SQLite has, without their vectors."""
        import numpy as np

        file = self.file(table)
        pending = self.pending(table)
        live_ids, live_hashes = self.live(table)
        in_file, hashes_in_file = file.keys()
        keep = _matching(in_file, hashes_in_file, live_ids, live_hashes)
        added = [block for block in (pending, bulk) if block is not None and len(block)]
        have = np.concatenate([keep, *(block.ids for block in added)])
        self._embed_again(np.setdiff1d(live_ids, have))
        if not added and len(keep) == len(in_file):
            return True
        if not file.replace(None if len(keep) == len(in_file) and len(in_file) else keep, added):
            return False
        ids = [int(i) for i in pending.ids]
        for start in range(0, len(ids), _AT_ONCE):
            part = ids[start : start + _AT_ONCE]
            with self._archive.writing() as connection:
                marks = ",".join("?" * len(part))
                connection.execute(f"UPDATE vectors SET vector = NULL WHERE id IN ({marks})", part)
        self._archive.tidy()
        return True

    def _embed_again(self, ids: np.ndarray[Any, Any]) -> None:
        lost = [(int(i),) for i in ids]
        if not lost:
            return
        with self._archive.writing() as connection:
            connection.executemany(
                "INSERT OR IGNORE INTO unembedded (message, batch, holder, model) SELECT v.message, 'lost', '', t.model"
                " FROM vectors AS v JOIN vector_tables AS t ON t.id = v.table_id WHERE v.id = ? AND v.vector IS NULL",
                lost,
            )
            connection.executemany("DELETE FROM vectors WHERE id = ? AND vector IS NULL", lost)


class _FoldLock:
    """One process at a time replaces the file at `path`; entering says whether it is us."""

    def __init__(self, path: Path, wait: float) -> None:
        import filelock

        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = filelock.FileLock(f"{path}.lock", mode=0o600, timeout=wait, thread_local=False)

    def __enter__(self) -> bool:
        import filelock

        try:
            self._lock.acquire()
        except filelock.Timeout:
            return False
        return True

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _table(connection: sqlite3.Connection, dimension: int, model: str) -> VectorTable:
    rows = [VectorTable(*row) for row in connection.execute("SELECT * FROM vector_tables").fetchall()]
    for table in rows:
        if (table.dimension, table.model) == (dimension, model):
            return table
    if isinstance(dimension, bool) or not isinstance(dimension, int) or not 1 <= dimension <= 100_000:
        raise InvalidInput(f"dimension is {dimension!r:.40}.", hint="It is a whole number from 1 to 100000.")
    name = table_name(dimension, model, {table.name for table in rows})
    added = connection.execute(
        "INSERT INTO vector_tables (dimension, model, name) VALUES (?, ?, ?)", (dimension, model, name)
    ).lastrowid
    return VectorTable(int(added or 0), dimension, model, name)


def _insert(connection: sqlite3.Connection, table: VectorTable, text: Text, vector: bytes | None) -> int | None:
    """The id of the row; None when the message is gone or says something else by now."""
    sha256, number = content_hash(text.content)
    row = connection.execute("SELECT sha256 FROM messages WHERE seq = ?", (text.seq,)).fetchone()
    if row is None or row[0] != sha256:
        return None
    # Not REPLACE, which fires no trigger: readers would keep the old vector.
    connection.execute("DELETE FROM vectors WHERE message = ? AND table_id = ?", (text.seq, table.id))
    connection.execute("DELETE FROM unembedded WHERE message = ?", (text.seq,))
    return connection.execute(
        "INSERT INTO vectors (table_id, message, content_hash, vector) VALUES (?, ?, ?, ?)",
        (table.id, text.seq, number, vector),
    ).lastrowid


def _block(rows: Sequence[tuple[Any, ...]], dimension: int) -> Block:
    import numpy as np

    vectors = np.frombuffer(b"".join(row[3] for row in rows), "<f4").astype(np.float32, copy=False)
    ids, seqs, hashes = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    return Block(ids, seqs, hashes, vectors.reshape(-1, dimension), [row[4] for row in rows])


def _matching(
    ids: np.ndarray[Any, Any],
    hashes: np.ndarray[Any, Any],
    live_ids: np.ndarray[Any, Any],
    live_hashes: np.ndarray[Any, Any],
) -> np.ndarray[Any, Any]:
    """The `ids` that count, with the same text."""
    import numpy as np

    if not len(ids) or not len(live_ids):
        return ids[:0]
    at = np.searchsorted(live_ids, ids).clip(max=len(live_ids) - 1)
    matching: np.ndarray[Any, Any] = ids[(live_ids[at] == ids) & (live_hashes[at] == hashes)]
    return matching
