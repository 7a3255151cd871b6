"""What all registries of a process share: the keys that are never shown, and the cassette the environment names."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from .cassette import Cassette, from_environment
from .core.redact import Redactor

__all__ = ["cassettes", "known_keys"]


class _Cassettes:
    """One cassette for all registries of a process, so that none begins its file anew."""

    def __init__(self) -> None:
        self._opened: tuple[tuple[Path, str], Cassette] | None = None
        self._lock = threading.Lock()

    def of_environment(self) -> Cassette | None:
        """The one SEKHA_CASSETTE and SEKHA_MODE ask for, if any. Raises `ConfigError` and `CassetteMiss`."""
        named = from_environment(os.environ)
        if named is None or named[1] == "live":
            return None
        with self._lock:
            if self._opened is None or self._opened[0] != named:
                self._opened = (named, Cassette.open(*named, redact=known_keys))
            return self._opened[1]

    def forget(self) -> None:
        """The next registry opens its cassette anew, and plays it from the beginning."""
        with self._lock:
            self._opened = None


# A key of one registry is no text for the ledger of another.
known_keys = Redactor()
cassettes = _Cassettes()
