"""What the registry shows of itself, as DataFrames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from .conditions import conditions
from .core.catalogue import Catalogue
from .core.simulation import Simulation
from .state import State

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
    """One row per provider, as in `conditions`; `retry_at` is a time in UTC."""
    import pandas as pd

    utc = datetime.now(UTC)
    rows = []
    for seen in conditions(state, probes):
        wait = seen.retry_in
        rows.append(
            {
                "provider_id": seen.provider_id,
                "provider_type": seen.provider_type,
                "state": seen.state,
                "failures": seen.failures,
                "retry_at": pd.NaT if wait is None else pd.Timestamp(utc + timedelta(seconds=wait)),
                "last_error": seen.last_error,
                "models": seen.models,
                "calls": seen.calls,
                "error_rate": float("nan") if seen.error_rate is None else seen.error_rate,
                "latency_p50_ms": float("nan") if seen.latency_p50_ms is None else seen.latency_p50_ms,
            }
        )
    columns = ["provider_id", "provider_type", "state", "failures", "retry_at", "last_error", "models", "calls",
               "error_rate", "latency_p50_ms"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns).astype({"last_error": object})
    frame["retry_at"] = pd.to_datetime(frame["retry_at"], utc=True).astype("datetime64[us, UTC]")
    few, counts = ("provider_id", "provider_type", "state"), ("failures", "models", "calls")
    types: dict[str, Any] = {**dict.fromkeys(few, "str"), **dict.fromkeys(counts, "Int64")}
    return frame.astype({**types, "error_rate": float, "latency_p50_ms": float}).astype(dict.fromkeys(few, "category"))
