"""What is on offer: the configuration, with the limits and the price of each model filled in, as a `Catalogue`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .core.breaker import BreakerRules
from .core.catalogue import Catalogue, Entry, Price, Rate, RoutingRules
from .core.families import family_of
from .core.pricing import FREE
from .core.provider_types import ProviderType
from .core.types import CHAT_TASKS
from .prices import table_price
from .providers.litellm.table import ModelLimits, limits

if TYPE_CHECKING:
    from .config.load import Loaded
    from .config.schema import ModelConfig, ProviderConfig

__all__ = ["build_catalogue"]

_TASK_OF_DEFAULT = {
    "embedding": "embedding",
    "chat_fast": "chat_small",
    "chat_smart": "chat_smart",
    "chat_vision": "vision",
}
_MIB = 1024 * 1024


def build_catalogue(loaded: Loaded, types: Mapping[str, ProviderType], at: datetime) -> Catalogue:
    """Everything `loaded` configures, priced as of `at` (with a time zone)."""
    config = loaded.config
    entries: list[Entry] = []
    for provider in config.llm_providers:
        for model in provider.models:
            entries.append(_entry(len(entries), provider, model, loaded, types[provider.type], at))
    routing = config.routing
    rules = RoutingRules(
        default_task=routing.default_task,
        policy=routing.policy,
        require_vision_for_images=routing.require_vision_for_images,
        max_cost_per_request=routing.max_cost_per_request,
        auto_fallback=routing.auto_fallback,
        max_retries=routing.max_retries,
        breaker=BreakerRules(**routing.circuit_breaker.model_dump()),
        remote_fallback=not loaded.no_remote_fallback,
    )
    if loaded.last_resort:
        entries = _give_way(entries, loaded.last_resort)
    return Catalogue(tuple(entries), rules)


def _entry(
    position: int, provider: ProviderConfig, model: ModelConfig, loaded: Loaded, traits: ProviderType, at: datetime
) -> Entry:
    known = _known_limits(provider, model, traits) or ModelLimits()
    tasks = tuple(model.tasks)
    vision = model.vision_capabilities
    defaults = {
        task
        for name, task in _TASK_OF_DEFAULT.items()
        if getattr(loaded.config.default_models, name) in (model.model_id, f"{provider.id}/{model.model_id}")
    }
    return Entry(
        position=position,
        provider_id=provider.id,
        provider_type=provider.type,
        model_id=model.model_id,
        tasks=tasks,
        priority=provider.priority,
        enabled=provider.enabled,
        local=_is_local(provider, model, traits),
        context_window=model.context_window or known.context_window,
        max_output_tokens=model.max_output_tokens or known.max_output_tokens,
        dimension=model.dimension,
        supports_vision=_either(model.supports_vision, known.supports_vision),
        supports_audio=_either(model.supports_audio, known.supports_audio),
        supports_function_calling=_either(model.supports_function_calling, known.supports_function_calling),
        max_images=vision.max_images,
        max_image_bytes=int(vision.max_image_size_mb * _MIB),
        image_formats=tuple(vision.supported_formats),
        image_urls=traits.image_urls,
        price=_price(provider, model, traits, at),
        missing_key=loaded.missing_keys.get(provider.id),
        default_for=tuple(sorted(defaults)),
        family=family_of(model.base_model or model.model_id),
    )


def _at_own_host(provider: ProviderConfig, traits: ProviderType) -> bool:
    return provider.base_url is None or urlsplit(str(provider.base_url)).hostname in traits.hosts


def _is_local(provider: ProviderConfig, model: ModelConfig, traits: ProviderType) -> bool:
    if provider.local is not None:
        return provider.local
    # Ollama passes its cloud models on to its own servers.
    return traits.local and not (provider.type == "ollama" and model.model_id.endswith((":cloud", "-cloud")))


def _price(provider: ProviderConfig, model: ModelConfig, traits: ProviderType, at: datetime) -> Price | None:
    if (own := model.price) is not None:
        cached = None if own.cached_input is None else Rate(own.cached_input)
        return Price("config", Rate(own.input), Rate(own.output), cached)
    if traits.free:
        return FREE
    if not _at_own_host(provider, traits) and traits.hosts:
        # Somebody else's server: what the type's own host charges says nothing about it.
        return None
    return table_price(provider.type, model.base_model or model.model_id, at)


def _either(configured: bool | None, known: bool) -> bool:
    return known if configured is None else configured


def _known_limits(provider: ProviderConfig, model: ModelConfig, traits: ProviderType) -> ModelLimits | None:
    """What the table of known models says; nothing of the free types, whose models are the user's own files."""
    return None if traits.free else limits(provider.type, model.base_model or model.model_id)


def _give_way(entries: list[Entry], last_resort: tuple[str, ...]) -> list[Entry]:
    """Providers of last resort give up each task that another serves; asked for by name they still answer."""
    others = [e for e in entries if e.provider_id not in last_resort and e.enabled and e.missing_key is None]
    served = {task for entry in others for task in entry.tasks}
    if served & set(CHAT_TASKS):
        served |= set(CHAT_TASKS)
    return [
        replace(e, tasks=tuple(t for t in e.tasks if t not in served)) if e.provider_id in last_resort else e
        for e in entries
    ]
