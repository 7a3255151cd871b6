"""What is examined: the registry that stands, or what a new one would be made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..config.keys import KeyStore
from ..config.load import Loaded, load
from ..errors import SekhaError
from ..process import cassettes, known_keys
from ..providers import provider_types
from ..registry import Registry, current_registry
from ..storage.paths import data_path

if TYPE_CHECKING:
    from ..cassette import Cassette

__all__ = ["Patient"]


class Patient:
    """`config` is a file to look at instead of what is found; `probe` says whether providers may be asked whether they
    are there; `streams` whether the user wants answers to be shown as they are written."""

    def __init__(self, config: str | None = None, *, probe: bool = True, streams: bool = True) -> None:
        self.config, self.probe, self.streams = config, probe, streams
        self.standing: Registry | None = None if config is not None else current_registry()
        self.keys = self.standing.keys if self.standing is not None else KeyStore(os.environ)
        # What a check quotes may hold a key, also one of a variable that no configuration names.
        known_keys.learn(key for name in self.keys.names() if (key := self.keys.get(name)) is not None)

    @property
    def environ(self) -> Mapping[str, str]:
        return os.environ

    @cached_property
    def loaded(self) -> Loaded:
        """The configuration in use, or the one that would be. Raises `ConfigError`."""
        if self.standing is not None:
            return self.standing.state.loaded
        return load(self.config, environ=os.environ, cwd=Path.cwd(), provider_types=provider_types(), keys=self.keys)

    @cached_property
    def usable(self) -> Loaded | None:
        """`loaded`, or None where it cannot be had; its own check says why."""
        try:
            return self.loaded
        except Exception:  # noqa: BLE001 - whatever it is, a plugin's fault included, is told by the check of it
            return None

    @cached_property
    def registry(self) -> Registry | None:
        """The one that stands, or one that is made for this examination; None where none can be made."""
        if self.standing is not None:
            return self.standing
        return Registry(self.usable, keys=self.keys) if self.usable is not None else None

    @property
    def cassette(self) -> Cassette | None:
        """The cassette in force. Raises `SekhaError` when the one that is asked for cannot be used."""
        return self.standing.cassette if self.standing is not None else cassettes.of_environment()

    @property
    def replays(self) -> bool:
        try:
            return self.cassette is not None and self.cassette.mode == "replay"
        except SekhaError:
            return False

    @property
    def data(self) -> Path:
        """The data directory, there or not."""
        return data_path().absolute()

    @property
    def ledger_path(self) -> Path:
        configured = self.usable.config.ledger.path if self.usable is not None else None
        return configured or self.data / "ledger.duckdb"

    @property
    def memory_path(self) -> Path:
        configured = self.usable.config.memory.path if self.usable is not None else None
        return configured or self.data / "memory"

    def close(self) -> None:
        """Let go of what was made for the examination."""
        made = self.__dict__.get("registry")
        if made is not None and made is not self.standing:
            made.close()
