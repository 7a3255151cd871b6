"""A configuration that goes on changing after it was loaded: a provider added, models listed, keys looked up again.

Each function gives a new `Loaded`; the one it was given stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.provider_types import ProviderType
from ..errors import ConfigError
from .defaults import dimension_of, tasks_for_discovered
from .keys import KeyStore, resolve_keys
from .load import Loaded, from_mapping
from .schema import ModelConfig

__all__ = ["with_keys", "with_models", "with_provider"]


def with_provider(
    loaded: Loaded, provider: Mapping[str, Any], *, provider_types: Mapping[str, ProviderType], keys: KeyStore
) -> Loaded:
    """One more provider, described as in a file. Raises `ConfigError`."""
    added = from_mapping({"llm_providers": [provider]}, provider_types=provider_types, keys=keys)
    (new,) = added.config.llm_providers
    present = loaded.config.llm_providers
    if any(p.id == new.id for p in present):
        raise ConfigError(f"A provider `{new.id}` is configured already.", hint="Give the new one another id.")
    return replace(
        loaded,
        config=loaded.config.model_copy(update={"llm_providers": (*present, new)}),
        keys={**loaded.keys, **added.keys},
        missing_keys={**loaded.missing_keys, **added.missing_keys},
        key_sources={**loaded.key_sources, **added.key_sources},
        discover=(*loaded.discover, *added.discover),
    )


def with_models(loaded: Loaded, provider_id: str, model_ids: Sequence[str]) -> Loaded:
    """The models a provider says it has, with the tasks their names suggest; what serves no task is left out."""
    models = tuple(m for m in map(_listed, model_ids) if m is not None)
    providers = tuple(
        p.model_copy(update={"models": models}) if p.id == provider_id else p for p in loaded.config.llm_providers
    )
    return replace(loaded, config=loaded.config.model_copy(update={"llm_providers": providers}))


def _listed(model_id: str) -> ModelConfig | None:
    tasks = tasks_for_discovered(model_id)
    dimension = dimension_of(model_id)
    if not tasks or ("embedding" in tasks and dimension is None):
        return None
    return ModelConfig.model_validate({"model_id": model_id, "tasks": list(tasks), "dimension": dimension})


def with_keys(loaded: Loaded, *, provider_types: Mapping[str, ProviderType], keys: KeyStore) -> Loaded:
    """The same configuration with every key looked up again."""
    resolved = resolve_keys(loaded.config, provider_types, keys)
    return replace(loaded, keys=resolved.keys, missing_keys=resolved.missing, key_sources=resolved.sources)
