"""From whatever the user has - a file, a mapping, variables, or nothing - to one checked configuration.

Loading opens no connection. It looks up only the keys the configuration names, and passes them on as `Secret`s beside
the configuration, never inside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..core.provider_types import BUILT_IN, ProviderType
from ..core.wire import Secret
from ..errors import ConfigError, UntrustedConfig
from . import trust
from .checks import LISTS_ITS_MODELS, check
from .defaults import THREE_WAYS, on_offer
from .discovery import Document, find, read_named, users_path
from .environment import Override, from_version_1, overlay, overrides_in
from .expand import MalformedReference, expand, variables_in
from .keys import KeyStore, resolve_keys
from .names import modern, plain
from .problems import KeyPath, Origin, Problem, config_error
from .schema import DEFAULT_FOR, Config

__all__ = ["THREE_WAYS", "Loaded", "from_environment", "from_mapping", "load"]


_SURELY_A_KEY = 16
"""Servers that check no key get words like `lm-studio`, which may well stand elsewhere too."""


@dataclass(frozen=True)
class Loaded:
    """A configuration and what goes with it. Its `repr` holds no key.

    `source` says in words where it comes from, `notes` are lines for the user. By provider id: `keys`; `missing_keys`,
    a sentence that names the variable; `key_sources`, where each key stands, in words. `discover` names the providers
    whose models must be asked for at first use, `last_resort` those that answer only when no other provider serves
    the task or they are asked for by name. With `no_remote_fallback` a request that was given to a model on this
    machine never falls over to one elsewhere. `references` gives the text of values before their variables were
    expanded.
    """

    config: Config = field(repr=False)
    source: str
    path: Path | None = None
    notes: tuple[str, ...] = ()
    keys: Mapping[str, Secret] = field(default_factory=dict)
    missing_keys: Mapping[str, str] = field(default_factory=dict)
    key_sources: Mapping[str, str] = field(default_factory=dict)
    discover: tuple[str, ...] = ()
    last_resort: tuple[str, ...] = ()
    no_remote_fallback: bool = False
    references: Mapping[KeyPath, str] = field(default_factory=dict, repr=False)


def load(
    path: str | os.PathLike[str] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    provider_types: Mapping[str, ProviderType] = BUILT_IN,
    keys: KeyStore | None = None,
) -> Loaded:
    """The configuration at `path`, or the one that is found, or what the environment makes up for one.

    Raises ConfigError with every problem there is, UntrustedConfig for a file that was found in a folder and asks
    for what its author was not trusted with.
    """
    house = _house(environ, cwd, provider_types, keys)
    if path is not None:
        given = users_path(path, house.cwd)
        return _from_document(read_named(given, str(given)), (), house)
    document, notes = find(house.environ, house.cwd)
    if document is not None:
        return _from_document(document, notes, house)
    return _from_environment(notes, house)


def from_mapping(
    mapping: Mapping[str, Any],
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    provider_types: Mapping[str, ProviderType] = BUILT_IN,
    keys: KeyStore | None = None,
) -> Loaded:
    """A configuration given as a mapping. Variables in it are expanded; `SEKHA__` variables do not change it."""
    house = _house(environ, cwd, provider_types, keys)
    return _finish(mapping, Origin("The configuration"), house, source="a mapping", folder=house.cwd)


def from_environment(
    *,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    provider_types: Mapping[str, ProviderType] = BUILT_IN,
    keys: KeyStore | None = None,
    is_installed: Callable[[str], bool] | None = None,
) -> Loaded:
    """What the environment alone makes up for a configuration; files are not looked for."""
    return _from_environment((), _house(environ, cwd, provider_types, keys), is_installed)


@dataclass(frozen=True)
class _House:
    """What loading depends on beside the file."""

    environ: Mapping[str, str]
    cwd: Path
    provider_types: Mapping[str, ProviderType]
    keys: KeyStore


def _house(
    environ: Mapping[str, str] | None,
    cwd: Path | None,
    provider_types: Mapping[str, ProviderType],
    keys: KeyStore | None,
) -> _House:
    environ = os.environ if environ is None else environ
    return _House(environ, cwd or Path.cwd(), provider_types, keys or KeyStore(environ))


def _from_document(document: Document, notes: tuple[str, ...], house: _House) -> Loaded:
    name = str(document.path)
    if not isinstance(document.value, dict):
        told = "is empty" if document.value is None else "must be a mapping of keys to values"
        raise ConfigError(f"{name} {told}.", hint="A configuration begins with `llm_providers:`.")
    overrides, problems = overrides_in(house.environ)
    return _finish(
        document.value,
        Origin(name, document.lines),
        house,
        source=document.source,
        folder=document.path.resolve().parent,
        notes=notes,
        document=document,
        overrides=overrides,
        problems=problems,
    )


def _from_environment(
    notes: tuple[str, ...], house: _House, is_installed: Callable[[str], bool] | None = None
) -> Loaded:
    overrides, problems = overrides_in(house.environ)

    origin = Origin("The environment")

    def finish(value: Mapping[str, Any], source: str, notes: tuple[str, ...], **more: Any) -> Loaded:
        return _finish(
            value, origin, house, source=source, folder=house.cwd, notes=notes,
            overrides=overrides, problems=problems, **more,
        )  # fmt: skip

    if any(o.path[:1] == ("llm_providers",) for o in overrides):
        return finish({}, "the SEKHA__ variables of the environment", notes)
    migrated = from_version_1(house.environ)
    if migrated.value is not None:
        origin.overridden.update(migrated.variables)
        return finish(migrated.value, "the variables of version 1", (*notes, *migrated.notes))
    offer = on_offer(lambda name: house.keys.get(name) is not None, is_installed or _is_installed)
    because = f" ({', '.join(offer.because)})" if offer.because else ""
    return finish(
        offer.value,
        f"no configuration; the environment{because}",
        (*notes, *migrated.notes),
        last_resort=offer.last_resort,
        no_remote_fallback=True,
    )


def _is_installed(package: str) -> bool:
    return find_spec(package) is not None


def _finish(
    given: Mapping[str, Any],
    origin: Origin,
    house: _House,
    *,
    source: str,
    folder: Path,
    notes: tuple[str, ...] = (),
    document: Document | None = None,
    overrides: list[Override] | None = None,
    problems: list[Problem] | None = None,
    last_resort: tuple[str, ...] = (),
    no_remote_fallback: bool = False,
) -> Loaded:
    """The way every configuration takes: plain values, present names, overrides, variables, checks, trust, keys."""
    problems = list(problems or ())
    value, more = plain(given)
    problems += more
    if not isinstance(value, dict):
        raise ConfigError(f"{origin.name} must be a mapping of keys to values.")
    value = _modern(value, origin, problems)
    if overrides:
        problems += overlay(value, overrides)
        origin.overridden.update({o.path: o.variable for o in overrides})
        origin.secrets.update({t: f"${{{o.variable}}}" for o in overrides for _, t in trust.texts(o.value)})
        value = _modern(value, origin, problems)
    as_given = value
    value = _expanded(value, origin, house.environ, problems)
    config, found = check(value, house.provider_types)
    # What a variable without a value leaves behind would be a second problem at the same place.
    told = {problem.path for problem in problems}
    problems += [problem for problem in found if problem.path not in told]
    if problems or config is None:
        raise config_error(problems, origin)
    config = _with_paths(config, folder, origin)
    if document is not None and document.found and not trust.is_trusted(document.path, document.content):
        asked = tuple(trust.demands(config, as_given, folder, house.provider_types, origin.overridden))
        if asked:
            raise config_error(asked, origin, kind=UntrustedConfig)
    resolved = resolve_keys(config, house.provider_types, house.keys)
    _refuse_stray_keys(config, resolved.keys, origin)
    return Loaded(
        config,
        source,
        document.path if document else None,
        (*notes, *_without_effect(config)),
        resolved.keys,
        resolved.missing,
        resolved.sources,
        tuple(p.id for p in config.llm_providers if p.enabled and not p.models and p.type in LISTS_ITS_MODELS),
        last_resort,
        no_remote_fallback,
        dict(origin.references),
    )


def _modern(value: dict[str, Any], origin: Origin, problems: list[Problem]) -> dict[str, Any]:
    out = modern(value)
    origin.renamed.update(out.renamed)
    problems += out.problems
    return out.value


def _expanded(
    value: dict[str, Any], origin: Origin, environ: Mapping[str, str], problems: list[Problem]
) -> dict[str, Any]:
    """Expand every text but keys, which are looked up later and elsewhere too."""

    def walk(item: Any, path: KeyPath) -> Any:
        if isinstance(item, dict):
            return {k: walk(v, (*path, k)) for k, v in item.items()}
        if isinstance(item, list):
            return [walk(v, (*path, i)) for i, v in enumerate(item)]
        if not isinstance(item, str):
            return item
        try:
            if _is_key(path):
                named = variables_in(item)
                if not named:
                    origin.secrets[item.strip()] = "***"
                origin.secrets.update({environ.get(name, "").strip(): f"${{{name}}}" for name in named})
                return item
            expanded = expand(item, environ.get)
        except MalformedReference as error:
            problems.append(Problem(path, str(error)))
            return item
        if item != expanded.text:
            origin.references[path] = item
        origin.secrets.update({v: f"${{{n}}}" for n, v in expanded.values.items()})
        for name in expanded.unset:
            problems.append(Problem(path, f"{_of_provider(value, path)}the variable {name} is not set"))
        return expanded.text

    return {k: walk(v, (k,)) for k, v in value.items()}


def _is_key(path: KeyPath) -> bool:
    return len(path) == 3 and path[0] == "llm_providers" and path[2] == "api_key"


def _of_provider(value: Mapping[str, Any], path: KeyPath) -> str:
    match path:
        case ("llm_providers", int(i), *_) if isinstance(name := value["llm_providers"][i].get("id"), str):
            return f"provider `{name}`: "
    return ""


def _with_paths(config: Config, folder: Path, origin: Origin) -> Config:
    """With absolute paths: what is relative in a file is relative to the file, wherever the kernel runs."""
    for name in ("ledger", "memory"):
        section = getattr(config, name)
        if section.path is None:
            continue
        try:
            path = folder / section.path.expanduser()
        except RuntimeError:
            raise config_error([Problem((name, "path"), "names a user who is not known here")], origin) from None
        config = config.model_copy(update={name: section.model_copy(update={"path": path})})
    return config


def _refuse_stray_keys(config: Config, keys: Mapping[str, Secret], origin: Origin) -> None:
    """A key that also stands where it would be shown: in an id, an address, a path."""
    shown = config.model_dump(mode="json", exclude={"llm_providers": {"__all__": {"api_key", "options"}}})
    problems = [
        Problem(path, f"holds the key of the provider `{provider_id}`; a key stands in `api_key` alone")
        for path, text in trust.texts(shown)
        for provider_id, key in keys.items()
        if len(key.reveal()) >= _SURELY_A_KEY and key.reveal() in text
    ]
    if problems:
        origin.secrets.update({key.reveal(): "***" for key in keys.values()})
        raise config_error(problems, origin)


def _without_effect(config: Config) -> tuple[str, ...]:
    """Lines about `default_models` whose model is served, but not for that task."""
    notes = []
    for name, task in DEFAULT_FOR.items():
        wanted = getattr(config.default_models, name)
        serving = [
            model
            for provider in config.llm_providers
            for model in provider.models
            if wanted in {model.model_id, f"{provider.id}/{model.model_id}"}
        ]
        if serving and not any(task in model.tasks for model in serving):
            notes.append(f"default_models.{name}: `{wanted}` does not serve the task {task}, so this has no effect.")
    return tuple(notes)
