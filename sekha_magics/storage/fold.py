"""The queue's rows into a DuckDB file that is replaced, never changed in place.

Whoever holds the fold lock copies the file, adds the rows by id, checkpoints, syncs, renames the copy over the
original, and only then deletes the rows from the queue. A death at any point loses nothing and doubles nothing: the
rows are in the queue until the new file is in place, and a row found in both is dropped by its id. Any program may
keep the file open read-only, as long as it likes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

from ..errors import LedgerError
from .aside import set_aside
from .migrations import APPLIED, record, standing
from .paths import private_directory
from .queue import QueuedRow
from .tables import Gathered, Tables, quoted

__all__ = ["STORAGE_VERSION", "Folded", "Source", "attach", "fold", "rewrite"]

STORAGE_VERSION = "v1.0.0"
"""Every DuckDB since 1.0 reads it: one file serves environments with different versions."""

_ROWS_AT_ONCE = 5000
T = TypeVar("T")
U = TypeVar("U")


class Folded(NamedTuple):
    """`rows` were taken out of the queue. `waiting` says why others must stay there for now, or is empty.

    `aside` is where a file went that was too damaged to be opened; the rows are in a new one.
    """

    rows: int
    waiting: str = ""
    aside: Path | None = None


class _Damaged(LedgerError):
    """A file of DuckDB's that DuckDB cannot open any more."""


class Source(Protocol):
    """Where a fold takes rows from: the queue, or what stands in for it."""

    def __len__(self) -> int: ...

    def read(self, *, after: str = "", limit: int = -1) -> list[QueuedRow]: ...

    def delete(self, event_ids: Iterable[str]) -> None: ...


def fold(
    path: Path, queue: Source, tables: Tables, *, wait: float, keep: Callable[[Sequence[QueuedRow]], None] | None = None
) -> Folded:
    """Move what is in `queue` to the file at `path`. `wait` is how long another fold may take, in seconds.

    `keep` is given the rows before they leave the queue, and makes durable what of them does not go into the file.
    Raises `LedgerError` when the file at `path` is not one of ours, a newer version made it in a form unknown here,
    another program writes it or DuckDB fails, `OSError` and `sqlite3.Error` when the disk refuses. The queue is then
    as it was.
    """
    import duckdb
    import filelock

    # A link's target is replaced, not the link.
    target = Path(os.path.realpath(path))
    private_directory(target.parent)
    lock = filelock.FileLock(f"{target}.lock", mode=0o600, timeout=wait)
    try:
        with lock:
            _remove_leftovers(target)
            try:
                return _fold(target, queue, tables, keep)
            except _Damaged:
                aside = set_aside(target)
                return _fold(target, queue, tables, keep)._replace(aside=aside)
    except filelock.Timeout:
        return Folded(0, "another process is folding")
    except duckdb.Error as error:
        raise LedgerError(
            f"{path} cannot be folded: {error}", hint="Nothing is lost: the queue keeps its rows."
        ) from error


def rewrite(
    path: Path,
    queue: Source,
    tables: Tables,
    fill: Callable[[Any], T],
    then: Callable[[T], U],
    *,
    wait: float,
    keep: Callable[[Sequence[QueuedRow]], None],
) -> U:
    """Put a new file in place of the one at `path`. What is in the queue is folded before, with `keep` as in `fold`.

    `fill` gets a connection with the tables of the old file, and an empty `folded.main` to write what shall stay.
    `then` gets its answer when the new file is in place; nobody folds before it has ended, and what is queued meanwhile
    stays queued. Raises as `fold` does, and `LedgerError` where the file is in use or holds what is not known here.
    """
    import duckdb
    import filelock

    target = Path(os.path.realpath(path))
    private_directory(target.parent)
    try:
        with filelock.FileLock(f"{target}.lock", mode=0o600, timeout=wait):
            _remove_leftovers(target)
            waiting = _fold(target, queue, tables, keep).waiting
            if not target.exists():
                _replace(target, tables.gather(()))
            with _workplace(target) as folder:
                fresh = folder / "fresh.duckdb"
                with _writable(fresh, tables) as connection:
                    attach(connection, target, "original", tables)
                    _refuse_unknown(connection, path, tables)
                    connection.execute("USE original")
                    filled = fill(connection)
                _sync(fresh)
                if waiting or not _put(fresh, target):
                    raise LedgerError(f"{path} is held open by another program.", hint="Close it there, and try again.")
            return then(filled)
    except filelock.Timeout as error:
        raise LedgerError(f"{path} is being folded by another process.", hint="Try again in a moment.") from error
    except duckdb.Error as error:
        raise LedgerError(f"{path} cannot be written anew: {error}", hint="It is as it was.") from error


