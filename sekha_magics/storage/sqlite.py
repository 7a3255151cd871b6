"""One SQLite file that any number of processes and threads write, and that a fork cannot harm.

A commit survives `kill -9`: with WAL and `synchronous=NORMAL` it is in the operating system's page cache, which does
not die with a process. Only a power cut can take the newest commits, and even that leaves the file sound; `FULL` would
pay for that case with a sync to the disk per commit.

SQLite keeps its locks per process, so a connection that crosses a fork makes the child believe in locks it does not
hold, and the last process to leave then deletes a log the child still writes. Hence: before a fork every connection is
closed, and afterwards each side opens its own.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .aside import set_aside
from .migrations import APPLIED, Migration, Standing, record, standing
from .paths import private_directory, private_file

__all__ = ["BUSY_SECONDS", "Damaged", "Database", "MadeByNewerVersion", "WalRefused", "log_refused"]

BUSY_SECONDS = 5.0
"""How long a writer waits for the others before it gives up; a commit takes a tenth of a millisecond."""

_LOG_PAGES = 8000
"""A commit that finds the log longer than this (32 MB) moves it to the file and syncs, which takes milliseconds; the
thread that folds does so before."""

# How a file system refuses the memory that processes share, or the locks on it.
_NO_LOG = {
    sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR_SHMOPEN, sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMLOCK, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_LOCK, sqlite3.SQLITE_IOERR_RDLOCK,
}  # fmt: skip

_open: weakref.WeakSet[Database] = weakref.WeakSet()


class MadeByNewerVersion(sqlite3.DatabaseError):
    """A newer version changed the file in a way this one could damage."""


class WalRefused(sqlite3.OperationalError):
    """The file system cannot carry SQLite's log: it has no memory that processes share, as many network ones."""


class Damaged(sqlite3.DatabaseError):
    """The file of `database` is broken, or no database at all."""

    def __init__(self, database: Database, error: sqlite3.Error) -> None:
        super().__init__(f"{database.path.name}: {error}")
        self.database = database


