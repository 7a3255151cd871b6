"""One DuckDB file of vectors, replaced and never changed in place: any program may keep it open read-only.

The table in it has the name of the file, and the columns id, seq, message_id, content_hash, vector. Its comment holds
the epoch of the memory it belongs to; a file of another memory counts as empty.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MemoryStoreError
from ..storage.fold import STORAGE_VERSION
from ..storage.paths import private_directory
from .vector_tables import VectorTable

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Block", "VectorFile"]

_ROWS_AT_ONCE = 20_480
"""Rows of one row group, and of one insert: so each is written once. With DuckDB's own size the file of 100,000 vectors
has holes of half its size."""


class Block(NamedTuple):
    """Vectors and what they belong to, row by row. `message_ids` may be empty where nobody asks for them."""

    ids: np.ndarray[Any, Any]
    seqs: np.ndarray[Any, Any]
    hashes: np.ndarray[Any, Any]
    vectors: np.ndarray[Any, Any]
    message_ids: list[str]

    def __len__(self) -> int:
        return len(self.ids)


class VectorFile:
    """The file of `table` in `folder`, for the memory called `epoch`."""

    def __init__(self, folder: Path, table: VectorTable, epoch: str) -> None:
        self.path = folder / f"{table.name}.duckdb"
        self.table = table
        self._mark = f"sekha memory 1 {epoch}"

    @property
    def identity(self) -> tuple[int, int, int] | None:
        """Another one for each file that was put here; None where there is none."""
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def keys(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Ids and content hashes of all rows, in the order of the file."""
        import numpy as np

        with self._attached() as connection:
            if connection is None:
                return np.empty(0, np.int64), np.empty(0, np.int64)
            read = connection.sql(f"SELECT id, content_hash FROM file.{self.table.name}").to_arrow_table()
            return read.column(0).to_numpy(), read.column(1).to_numpy()

    def blocks(self, only: np.ndarray[Any, Any] | None = None) -> Iterator[Block]:
        """The rows, or those with the ids `only`. The vectors are views of what DuckDB handed over: copy to keep."""
        import pyarrow as pa

        with self._attached() as connection:
            if connection is None:
                return
            where = ""
            if only is not None:
                connection.register("wanted", pa.table({"id": only}))
                where = " WHERE id IN (SELECT id FROM wanted)"
            query = f"SELECT id, seq, content_hash, vector FROM file.{self.table.name}{where}"
            for batch in pa.RecordBatchReader.from_stream(connection.sql(query)):
                ids, seqs, hashes = (batch.column(i).to_numpy(zero_copy_only=False) for i in range(3))
                flat = batch.column(3).flatten().to_numpy(zero_copy_only=False)
                yield Block(ids, seqs, hashes, flat.reshape(-1, self.table.dimension), [])

    def replace(self, keep: np.ndarray[Any, Any] | None, added: list[Block]) -> bool:
        """Put a file in place that has the rows with the ids `keep` (None: all there are) and `added`.

        Durable when it returns. False where the system refuses the rename, as Windows does while somebody has the
        file open. Nobody else may replace it meanwhile.
        """
        import duckdb

        private_directory(self.path.parent)
        self._remove_leftovers()
        folder = Path(tempfile.mkdtemp(prefix=f"{self.path.name}.fold-", dir=self.path.parent))
        copy = folder / self.path.name
        try:
            if keep is None and self.identity is not None:
                shutil.copyfile(self.path, copy)
            try:
                with duckdb.connect(":memory:") as connection:
                    if keep is not None and len(keep):
                        self.attach(connection, "file")
                    self._write(connection, copy, keep, added)
            except duckdb.Error as error:
                raise MemoryStoreError(
                    f"{self.path} cannot be folded: {error}", hint="Nothing is lost: memory.sqlite keeps its vectors."
                ) from error
            return self._put(copy)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _write(self, connection: Any, copy: Path, keep: np.ndarray[Any, Any] | None, added: list[Block]) -> None:
        import pyarrow as pa

        name, dimension = self.table.name, self.table.dimension
        version = "" if copy.exists() else f", STORAGE_VERSION '{STORAGE_VERSION}'"
        connection.execute(f"SET temp_directory = {_literal(str(copy.parent / 'spill'))}")
        options = f"TYPE duckdb, ROW_GROUP_SIZE {_ROWS_AT_ONCE}{version}"
        connection.execute(f"ATTACH {_literal(str(copy))} AS fresh ({options})")
        connection.execute("BEGIN")
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS fresh.{name} (id BIGINT, seq BIGINT, message_id VARCHAR, content_hash BIGINT,"
            f" vector FLOAT[{dimension}])"
        )
        connection.execute(f"COMMENT ON TABLE fresh.{name} IS {_literal(self._mark)}")
        if keep is not None and len(keep):
            connection.register("kept", pa.table({"id": keep}))
            connection.execute(f"INSERT INTO fresh.{name} SELECT * FROM file.{name} WHERE id IN (SELECT id FROM kept)")
        for block in added:
            for start in range(0, len(block), _ROWS_AT_ONCE):
                part = slice(start, start + _ROWS_AT_ONCE)
                vectors = pa.FixedSizeListArray.from_arrays(pa.array(block.vectors[part].ravel()), dimension)
                columns = [block.ids[part], block.seqs[part], block.message_ids[part], block.hashes[part], vectors]
                connection.register("incoming", pa.table(columns, ["id", "seq", "message_id", "hash", "vector"]))
                connection.execute(f"INSERT INTO fresh.{name} SELECT * FROM incoming")
                connection.unregister("incoming")
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT fresh")
        connection.execute("DETACH fresh")

    def _put(self, copy: Path) -> bool:
        copy.chmod(0o600)
        descriptor = os.open(copy, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            copy.replace(self.path)
        except PermissionError:
            return False
        if os.name != "nt":  # has no such thing, nor needs it
            descriptor = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        return True

    @contextmanager
    def _attached(self) -> Iterator[Any]:
        """A private connection with this file read-only as `file`; None where there is none, or another memory's."""
        import duckdb

        if not self.path.exists():
            yield None
            return
        with duckdb.connect(":memory:") as connection:
            yield connection if self.attach(connection, "file") else None

    def attach(self, connection: Any, name: str) -> bool:
        """Attach the file read-only; False when it belongs to another memory. Raises `MemoryStoreError`."""
        import duckdb

        try:
            # Named as a type: for a file of SQLite's, say, DuckDB would otherwise go and fetch an extension.
            connection.execute(f"ATTACH {_literal(str(self.path))} AS {name} (READ_ONLY, TYPE duckdb)")
            marked = connection.execute(
                "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND table_name = ? AND comment = ?",
                [name, self.table.name, self._mark],
            ).fetchone()[0]
        except duckdb.Error as error:
            raise MemoryStoreError(
                f"{self.path} cannot be read: {error}",
                hint="Close it where it is open for writing. If it is damaged, move it away: its messages are embedded"
                " again.",
            ) from error
        return bool(marked)

    def _remove_leftovers(self) -> None:
        for leftover in self.path.parent.glob(f"{self.path.name}.fold-*"):
            shutil.rmtree(leftover, ignore_errors=True)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