def attach(connection: Any, path: Path, name: str, tables: Tables) -> None:
    """Attach the file at `path` read-only. Raises `LedgerError` when it is not one of `tables.room`."""
    import duckdb

    try:
        # Named as a type: for a file of SQLite's, say, DuckDB would otherwise go and fetch an extension.
        connection.execute(f"ATTACH {_text(path)} AS {quoted(name)} (READ_ONLY, TYPE duckdb)")
        marked = connection.execute(
            "SELECT count(*) FROM duckdb_tables() WHERE database_name = ? AND comment = ?", [name, _mark(tables)]
        ).fetchone()[0]
    except duckdb.IOException as error:
        if "Could not set lock" in str(error) or "being used by another process" in str(error):
            raise _busy(path, "in another program") from error
        if _is_damage(path, str(error)):
            raise _damaged(path, tables) from error
        raise _foreign(path, tables) from error
    except duckdb.BinderException as error:
        # DuckDB looks at the path here: whoever has it open for writing does so in this very process.
        raise _busy(path, "by a DuckDB connection of this program") from error
    except duckdb.Error as error:
        raise _foreign(path, tables) from error
    if not marked:
        raise _foreign(path, tables)


def _fold(target: Path, queue: Source, tables: Tables, keep: Callable[[Sequence[QueuedRow]], None] | None) -> Folded:
    rows, last = 0, ""
    # As many as there are now: kernels that write fast would otherwise keep this one from its end.
    left = len(queue)
    while left > 0 and (batch := queue.read(after=last, limit=min(left, _ROWS_AT_ONCE))):
        left -= len(batch)
        last = batch[-1].event_id
        gathered = tables.gather(batch)
        if not gathered.taken:
            continue
        if keep is not None:
            # First, as with all of it: what is in two places is met once, what is in none is lost.
            keep(gathered.taken)
        if not _replace(target, gathered):
            return Folded(rows, "another program holds the file open")
        queue.delete(row.event_id for row in gathered.taken)
        rows += len(gathered.taken)
    return Folded(rows)


def _replace(target: Path, gathered: Gathered) -> bool:
    """Put a file with the rows added in place of `target`, durably. False where the system refuses the rename."""
    tables = gathered.tables
    with _workplace(target) as folder:
        copy = folder / "copy.duckdb"
        if target.exists():
            _copy(target, copy, tables)
        with _writable(copy, tables) as connection:
            for table, key in tables.keys.items():
                if gathered.load(connection, table, "incoming"):
                    connection.execute(_insert(table, key))
        _sync(copy)
        return _put(copy, target)


def _put(copy: Path, target: Path) -> bool:
    try:
        copy.replace(target)
    except PermissionError:
        # Windows, while somebody holds the file open.
        return False
    _sync_directory(target.parent)
    return True


def _refuse_unknown(connection: Any, path: Path, tables: Tables) -> None:
    """Raise `LedgerError` for a table or column that would be lost."""
    found = connection.execute(
        "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'original' AND table_name IN"
        " (SELECT table_name FROM duckdb_tables() WHERE database_name = 'original' AND table_name <> ?)",
        [APPLIED],
    ).fetchall()
    if unknown := [f"{table}.{column}" for table, column in found if column not in tables.columns.get(table, ())]:
        raise LedgerError(
            f"{path} holds what this version does not know: {', '.join(unknown[:3])}.",
            hint="Use the version of sekha-magics that wrote it, or a newer one.",
        )


def _copy(target: Path, copy: Path, tables: Tables) -> None:
    import duckdb

    if target.with_name(target.name + ".wal").exists():
        raise LedgerError(
            f"{target} has changes of another program beside it, in {target.name}.wal.",
            hint="Open it once with DuckDB, run CHECKPOINT, close it.",
        )
    with duckdb.connect(":memory:") as holder:
        # Held while it is copied: whoever could write to it in the meantime is refused.
        attach(holder, target, "original", tables)
        shutil.copyfile(target, copy)


