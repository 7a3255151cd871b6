"""Is the process that wrote this still there? A lock that the operating system takes away when a process ends.

Neither a pid, which is given again, nor a clock, which stops while a laptop sleeps, can tell. A lock belongs to the
open file, so that two holders within one process are told apart, and a forked child lets go of its copy of the file
without unlocking that of its parent.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .paths import private_directory, private_file

__all__ = ["Alive", "is_alive"]

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class Alive:
    """A sign of life at `path`, until `end()` or the end of the process."""

    def __init__(self, path: Path) -> None:
        private_directory(path.parent)
        private_file(path)
        self.path = path
        self._descriptor: int | None = os.open(path, os.O_RDWR)
        try:
            _lock(self._descriptor)
        except OSError:
            self.forget()
            raise

    def end(self) -> None:
        self.forget()
        self.path.unlink(missing_ok=True)

    def forget(self) -> None:
        """Close the file and leave it: for a child, whose parent is still alive."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def is_alive(path: Path) -> bool:
    """Whether a process holds the sign at `path`. The sign of a dead one is removed."""
    try:
        sign = Alive(path) if path.exists() else None
    except OSError:
        return True
    if sign is not None:
        sign.end()
    return False
