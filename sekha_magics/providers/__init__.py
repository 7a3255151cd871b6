"""The kinds of provider there are, and one place that builds them.

A kind is built in, registered by name, or found by the entry-point group `sekha_magics.providers`, whose entry is named
like the kind. Nothing is imported for a kind that no configuration names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING

from ..core.provider_types import BUILT_IN, ProviderType
from ..errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from ..core.wire import Endpoint
    from .base import Provider

__all__ = ["GROUP", "create", "provider_types", "register", "warm"]

GROUP = "sekha_magics.providers"

_HOMES = {
    "ollama": ("litellm.provider", "OllamaProvider"),
    "openai": ("litellm.provider", "OpenAIProvider"),
    "anthropic": ("litellm.provider", "AnthropicProvider"),
    "openrouter": ("litellm.provider", "OpenRouterProvider"),
    "litellm": ("litellm.provider", "LiteLLMProvider"),
    "local": ("local.provider", "LocalProvider"),
    "scripted": ("scripted", "ScriptedProvider"),
}
_registered: dict[str, type[Provider]] = {}


def create(endpoint: Endpoint) -> Provider:
    """The provider `endpoint` describes. Raises `ConfigError` when there is no such type or its class is broken."""
    return _class_of(endpoint.type)(endpoint)


def warm(names: Iterable[str]) -> None:
    """Begin in the background to import what these types need, so that the first answer does not wait for it."""
    if any(_HOMES.get(name, ("", ""))[0] == "litellm.provider" for name in names):
        from .litellm.setup import warm as warm_litellm

        warm_litellm()


def register(cls: type[Provider]) -> type[Provider]:
    """Make `cls` known by `cls.traits.name`; may be used as a decorator.

    A name registered before is replaced, so that a cell can be run again. A built-in name raises `InvalidInput`.
    """
    _check(cls, "what was registered")
    if cls.traits.name in BUILT_IN:
        raise InvalidInput(f"provider type {cls.traits.name!r} is built in; give yours another name")
    _registered[cls.traits.name] = cls
    return cls


def provider_types() -> Mapping[str, ProviderType]:
    """Every type by name. The names alone load no plugin; looking one up loads that one, or raises `ConfigError`."""
    return _Types()


class _Types(Mapping[str, ProviderType]):
    def __init__(self) -> None:
        self._plugins: dict[str, EntryPoint] | None = None

    def _found(self) -> dict[str, EntryPoint]:
        if self._plugins is None:
            self._plugins = _entry_points()
        return self._plugins

    def __getitem__(self, name: str) -> ProviderType:
        if name in BUILT_IN:
            return BUILT_IN[name]
        if name in _registered:
            return _registered[name].traits
        return _load(self._found()[name]).traits

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*BUILT_IN, *_registered, *self._found()]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in BUILT_IN or name in _registered or name in self._found()


def _class_of(name: str) -> type[Provider]:
    if name in _HOMES:
        module, attribute = _HOMES[name]
        cls: type[Provider] = getattr(import_module(f".{module}", __name__), attribute)
        return cls
    if name in _registered:
        return _registered[name]
    plugins = _entry_points()
    if name in plugins:
        return _load(plugins[name])
    known = [*_HOMES, *_registered, *plugins]
    close = get_close_matches(name, known, 1)
    raise ConfigError(
        f"there is no provider type {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
        hint=f"Known types: {', '.join(known)}. Others come from packages with an entry point in the group {GROUP}.",
    )


def _entry_points() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points

    return {point.name: point for point in entry_points(group=GROUP)}


def _load(point: EntryPoint) -> type[Provider]:
    origin = f"{point.value!r} of package {point.dist.name if point.dist else '?'}"
    try:
        cls = point.load()
    except Exception as error:
        raise ConfigError(
            f"provider type {point.name!r} is {origin}, which cannot be loaded: {type(error).__name__}: {error}",
            hint="Upgrade or remove that package.",
        ) from error
    _check(cls, origin)
    if cls.traits.name != point.name:
        raise ConfigError(f"the entry point {point.name!r} leads to {origin}, whose traits say {cls.traits.name!r}")
    checked: type[Provider] = cls
    return checked


def _check(cls: object, origin: str) -> None:
    from .base import Provider

    if not (isinstance(cls, type) and issubclass(cls, Provider)):
        raise ConfigError(f"{origin} is no subclass of sekha_magics.Provider")
    if not isinstance(getattr(cls, "traits", None), ProviderType):
        raise ConfigError(f"{origin} has no `traits`, a ProviderType that names it")
    if getattr(cls, "__abstractmethods__", None):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise ConfigError(f"{origin} does not define {missing}")
