"""Opening someone else's folder gives away neither keys nor prompts.

A configuration that was found in a folder, and not named by the user, may only do what is harmless: talk to its types'
own hosts and to loopback, with the key that customarily belongs there, and write below its own folder. Anything
else waits until the user has trusted exactly this content at exactly this path.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Container, Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..core.provider_types import ProviderType
from ..errors import ConfigError
from .expand import variables_in
from .problems import KeyPath, Problem
from .schema import Config, ProviderConfig

__all__ = ["demands", "is_loopback", "is_trusted", "texts", "trust"]

REACHES_ANY_HOST = frozenset({"litellm"})
"""Types whose model ids choose the host, whatever the address says."""

HARMLESS_OPTIONS = frozenset({"scripted"})


def trust(path: str | os.PathLike[str]) -> str:
    """Trust the file as it is now; a later change of its content asks again. Gives its SHA-256."""
    from filelock import FileLock

    file = _absolute(path)
    try:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.") from None
    store = _store()
    with FileLock(store.with_suffix(".lock")):
        known = _read(store)
        known[str(file)] = digest
        _replace(store, json.dumps(known, indent=1, sort_keys=True))
    return digest


def is_trusted(path: str | os.PathLike[str], content: bytes | None = None) -> bool:
    """Whether the user trusted this content at this path; `content` None reads the file."""
    file = _absolute(path)
    if content is None:
        try:
            content = file.read_bytes()
        except OSError:
            return False
    return _read(_store()).get(str(file)) == hashlib.sha256(content).hexdigest()


def demands(
    config: Config,
    given: Mapping[str, Any],
    folder: Path,
    provider_types: Mapping[str, ProviderType],
    overridden: Container[KeyPath] = (),
) -> Iterator[Problem]:
    """Everything in a found file that needs trust.

    `given` is what the file says before variables are expanded; paths in `overridden` were set by the user's own
    environment and are not the file's.
    """
    for path, text in texts(given):
        if _within(path, overridden):
            continue
        for variable in variables_in(text):
            if not _is_own_key(path, variable, config, provider_types):
                yield Problem(path, f"expands the variable {variable}")
    for i, provider in enumerate(config.llm_providers):
        at: KeyPath = ("llm_providers", i)
        if at in overridden or ("llm_providers",) in overridden:
            continue
        kind = provider_types[provider.type]
        if (*at, "base_url") not in overridden or provider.type in REACHES_ANY_HOST:
            yield from _host(provider, kind, at)
        if provider.options and provider.type not in HARMLESS_OPTIONS and not _within((*at, "options"), overridden):
            yield Problem((*at, "options"), f"gives options to `{provider.type}`, which may name hosts and files")
        if provider.local and not _within((*at, "local"), overridden) and not _stays_here(provider, kind):
            yield Problem((*at, "local"), "says that prompts stay on this machine, and they do not")
    for name, kept in (("ledger", config.ledger.path), ("memory", config.memory.path)):
        if kept is not None and not _within((name, "path"), overridden) and not _below(kept, folder):
            yield Problem((name, "path"), f"keeps the {name} outside the folder of the configuration")


def _host(provider: ProviderConfig, kind: ProviderType, at: KeyPath) -> Iterator[Problem]:
    if provider.type in REACHES_ANY_HOST:
        yield Problem((*at, "type"), f"`{provider.type}` reaches whatever host its model ids name")
        return
    address = provider.base_url or kind.default_base_url
    if address is None:
        if not kind.hosts and not kind.local:
            yield Problem((*at, "type"), f"what hosts `{provider.type}` speaks to is not known")
        return
    parts = urlsplit(address)
    host = (parts.hostname or "").rstrip(".")
    if is_loopback(host) or (host in kind.hosts and parts.scheme == "https"):
        return
    if host in kind.hosts:
        yield Problem((*at, "base_url"), f"speaks to `{host}` without encryption")
    else:
        yield Problem((*at, "base_url"), f"names the host `{host}`")


def is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_own_key(path: KeyPath, variable: str, config: Config, provider_types: Mapping[str, ProviderType]) -> bool:
    match path:
        case ("llm_providers", int(i), "api_key"):
            return provider_types[config.llm_providers[i].type].key_variable == variable
    return False


def _stays_here(provider: ProviderConfig, kind: ProviderType) -> bool:
    """Ollama passes some models on to its makers' computers, and marks them in their ids."""
    return kind.local and not any("cloud" in model.model_id for model in provider.models)


def _below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _within(path: KeyPath, paths: Container[KeyPath]) -> bool:
    return any(path[:end] in paths for end in range(1, len(path) + 1))


def texts(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Every text in a nested value, with its path."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from texts(item, (*path, i))


# --- what is remembered -------------------------------------------------------------------------------


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(path).expanduser().resolve()


def _store() -> Path:
    from ..storage.paths import data_dir

    return data_dir() / "trusted.json"


def _read(store: Path) -> dict[str, str]:
    """What was trusted; a store that cannot be understood trusts nothing."""
    try:
        known = json.loads(store.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str)} if isinstance(known, dict) else {}


def _replace(store: Path, text: str) -> None:
    """Whole or not at all; a temporary file is made readable by its owner alone."""
    handle, name = tempfile.mkstemp(dir=store.parent, prefix=store.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(name).replace(store)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
