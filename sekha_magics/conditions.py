"""How each provider is, as this kernel has seen it, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median
from typing import Any, NamedTuple

from .core.catalogue import ProviderState
from .state import State
from .vitals import Record

__all__ = ["Condition", "conditions"]


class Condition(NamedTuple):
    """`state` is what keeps the provider from answering, or that of its breaker. `failures` are those in a row,
    `retry_in` is in seconds, `error_rate` a fraction; None where nothing is known."""

    provider_id: str
    provider_type: str
    state: str
    failures: int
    retry_in: float | None
    last_error: str | None
    models: int
    calls: int
    error_rate: float | None
    latency_p50_ms: float | None


def conditions(state: State, probes: Mapping[str, Any]) -> list[Condition]:
    """One for each provider of the configuration, in its order; `probes` are answers of those asked just now."""
    rules, now = state.catalogue.rules.breaker, state.clock()
    configured = {provider.id: provider for provider in state.loaded.config.llm_providers}
    found = []
    for provider_id in state.provider_ids():
        record = state.vitals.records.get(provider_id, Record())
        probe = probes.get(provider_id)
        entries = [e for e in state.catalogue.entries if e.provider_id == provider_id]
        # In a replay nothing is configured, and what was recorded says the rest.
        provider = configured.get(provider_id)
        enabled = any(e.enabled for e in entries) if provider is None else provider.enabled
        found.append(
            Condition(
                provider_id=provider_id,
                provider_type=entries[0].provider_type if provider is None else provider.type,
                state=_state(enabled, record.state(now, rules), entries, probe),
                failures=record.breaker.failures,
                retry_in=record.retry_in(now, rules),
                last_error=(probe.detail if probe and not probe.ok else None) or record.last_error,
                models=len(probe.models) if probe and probe.models is not None else len(entries),
                calls=record.calls,
                error_rate=record.errors / record.calls if record.calls else None,
                latency_p50_ms=median(list(record.latencies)) if record.latencies else None,
            )
        )
    return found


def _state(enabled: bool, seen: ProviderState, entries: list[Any], probe: Any) -> str:
    if not enabled:
        return "disabled"
    if any(e.missing_key for e in entries):
        return "no_key"
    if seen.auth_failed is not None:
        return "auth_failed"
    if probe is not None and not probe.ok:
        return "unreachable"
    return "rate_limited" if seen.rests is not None and seen.breaker == "closed" else seen.breaker
