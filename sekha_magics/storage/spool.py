"""Where events are committed when the file system has no room for SQLite's log: a file of JSON lines for each process.

A line is `[event_id, payload, texts]`. It is written whole and synced before `append` returns, so that on a network
file system it has left this machine; that takes a round trip to the server, some milliseconds. Only its own process
writes a file, any process reads all. A line without its end belongs to an append that never returned, and is none.

A fold takes files that are sealed, or whose process is gone, and removes them afterwards: nobody writes to them any
more. Where the file system has no locks either, it cannot be told who is gone; their files stay, and are read.
"""

from __future__ import annotations

import json
import os
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .flat import encode
from .forks import renew_in_child
from .liveness import Alive, is_alive
from .paths import private_directory, private_file
from .queue import QueuedRow

__all__ = ["Spool"]

_OPEN, _SEALED, _SIGN = ".jsonl", ".sealed.jsonl", ".alive"
_TRIES = 20


class Spool:
    """The files in `folder`. Raises `OSError` when they cannot be used. To a fold it looks like the queue."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sign: Alive | None = None
        self._file: int | None = None
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Protects the file of this process, and its end.
        self._lock = threading.Lock()
        if self._file is not None:
            os.close(self._file)
        if self._sign is not None:
            self._sign.forget()
        self._name, self._file, self._sign = "", None, None

    def append(self, rows: Iterable[QueuedRow]) -> None:
        """Add all of `rows` or none."""
        data = "".join(f"{encode(list(row))}\n" for row in rows).encode()
        with self._lock:
            file = self._opened()
            end = os.lseek(file, 0, os.SEEK_END)
            try:
                written = 0
                while written < len(data):
                    written += os.write(file, data[written:])
                os.fsync(file)
            except BaseException:
                # Half a line in the middle would hide the one behind it.
                os.ftruncate(file, end)
                raise

    def everything(self) -> list[QueuedRow]:
        """The rows of all files."""
        return list(self._rows(lambda: self._files(_OPEN)))

    def read(self, *, after: str = "", limit: int = -1) -> list[QueuedRow]:
        """Rows a fold may take, in the order of their ids."""
        rows = sorted(row for row in self._rows(self._ended) if row.event_id > after)
        return rows if limit < 0 else rows[:limit]

    def __len__(self) -> int:
        return sum(1 for _ in self._rows(self._ended))

    def delete(self, event_ids: Iterable[str]) -> None:
        """Take rows out of files that have ended. A line nobody here understands stays, for a version that does."""
        gone = set(event_ids)
        for path in self._ended():
            lines = _whole_lines(path)
            left = [line for line in lines if (row := _row(line)) is None or row.event_id not in gone]
            if not left:
                path.unlink(missing_ok=True)
                (self.folder / f"{path.name.split('.')[0]}{_SIGN}").unlink(missing_ok=True)
            elif len(left) < len(lines):
                rest = path.with_name(path.name + ".rest")
                private_file(rest)
                rest.write_bytes(b"".join(line + b"\n" for line in left))
                rest.replace(path)

    def seal(self) -> None:
        """Let a fold have what this process wrote so far; the next append begins another file."""
        with self._lock:
            if self._file is None:
                return
            os.close(self._file)
            self._file = None
            path = self.folder / f"{self._name}{_OPEN}"
            if path.exists():
                path.rename(self.folder / f"{self._name}{_SEALED}")
            if self._sign is not None:
                self._sign.end()
                self._sign = None

    def _opened(self) -> int:
        path = self.folder / f"{self._name}{_OPEN}"
        if self._file is not None:
            if path.exists():
                return self._file
            # Somebody deleted it: what is written there would be gone without an error.
            os.close(self._file)
            self._file = None
        private_directory(self.folder)
        self._name = uuid.uuid4().hex
        path = self.folder / f"{self._name}{_OPEN}"
        try:
            # First, or a fold could take the file of a process that only begins.
            self._sign = Alive(self.folder / f"{self._name}{_SIGN}")
        except OSError:
            self._sign = None
        private_file(path)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0))
        return self._file

    def _files(self, suffix: str) -> list[Path]:
        return sorted(self.folder.glob(f"*{suffix}")) if self.folder.is_dir() else []

    def _ended(self) -> list[Path]:
        """Files nobody writes to any more."""
        mine = f"{self._name}{_OPEN}"
        return [
            path
            for path in self._files(_OPEN)
            if path.name.endswith(_SEALED) or (path.name != mine and not is_alive(path.with_suffix(_SIGN)))
        ]

    def _rows(self, files: Callable[[], list[Path]]) -> Iterator[QueuedRow]:
        # A file that is sealed between being found and being opened has another name then.
        for attempt in range(_TRIES):
            try:
                yield from [row for path in files() for row in _lines(path)]
            except FileNotFoundError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return


def _lines(path: Path) -> Iterator[QueuedRow]:
    return (row for line in _whole_lines(path) if (row := _row(line)) is not None)


def _whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _row(line: bytes) -> QueuedRow | None:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if isinstance(fields, list) and len(fields) == 3 and all(isinstance(field, str) for field in fields):
        return QueuedRow(*fields)
    return None
