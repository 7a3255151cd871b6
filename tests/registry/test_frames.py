"""Every DataFrame a user can get: times are UTC, money exact, whole numbers whole beside a gap, names categoricals."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pandas as pd
import pytest

from sekha_magics import Registry
from sekha_magics.core.types import Cost
from sekha_magics.ledger.views import VIEWS
from tests.ledger.events import event
from tests.magics.parrot import make_registry

_TIMES = {"ts", "started", "ended", "retry_at"}
_DAYS = {"day", "price_as_of"}
_MONEY = {"price_input", "price_output", "estimated_cost", "cost_then", "cost_low", "cost_expected", "cost_high",
          "limit", "spent", "reserved", "left"}  # fmt: skip
_WHOLE = {"calls", "decisions", "errors", "attempt", "position", "rank", "priority", "http_status", "image_count",
          "failed_calls", "replayed_calls", "unpriced_calls", "context_window", "dimension", "failures", "models",
          "pruned", "kept", "bytes", "number"}  # fmt: skip
_YES_OR_NO = {
    "eligible",
    "streamed",
    "simulated",
    "require_vision",
    "replayed",
    "unpriced",
    "saved",
    "moved",
    "possible",
    "supports_vision",
    "local",
}
_NAMES = {
    "provider_id",
    "provider_type",
    "model_id",
    "task",
    "policy",
    "source",
    "outcome",
    "status",
    "operation",
    "asked",
    "state",
    "breaker_state",
    "error_type",
    "cost_source",
    "price_source",
    "finish_reason",
    "experiment",
    "arm",
}

FRAMES: dict[str, Callable[[Registry], pd.DataFrame]] = {
    **{
        name: lambda reg, name=name: getattr(reg.ledger, name)()
        for name in ("decisions", "candidates", "calls", "stats")
    },
    **{name: lambda reg, name=name: getattr(reg.ledger, name)() for name in VIEWS if name != "provider_stats"},
    "calls with content": lambda reg: reg.ledger.calls(content=True),
    "sql": lambda reg: reg.ledger.sql("SELECT * FROM charges"),
    "search": lambda reg: reg.ledger.search("picture"),
    "prune": lambda reg: reg.ledger.prune(session="session-1").to_frame(),
    "models": lambda reg: reg.models(),
    "health": lambda reg: reg.health(),
    "budget": lambda reg: reg.budget.status(),
    "map": lambda reg: reg.map(["one", "two", ""]).to_frame(),
    "whatif": lambda reg: reg.whatif(policy="cheapest").to_frame(),
    "route": lambda reg: reg.route("one").to_frame(),
}


@pytest.fixture(scope="module")
def registry() -> Iterator[Registry]:
    registry = make_registry()
    registry.chat("one two three")
    failed = {"status": "error", "error_type": "RateLimited", "cost": Cost(None, "unpriced"), "usage": None}
    unpriced = {
        "attempt": 2,
        "provider_id": "attic",
        "model_id": "llama:8b",
        "cost": Cost(None, "unpriced"),
        "usage": None,
    }
    registry.ledger.append(event(calls=[failed, unpriced]))
    registry.ledger.append(event())
    yield registry
    registry.close()


def expected(column: str, kind: Any) -> bool:
    if column in _TIMES:
        return isinstance(kind, pd.DatetimeTZDtype) and str(kind.tz) == "UTC"
    if column in _DAYS:
        return pd.api.types.is_datetime64_dtype(kind)
    if column in _MONEY or column.endswith("_usd"):
        return pd.api.types.is_object_dtype(kind)
    if column in _WHOLE or column.endswith("_tokens"):
        return isinstance(kind, pd.Int64Dtype) or kind == "int64"
    if column in _YES_OR_NO:
        return isinstance(kind, pd.BooleanDtype) or pd.api.types.is_bool_dtype(kind)
    if column in _NAMES or column.endswith(("provider_id", "model_id", "_model")):
        return isinstance(kind, pd.CategoricalDtype)
    if column.endswith(("_ms", "_rate", "_ratio", "_per_second")):
        return pd.api.types.is_float_dtype(kind)
    # Texts and ids; lists stay Python lists.
    return pd.api.types.is_object_dtype(kind) or isinstance(kind, pd.StringDtype)


@pytest.mark.parametrize("name", FRAMES)
def test_each_column_has_the_type_of_what_it_holds(registry: Registry, name: str) -> None:
    frame = FRAMES[name](registry)
    if name == "route":
        # One row for each candidate of one decision: small, and of plain values.
        frame = frame.drop(columns=["provider_id", "provider_type", "model_id"])
    if name == "whatif":
        # To be compared with those of any other frame, which categoricals cannot.
        frame = frame.drop(columns=["source", "task"])
    if name == "sql":
        # What a query answers is not known to be a name.
        frame = frame.drop(columns=[column for column in frame if column in _NAMES])
    wrong = {column: str(kind) for column, kind in frame.dtypes.items() if not expected(column, kind)}
    assert not wrong
    for column in frame:
        if column in _MONEY or column.endswith("_usd"):
            assert {type(value) for value in frame[column]} <= {Decimal, type(None)}, column


def test_an_empty_ledger_gives_the_same_types() -> None:
    with make_registry() as bare:
        for view in ("costs", "charges", "spending", "sessions", "stats", "failures"):
            kinds = getattr(bare.ledger, view)().dtypes.items()
            assert not {c: str(t) for c, t in kinds if not expected(c, t)}, view


@pytest.mark.parametrize("by", ["model_id", "provider_id", "task", "session_id", "notebook"])
def test_money_summed_in_pandas_stays_exact(registry: Registry, by: str) -> None:
    charges = registry.ledger.charges()
    assert charges["cost_usd"].isna().any()
    sums = charges.groupby(by, dropna=False, observed=True)["cost_usd"].sum()
    assert all(isinstance(value, Decimal | int) for value in sums)
    known = [usd for usd in charges["cost_usd"] if usd is not None]
    assert sum(sums) == sum(known) == registry.ledger.sql("SELECT sum(cost_usd) AS usd FROM charges")["usd"][0]
    pivot = charges.pivot_table(index=by, columns="status", values="cost_usd", aggfunc="sum", observed=True)
    assert all(isinstance(value, Decimal | int) for value in pivot.to_numpy().ravel() if pd.notna(value))


def test_who_was_chosen_can_be_compared_with_who_answered(registry: Registry) -> None:
    fallbacks = registry.ledger.fallbacks()
    assert len(fallbacks)
    assert (fallbacks["chosen_model_id"] != fallbacks["model_id"]).all()
    assert (fallbacks["chosen_provider_id"] != fallbacks["provider_id"]).all()


def test_times_can_be_resampled_and_joined(registry: Registry) -> None:
    charges = registry.ledger.charges()
    assert charges.set_index("ts").resample("D")["input_tokens"].sum().sum() == charges["input_tokens"].sum()
    merged = charges.merge(registry.ledger.decisions()[["decision_id", "reason"]], on="decision_id")
    assert len(merged) == len(charges)
