"""The embedded model's processes, seen from the kernel: one for each model file, started when first needed.

Every provider object of this process shares them. One that has died is started anew by the next call. They end with
this process: their standard input is a pipe that only it holds open. After a fork the new process starts its own.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakSet

from ...errors import ConnectionFailed
from ...storage.paths import data_dir, private_directory, private_file

__all__ = ["DEFAULT_CONTEXT", "Child", "Launch", "close_all", "lease", "release"]

DEFAULT_CONTEXT = 8192
START_SECONDS = 120.0
_END_SECONDS = 3.0
_LOG_BYTES = 1 << 20
_TAIL_LINES = 8


@dataclass(frozen=True, slots=True)
class Launch:
    """What a child serves. `threads` None is one less than the cores; `context` is in tokens."""

    path: Path
    threads: int | None = None
    context: int = DEFAULT_CONTEXT


class Child:
    """A running child: its `address`, and the `key` without which it answers nobody."""

    def __init__(self, launch: Launch) -> None:
        """Start it and wait until it listens. Raises `ConnectionFailed` with the end of its log."""
        self.launch = launch
        self.key = secrets.token_urlsafe(32)
        self.owners: WeakSet[Any] = WeakSet()
        self._counting, self._waiting = threading.Lock(), 0
        try:
            self.log = _log_file(launch)
            self._log_start = self.log.stat().st_size
        except OSError as error:
            raise ConnectionFailed(f"the embedded model cannot write its log: {error}") from error
        package = Path(__file__).resolve().parents[3]
        flags = 0
        if sys.platform == "win32":
            flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
        # In a session of its own, because an interrupt meant for a cell is sent to the kernel's whole group. The
        # working folder is the package's, so that a user's `json.py` beside the notebook is not what it imports.
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "sekha_magics.providers.local.server"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=package,
                start_new_session=True, creationflags=flags,
            )  # fmt: skip
        except OSError as error:
            raise ConnectionFailed(f"the embedded model's process cannot be started: {error}") from error
        try:
            self.address = self._introduce()
        except BaseException:
            self.close(at_once=True)
            raise

    @contextmanager
    def in_line(self) -> Iterator[int]:
        """Be one of those who wait for an answer, which are given one at a time; gives how many are ahead."""
        with self._counting:
            ahead, self._waiting = self._waiting, self._waiting + 1
        try:
            yield ahead
        finally:
            with self._counting:
                self._waiting -= 1

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def _introduce(self) -> str:
        order = {
            "path": str(self.launch.path), "key": self.key, "alias": self.launch.path.stem,
            "threads": self.launch.threads, "context": self.launch.context, "log": str(self.log),
        }  # fmt: skip
        assert self.process.stdin is not None and self.process.stdout is not None
        deadline = threading.Timer(START_SECONDS, self.process.kill)
        deadline.daemon = True
        deadline.start()
        try:
            with suppress(OSError):
                self.process.stdin.write(json.dumps(order).encode() + b"\n")
                self.process.stdin.flush()
            line = self.process.stdout.readline()
            self.process.stdout.close()
        finally:
            deadline.cancel()
        if not line:
            raise ConnectionFailed(
                f"the embedded model did not start ({self.obituary()})",
                hint=f"Its log is {self.log}. Is {self.launch.path.name} a model llama.cpp can read?",
            )
        return str(json.loads(line)["address"])

    def obituary(self) -> str:
        """How it ended, and the last it wrote."""
        try:
            code = self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return "it is still running"
        with self.log.open("rb") as file:
            file.seek(self._log_start)
            lines = file.read().decode(errors="replace").strip().splitlines()
        tail = "\n".join(lines[-_TAIL_LINES:])
        return f"exit code {code}" + (f"; the end of its log:\n{tail}" if tail else "")

    def close(self, *, at_once: bool = False) -> None:
        """End the process and wait for it."""
        # A child that died with the order unread leaves the pipe broken.
        with suppress(OSError):
            self._hang_up()
        if at_once:
            self.process.kill()
        try:
            self.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def disown(self) -> None:
        """In a forked process: let go of the pipe, which would keep the child alive, and leave the child alone."""
        with suppress(OSError):
            self._hang_up()
        self.process.returncode = 0

    def _hang_up(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdout.close()
        self.process.stdin.close()


def _log_file(launch: Launch) -> Path:
    log = private_directory(data_dir() / "logs") / f"local-{launch.path.stem}.log"
    if log.exists() and log.stat().st_size > _LOG_BYTES:
        log.unlink(missing_ok=True)
    private_file(log)
    return log


class _Table:
    """The children of this process. The lock protects the table, and is held while a child starts: never two of one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.children: dict[Launch, Child] = {}

    def forget(self) -> None:
        """After a fork: what is here belongs to the parent, and its lock may have been held."""
        self.lock = threading.Lock()
        inherited, self.children = self.children, {}
        for child in inherited.values():
            child.disown()


_table = _Table()


def lease(launch: Launch, owner: object) -> Child:
    """The child for `launch`, started if there is none that lives. Blocks while it loads the model."""
    with _table.lock:
        child = _table.children.get(launch)
        if child is None or not child.alive:
            heirs = tuple(child.owners) if child is not None else ()
            if child is not None:
                del _table.children[launch]
                child.close()
            child = _table.children[launch] = Child(launch)
            child.owners.update(heirs)
        child.owners.add(owner)
        return child


def release(owner: object) -> None:
    """`owner` needs its children no more; those nobody else holds are ended."""
    with _table.lock:
        for launch, child in list(_table.children.items()):
            if owner in child.owners:
                child.owners.discard(owner)
                if not child.owners:
                    del _table.children[launch]
                    child.close()


def close_all() -> None:
    """End every child; one that is still loading ends when this process does."""
    if _table.lock.acquire(timeout=_END_SECONDS):
        try:
            while _table.children:
                _table.children.popitem()[1].close()
        finally:
            _table.lock.release()


atexit.register(close_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_table.forget)
