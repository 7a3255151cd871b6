"""What the registry shows of itself, as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING, Any

from .core.catalogue import Catalogue, ProviderState
from .core.simulation import Simulation
from .state import State
from .vitals import Record

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["health", "models", "simulations"]


def models(catalogue: Catalogue) -> pd.DataFrame:
    import pandas as pd

    rows = [
        {
            "provider_id": e.provider_id,
            "provider_type": e.provider_type,
            "model_id": e.model_id,
            "tasks": list(e.tasks),
            "context_window": e.context_window,
            "dimension": e.dimension,
            "supports_vision": e.supports_vision,
            "local": e.local,
            "price_input": e.price.input.base if e.price else None,
            "price_output": e.price.output.base if e.price else None,
            "price_source": e.price.source if e.price else "unpriced",
        }
        for e in catalogue.entries
    ]
    columns = ["provider_id", "provider_type", "model_id", "tasks", "context_window", "dimension", "supports_vision",
               "local", "price_input", "price_output", "price_source"]  # fmt: skip
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in columns})
    numbers: dict[str, Any] = {"context_window": "Int64", "dimension": "Int64", "supports_vision": bool, "local": bool}
    few = ("provider_id", "provider_type", "model_id", "price_source")
    return frame.astype(numbers | dict.fromkeys(few, "str")).astype(dict.fromkeys(few, "category"))


def simulations(running: Mapping[str, Simulation]) -> pd.DataFrame:
    import pandas as pd

    columns = ["provider_id", *(field.name for field in fields(Simulation))]
    rows = [[provider_id, *astuple(simulation)] for provider_id, simulation in running.items()]
    frame = pd.DataFrame(rows, columns=columns)
    # Of nothing that is left to chance.
    frame["probability"] = frame["probability"].where(frame["status"].notna())
    numbers: dict[str, Any] = {"down": bool, "status": "Int64", "cut": "Int64", "seed": "Int64"}
    return frame.astype({**numbers, "latency": float, "probability": float, "retry_after": float})


def health(state: State, probes: Mapping[str, Any]) -> pd.DataFrame:
    """One row per configured provider. `state` is what keeps it from answering, or that of its breaker.

    `failures` are those in a row, `retry_at` a time in UTC, latency is in milliseconds.
    """
    import pandas as pd

    rules, now, utc = state.catalogue.rules.breaker, state.clock(), datetime.now(UTC)
    rows = []
    configured = {provider.id: provider for provider in state.loaded.config.llm_providers}
    for provider_id in state.provider_ids():
        record = state.vitals.records.get(provider_id, Record())
        wait = record.retry_in(now, rules)
        probe = probes.get(provider_id)
        entries = [e for e in state.catalogue.entries if e.provider_id == provider_id]
        # In a replay nothing is configured, and what was recorded says the rest.
        provider = configured.get(provider_id)
        enabled = any(e.enabled for e in entries) if provider is None else provider.enabled
        rows.append(
            {
                "provider_id": provider_id,
                "provider_type": entries[0].provider_type if provider is None else provider.type,
                "state": _state(enabled, record.state(now, rules), entries, probe),
                "failures": record.breaker.failures,
                "retry_at": pd.NaT if wait is None else pd.Timestamp(utc + timedelta(seconds=wait)),
                "last_error": (probe.detail if probe and not probe.ok else None) or record.last_error,
                "models": len(probe.models) if probe and probe.models is not None else len(entries),
                "calls": record.calls,
                "error_rate": record.errors / record.calls if record.calls else float("nan"),
                "latency_p50_ms": median(record.latencies) if record.latencies else float("nan"),
            }
        )
    columns = ["provider_id", "provider_type", "state", "failures", "retry_at", "last_error", "models", "calls",
               "error_rate", "latency_p50_ms"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns).astype({"last_error": object})
    frame["retry_at"] = pd.to_datetime(frame["retry_at"], utc=True).astype("datetime64[us, UTC]")
    few, counts = ("provider_id", "provider_type", "state"), ("failures", "models", "calls")
    types: dict[str, Any] = {**dict.fromkeys(few, "str"), **dict.fromkeys(counts, "Int64")}
    return frame.astype({**types, "error_rate": float, "latency_p50_ms": float}).astype(dict.fromkeys(few, "category"))


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
