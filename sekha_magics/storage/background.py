"""The thread that folds while nobody waits: when the queue is long, when it is old, and when the kernel ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from .forks import renew_in_child

__all__ = ["BackgroundFold"]


class BackgroundFold:
    """Calls `work` after `rows` notices, or `seconds` after the first, whichever is earlier.

    `work` handles its own failures and says whether something is left to do. The thread begins with the first notice
    and is a daemon: it never keeps a process alive. A forked child begins its own.
    """

    def __init__(self, work: Callable[[], bool], *, rows: int = 500, seconds: float = 30.0) -> None:
        self._work, self._rows, self._seconds = work, rows, seconds
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Protects the fields below; the thread waits on it.
        self._changed = threading.Condition()
        self._noticed = 0
        self._due: float | None = None
        self._ending = False
        self._thread: threading.Thread | None = None

    def notice(self, rows: int = 1) -> None:
        """`rows` were added to the queue. Returns at once."""
        with self._changed:
            self._noticed += rows
            if self._due is None:
                self._due = time.monotonic() + self._seconds
            if self._thread is None or not self._thread.is_alive():
                self._ending = False
                self._thread = threading.Thread(target=self._run, name="sekha-fold", daemon=True)
                self._thread.start()
            if self._noticed >= self._rows:
                self._changed.notify()

    def close(self) -> None:
        """Fold once more, and wait for the end of the thread.

        It is not left behind: a thread that comes back from DuckDB into an interpreter that has ended crashes it.
        """
        with self._changed:
            thread = self._thread
            self._ending = True
            self._changed.notify()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ending and not self._is_due():
                    self._changed.wait(self._patience())
                self._noticed, self._due = 0, None
                ending = self._ending
            again = self._work()
            if ending:
                return
            if again:
                with self._changed:
                    self._due = self._due or time.monotonic() + self._seconds

    def _is_due(self) -> bool:
        return self._due is not None and (self._noticed >= self._rows or time.monotonic() >= self._due)

    def _patience(self) -> float | None:
        return None if self._due is None else max(0.0, self._due - time.monotonic())