class Database:
    """The file at `path`, with the tables that `schema` makes: steps from earlier forms, or one text that may be run
    again at any time. One connection per process, made at first use.

    Raises `sqlite3.Error` or `OSError` when the file cannot be used; the next use tries again.
    """

    def __init__(self, path: Path, schema: str | Sequence[Migration], *, alone: bool = False) -> None:
        """`alone`: whoever writes holds a lock of another kind, so that the file can do without SQLite's log."""
        self.path = path
        self._alone = alone
        self._schema = schema
        # Protects the connection: from use by two threads, and from a fork in the middle of a statement.
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self._generation = 0
        _open.add(self)

    @property
    def generation(self) -> int:
        """Grows when the file is found to be another one than before (deleted by somebody, and made anew)."""
        return self._generation

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it is committed when the block ends, none of it when the block raises."""
        with self._lock, self._naming():
            connection = self._connect()
            # IMMEDIATE, because a transaction that turns from reading to writing is refused without waiting.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # A full disk ends the transaction on SQLite's side already.
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def execute(self, statement: str, values: Sequence[Any]) -> None:
        """One statement that is a transaction of its own: a third cheaper than a block with one statement."""
        with self._lock:
            try:
                self._connect().execute(statement, values)
            except sqlite3.Error as error:
                raise self._named(error) from error

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to read from, or None where there is no file yet: reading makes none.

        A file this user may read but not write is read without a lock.
        """
        with self._lock, self._naming():
            if not self.path.exists():
                yield None
                return
            try:
                connection = self._connect()
            except (sqlite3.OperationalError, MadeByNewerVersion, OSError):
                # Nobody writes on a read-only disk, or else the -wal and -shm files of those who do are there.
                stray = self._open_read_only()
            else:
                yield connection
                return
            try:
                yield stray
            finally:
                stray.close()

    def set_aside(self) -> Path | None:
        """Give the damaged file another name, so that a new one can begin. None when another process just has."""
        import filelock

        with self._lock, filelock.FileLock(f"{self.path}.lock", mode=0o600):
            self.close()
            self._identity = None
            # Counted here, for a new file may get the number of the old one.
            self._generation += 1
            # Looked at again, for another process may have begun a new one while this one waited.
            return set_aside(self.path) if self._is_damaged() else None

    def _is_damaged(self) -> bool:
        if not self.path.exists():
            return False
        connection = sqlite3.connect(self.path, isolation_level=None)
        try:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok")
        except sqlite3.DatabaseError as error:
            return isinstance(self._named(error), Damaged)
        finally:
            connection.close()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._named(error) from error

    def _named(self, error: sqlite3.Error) -> sqlite3.Error:
        """As the class that says what is to be done about it."""
        code = getattr(error, "sqlite_errorcode", 0)
        if code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            return Damaged(self, error)
        if code in _NO_LOG or code & 0xFF == sqlite3.SQLITE_READONLY:
            return WalRefused(f"{self.path.name} can have no log: {error}")
        return error

    def connect(self) -> None:
        """Open the file now, and raise what stands in the way."""
        with self._lock, self._naming():
            # Not only to read: where locks or shared memory are refused, that may go well.
            self._connect().execute("BEGIN IMMEDIATE").connection.execute("ROLLBACK")

    def stray(self) -> sqlite3.Connection:
        """A connection to read from that the caller closes, beside the one everybody shares."""
        return self._open_read_only()

    def checkpoint(self) -> None:
        """Move what is committed from the log to the file, as far as no reader of another process is in the way."""
        with self._lock:
            if self._connection is not None:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def scrub(self) -> bool:
        """Leave nothing of what was deleted in the file or its log; False where a reader elsewhere keeps the log."""
        with self._lock, self._naming():
            if not self.path.exists():
                return True
            connection = self._connect()
            connection.execute("VACUUM")
            deadline = time.monotonic() + BUSY_SECONDS
            while connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                if time.monotonic() > deadline:
                    return False
                time.sleep(0.01)
            return True

    def purge(self) -> None:
        """`scrub`. Raises `sqlite3.OperationalError` when another process reads for too long."""
        if not self.scrub():
            raise sqlite3.OperationalError(f"another process is reading {self.path.name}")

    def close(self) -> None:
        """Let go of the file. The next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            if self._identity == _identity(self.path):
                return self._connection
            # Written into a deleted file, rows would be gone without an error. Counted here, for a new file may get the
            # number of the old one.
            self.close()
            self._identity = None
            self._generation += 1
        private_directory(self.path.parent)
        private_file(self.path)
        connection = self._open(self._use_wal)
        identity = _identity(self.path)
        if self._identity is not None and identity != self._identity:
            self._generation += 1
        self._connection, self._identity = connection, identity
        return connection

    def _open(self, use: Callable[[sqlite3.Connection], None]) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=16
        )
        try:
            self._prepare(connection, use)
            return connection
        except sqlite3.Error as error:
            connection.close()
            if self._alone and use == self._use_wal and isinstance(self._named(error), WalRefused):
                return self._open(_use_rollback)
            raise
        except BaseException:
            connection.close()
            raise

    def _prepare(self, connection: sqlite3.Connection, use: Callable[[sqlite3.Connection], None]) -> None:
        # Several processes that make the file at once can be told "locked" here without any wait of SQLite's own.
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                use(connection)
                if isinstance(self._schema, str):
                    connection.executescript(self._schema)
                else:
                    self._migrate(connection, self._schema)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def _use_wal(self, connection: sqlite3.Connection) -> None:
        (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != "wal":
            raise WalRefused(f"{self.path.name} can have no log, the file system offers {mode!r} only")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")
        if self._alone:
            # Where there is no shared memory, it may only show with the first write.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")

    def _migrate(self, connection: sqlite3.Connection, steps: Sequence[Migration]) -> None:
        found = _standing(connection, steps)
        if found.missing and not found.broken:
            connection.execute("BEGIN IMMEDIATE")
            try:
                # Looked at again: another process may have done it meanwhile.
                connection.execute(f"CREATE TABLE IF NOT EXISTS {APPLIED} (name TEXT PRIMARY KEY) WITHOUT ROWID")
                missing = _standing(connection, steps).missing
                for step in missing:
                    for statement in _statements(step.sql):
                        connection.execute(statement)
                record(missing, connection.execute)
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        if found.broken:
            raise MadeByNewerVersion(
                f"{self.path} was made by a newer version of sekha_magics ({', '.join(found.unknown)}); update this one"
            )

    def _open_read_only(self) -> sqlite3.Connection:
        address = self.path.absolute().as_uri()
        wal = self.path.with_name(self.path.name + "-wal")
        mode = "?mode=ro" if wal.exists() else "?immutable=1"
        return sqlite3.connect(address + mode, uri=True, isolation_level=None, check_same_thread=False)


def log_refused(path: Path) -> WalRefused | None:
    """Why the file at `path` can have no log, or None where it can.

    Without such a file it is tried in a folder beside it, which is removed again. None also where nothing can be tried:
    whoever uses the file meets that trouble, as any other.
    """
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK | os.X_OK):
        return None
    with tempfile.TemporaryDirectory(prefix=".sekha-tried-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        database = Database(path if path.exists() else Path(folder) / path.name, "SELECT 1")
        try:
            database.connect()
        except WalRefused as refused:
            return refused
        except (sqlite3.Error, OSError):
            return None
        finally:
            database.close()
    return None


def _use_rollback(connection: sqlite3.Connection) -> None:
    # A file that was made with a log is opened alone once: that takes no memory shared with others.
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    connection.execute("PRAGMA locking_mode=NORMAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _standing(connection: sqlite3.Connection, steps: Sequence[Migration]) -> Standing:
    there = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (APPLIED,)).fetchone()
    return standing(steps, [row[0] for row in connection.execute(f"SELECT name FROM {APPLIED}")] if there else [])


def _statements(script: str) -> Iterator[str]:
    # Not by `executescript`, which commits what is under way before it begins.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_dev, status.st_ino


# One fork at a time; `_held` is filled before it and emptied after it by the thread that forks.
_forking = threading.Lock()
_held: list[Database] = []


def _before_fork() -> None:
    _forking.acquire()
    for database in list(_open):
        database._lock.acquire()
        _held.append(database)
        database.close()


def _after_fork() -> None:
    while _held:
        _held.pop()._lock.release()
    _forking.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)