@contextmanager
def _writable(copy: Path, tables: Tables) -> Iterator[Any]:
    """A connection to the copy, tables made, in one transaction; the file is whole when the block has ended."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        # Spilled rows belong beside the copy, not in whatever folder the notebook runs in.
        connection.execute(f"SET temp_directory = {_text(copy.parent / 'spill')}")
        connection.execute("SET TimeZone = 'UTC'")
        version = "" if copy.exists() else f", STORAGE_VERSION '{STORAGE_VERSION}'"
        connection.execute(f"ATTACH {_text(copy)} AS folded (TYPE duckdb{version})")
        connection.execute("USE folded")
        connection.execute("BEGIN")
        current = _migrate(connection, tables)
        for table in tables.keys:
            connection.execute(f"COMMENT ON TABLE folded.{quoted(table)} IS {_literal(_mark(tables))}")
        if tables.views and current:
            connection.execute(tables.views)
        yield connection
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT folded")
        connection.execute("USE memory")
        connection.execute("DETACH folded")


def _migrate(connection: Any, tables: Tables) -> bool:
    """Bring the tables to today's form. False when a newer version's form is kept, and its views."""
    connection.execute(f"CREATE TABLE IF NOT EXISTS {APPLIED} (name VARCHAR)")
    found = standing(tables.steps, [row[0] for row in connection.execute(f"SELECT name FROM {APPLIED}").fetchall()])
    if found.broken:
        raise LedgerError(
            f"A newer version of sekha_magics made this {tables.room}; this one would damage it.",
            hint="Update sekha_magics. Until then the queue keeps what is new, and it is read from there.",
        )
    for step in found.missing:
        connection.execute(step.sql)
    record(found.missing, connection.execute)
    return not found.unknown


def _insert(table: str, key: tuple[str, ...]) -> str:
    same = " AND ".join(f"t.{quoted(column)} = i.{quoted(column)}" for column in key)
    return (
        f"INSERT INTO folded.{quoted(table)} BY NAME SELECT * FROM incoming AS i"
        f" WHERE NOT EXISTS (SELECT 1 FROM folded.{quoted(table)} AS t WHERE {same})"
    )


@contextmanager
def _workplace(target: Path) -> Iterator[Path]:
    """A folder beside `target`, on the same file system and mode 0700: nobody sees the copy before it has its mode."""
    folder = Path(tempfile.mkdtemp(prefix=f"{target.name}.fold-", dir=target.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(target: Path) -> None:
    """Remove what folds that were killed left behind; nobody else folds now."""
    for leftover in target.parent.glob(f"{target.name}.fold-*"):
        shutil.rmtree(leftover, ignore_errors=True)


def _sync(path: Path) -> None:
    path.chmod(0o600)
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: Path) -> None:
    if os.name == "nt":  # has no such thing, nor needs it
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _mark(tables: Tables) -> str:
    return f"sekha {tables.room} 1"


def _foreign(path: Path, tables: Tables) -> LedgerError:
    return LedgerError(
        f"{path} is not a {tables.room} of this package, or it is damaged.",
        hint="Move the file away, or name another path. What is not folded yet is safe in the queue beside it.",
    )


def _is_damage(path: Path, said: str) -> bool:
    with path.open("rb") as file:
        ours = file.read(12)[8:] == b"DUCK"
    return ours and ("Corrupt database file" in said or "Could not read enough bytes" in said)


def _damaged(path: Path, tables: Tables) -> LedgerError:
    return _Damaged(
        f"{path} is not a {tables.room} of this package, or it is damaged: DuckDB cannot open it.",
        hint="The next fold sets it aside and begins a new one. What is not folded yet is safe in the queue beside it.",
    )


def _busy(path: Path, where: str) -> LedgerError:
    return LedgerError(
        f"{path} is open for writing {where}.",
        hint="Close it there, or open it read-only: nothing is lost, the queue keeps what is new.",
    )


def _text(path: Path) -> str:
    return _literal(str(path))


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
