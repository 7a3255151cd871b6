"""The registry: the object users hold. It knows the providers and models, and answers by way of the engine.

All blocking methods may be called from any thread and after a fork; all raise `SekhaError` classes with a hint.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cassette import Cassette
from ..config import load as configuration
from ..config.keys import KeyStore
from ..errors import InvalidInput
from ..process import cassettes
from ..providers import provider_types
from ..stream import Stream
from ..watch import wakers
from .asking import Asking
from .looking import Looking

if TYPE_CHECKING:
    from ..config.load import Loaded

__all__ = ["Registry", "Stream", "current_registry", "get_registry", "set_registry"]


class Registry(Asking, Looking):
    """Providers, models and the way to ask them.

    Made by `from_yaml`, `from_dict`, `from_env` or `discover`; `close()` it, or use it in a `with` statement.
    """

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Registry:
        """From the file at `path`. Raises `ConfigError`."""
        return cls._load(lambda keys: configuration.load(Path(path), **_surroundings(keys)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Registry:
        """From a mapping with the keys of a configuration file. Raises `ConfigError`."""
        return cls._load(lambda keys: configuration.from_mapping(mapping, **_surroundings(keys)))

    @classmethod
    def from_env(cls) -> Registry:
        """From the environment alone, as where there is no file."""
        return cls._load(lambda keys: configuration.from_environment(**_surroundings(keys)))

    @classmethod
    def discover(cls) -> Registry:
        """From the first configuration found, or from nothing but the environment."""
        return cls._load(lambda keys: configuration.load(None, **_surroundings(keys)))

    @classmethod
    def replaying(cls, path: str | os.PathLike[str]) -> Registry:
        """From a cassette alone: no key, configuration or network is used."""
        return cls._playing(Cassette.open(path, "replay"))

    @classmethod
    def _playing(cls, cassette: Cassette) -> Registry:
        nothing = configuration.from_mapping({"llm_providers": []}, **_surroundings(KeyStore({})))
        return cls(nothing, cassette=cassette)

    @classmethod
    def _load(cls, load: Callable[[KeyStore], Loaded]) -> Registry:
        """With what SEKHA_CASSETTE asks for; a replay takes the place of every configuration."""
        cassette = cassettes.of_environment()
        if cassette is not None and cassette.mode == "replay":
            return cls._playing(cassette)
        keys = KeyStore(environ=os.environ)
        return cls(load(keys), keys=keys, cassette=cassette)

    def __repr__(self) -> str:
        entries = self.state.catalogue.entries
        providers = {entry.provider_id for entry in entries}
        return f"<Registry: {len(entries)} models at {len(providers)} providers, from {self.state.loaded.source}>"


def _surroundings(keys: KeyStore) -> dict[str, Any]:
    return {"environ": os.environ, "cwd": Path.cwd(), "provider_types": provider_types(), "keys": keys}


_registry: Registry | None = None
_registry_lock = threading.Lock()


def get_registry() -> Registry:
    """The one the magics use, made by `Registry.discover()` at first use. Raises `ConfigError`."""
    global _registry  # noqa: PLW0603 - one registry per kernel is the point
    with _registry_lock:
        if _registry is None:
            _registry = Registry.discover()
            wakers.wake()
        return _registry


def current_registry() -> Registry | None:
    """The one the magics use, if there is one yet; makes none."""
    return _registry


def set_registry(registry: Registry | None) -> None:
    """Let the magics use `registry`; None lets the next one be discovered anew."""
    global _registry  # noqa: PLW0603
    if registry is not None and not isinstance(registry, Registry):
        raise InvalidInput(f"{registry!r:.80} is not a Registry.", hint="Make one with Registry.from_yaml(path).")
    with _registry_lock:
        _registry = registry
    wakers.wake()
