"""The order of what is recorded side by side: that of the requests, whichever answer came first.

An answer is appended as soon as it is there, so that nothing is lost to whatever ends the process. When the job is over
its lines change places with each other: the file is replaced as a whole, and lines of anybody else stay where they are.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from ..storage.paths import data_dir

__all__ = ["Order", "alone"]


class Order:
    """The wanted order of lines, by the keys of their requests. Told of each line by the cassette that appends it."""

    def __init__(self, keys: Iterable[str], settle: Callable[[Order], None]) -> None:
        self._rank = {key: rank for rank, key in enumerate(dict.fromkeys(keys))}
        self._settle = settle
        self._lock = threading.Lock()
        # The rank of a line and what it is known by, in the order they were appended.
        self._lines: list[tuple[int, bytes]] = []

    def note(self, key: str, line: bytes) -> None:
        """`line` was appended for the request of `key`."""
        if (rank := self._rank.get(key)) is not None:
            with self._lock:
                self._lines.append((rank, _known_by(line)))

    def settle(self) -> None:
        """Bring what was recorded so far into order. Raises `OSError` where the file cannot be replaced."""
        self._settle(self)

    def arranged(self, lines: Sequence[bytes]) -> list[bytes] | None:
        """`lines` with those of this order in it; None when nothing has to change, or they are not all there."""
        with self._lock:
            appended = list(self._lines)
            wanted = sorted(appended, key=lambda line: line[0])  # stable: repeats of a request keep their order
            if wanted == appended:
                return None
            places: dict[bytes, list[int]] = {}
            for number, line in enumerate(lines):
                places.setdefault(_known_by(line), []).append(number)
            found: list[int] = []
            for _, name in reversed(appended):
                if not places.get(name):
                    return None
                # The last of equal lines: earlier ones are of another run.
                found.append(places[name].pop())
            found.reverse()
            by_name: dict[bytes, list[bytes]] = {}
            for number, (_, name) in zip(found, appended, strict=True):
                by_name.setdefault(name, []).append(lines[number])
            out = list(lines)
            for number, (_, name) in zip(sorted(found), wanted, strict=True):
                out[number] = by_name[name].pop(0)
            self._lines = wanted
            return out


@contextmanager
def alone() -> Iterator[None]:
    """Hold what lets no other process of this user append to a cassette or replace one. Raises `OSError`."""
    import filelock

    # Not beside the file, which stands among somebody's sources.
    with filelock.FileLock(data_dir() / "cassette.lock", mode=0o600):
        yield


def _known_by(line: bytes) -> bytes:
    return hashlib.sha256(line).digest()
