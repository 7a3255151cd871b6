"""Every view says what a few lines of pandas over the same events say, also where prices are unknown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import Candidate, Cost, Event, Origin, Usage
from sekha_magics.ledger.store import TABLES, Ledger
from sekha_magics.ledger.views import VIEWS

from .events import event

DAY = 86_400
UNPRICED = Cost(None, "unpriced")
PRICED = st.decimals("0", "1000", places=12).map(lambda usd: Cost(usd, "computed"))
STATUSES = st.sampled_from(["ok", "ok", "ok", "error", "error", "interrupted", "replayed"])
ATTEMPT = st.fixed_dictionaries(
    {
        "provider_id": st.sampled_from(["openai", "attic"]),
        "model_id": st.sampled_from(["gpt", "llama:8b"]),
        "status": STATUSES,
        "simulated": st.sampled_from([False, False, False, True]),
        "latency_ms": st.floats(0.1, 1e5),
        "ttft_ms": st.none() | st.floats(0.1, 1e4),
        "usage": st.none()
        | st.builds(Usage, st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 9), st.integers(0, 9)),
        "cost": st.just(UNPRICED) | PRICED,
    }
)
ORIGINS = st.builds(
    Origin,
    st.sampled_from(["morning", "evening"]),
    notebook=st.sampled_from([None, "a.ipynb"]),
    conversation=st.sampled_from([None, "trip"]),
)


@st.composite
def requests(draw: st.DrawFn) -> Event:
    attempts = [dict(one, attempt=n) for n, one in enumerate(draw(st.lists(ATTEMPT, max_size=3)), 1)]
    for one in attempts:
        one["error_type"] = "ServerFailed" if one["status"] == "error" else None
        if one["status"] == "replayed" and one["cost"].usd is not None:
            one["cost"] = Cost(one["cost"].usd, "replayed", "computed")
    rejected = st.sampled_from([(), ("no_key",), ("no_vision", "not_local")])
    candidates = tuple(
        Candidate("attic", f"m{n}", not why, tuple(map(Reason, why)), None, None, 2)
        for n, why in enumerate(draw(st.lists(rejected, max_size=3)))
    )
    return event(
        calls=attempts,
        second=draw(st.integers(0, 3 * DAY)),
        origin=draw(ORIGINS),
        task=draw(st.sampled_from(["chat_small", "chat_smart"])),
        candidates=candidates,
        outcome=draw(st.sampled_from(["ok", "failed"])),
        prompt=None,
        answer=None,
    )


EVENTS = st.lists(requests(), max_size=8)


@contextmanager
def ledger_of(events: list[Event], factory: pytest.TempPathFactory, *, folded: bool = False) -> Iterator[Ledger]:
    ledger = Ledger(factory.mktemp("views") / "ledger.duckdb")
    for one in events:
        ledger.append(one)
    if folded:
        ledger.flush()
    yield ledger
    ledger.close()


def calls_of(events: list[Event]) -> pd.DataFrame:
    """The calls as they were made, with where they came from and what they spent, without asking the ledger."""
    rows = [
        {
            "call_id": c.call_id, "decision_id": e.decision.decision_id, "ts": pd.Timestamp(c.ts),
            "day": pd.Timestamp(c.ts).tz_convert(None).normalize(), "session_id": e.origin.session_id,
            "conversation": e.origin.conversation, "task": e.decision.task, "outcome": e.outcome, "attempt": c.attempt,
            "provider_id": c.provider_id, "model_id": c.model_id, "status": c.status, "simulated": c.simulated,
            "replayed": c.status == "replayed" or c.cost.source == "replayed", "usd": c.cost.usd,
            "input_tokens": c.usage.input_tokens if c.usage else np.nan, "latency_ms": c.latency_ms,
            "output_tokens": c.usage.output_tokens if c.usage else np.nan, "answered": c.ttft_ms is not None,
            "ttft_ms": c.ttft_ms, "error_type": c.error_type,
        }
        for e in events for c in e.calls
    ]  # fmt: skip
    columns = ["call_id", "decision_id", "day", "session_id", "conversation", "task", "provider_id", "model_id",
               "status", "simulated", "replayed", "usd", "input_tokens", "output_tokens", "latency_ms", "ts", "attempt",
               "answered", "ttft_ms", "error_type", "outcome"]  # fmt: skip
    frame = pd.DataFrame(rows, columns=columns)
    frame["spends"] = ~frame.replayed.astype(bool)
    frame["earnest"] = frame.spends & ~frame.simulated.astype(bool)
    billed = (frame.status != "error") | frame.answered.astype(bool)
    frame["unpriced"] = frame.spends & frame.usd.isna() & billed
    return frame


def total(group: pd.DataFrame) -> tuple[Decimal | None, int]:
    """What a group spent, and how many of its calls have no price."""
    known = [usd for usd in group[group.spends].usd if not pd.isna(usd)]
    unpriced = int(group.unpriced.sum())
    return (None if unpriced and not known else sum(known, Decimal(0))), unpriced


def whole(values: pd.Series) -> int | None:
    return None if values.dropna().empty else int(values.sum())


def records(frame: pd.DataFrame, *keys: str) -> dict[Any, dict[str, Any]]:
    """Rows by key; missing is None."""
    found = {}
    for row in frame.to_dict("records"):
        row = {name: None if pd.api.types.is_scalar(v) and pd.isna(v) else v for name, v in row.items()}  # noqa: PLW2901
        key = tuple(row[k] for k in keys)
        assert key not in found
        found[key[0] if len(keys) == 1 else key] = row
    return found


def checks(test: Any) -> Any:
    quick = settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    return quick(given(events=EVENTS)(test))


Factory = pytest.TempPathFactory


@checks
def test_charges_are_the_calls_with_their_origin_and_what_they_spent(tmp_path_factory: Factory, events) -> None:
    expected = calls_of(events)
    with ledger_of(events, tmp_path_factory, folded=True) as ledger:
        found = records(ledger.charges(), "call_id")
    assert found.keys() == set(expected.call_id)
    for call in expected.itertuples():
        row = found[call.call_id]
        usd = None if call.unpriced else (call.usd if call.spends and call.usd is not None else Decimal(0))
        assert (row["cost_usd"], row["unpriced"], row["replayed"]) == (usd, call.unpriced, call.replayed)
        assert row["replayed_usd"] == (call.usd if call.replayed else None)
        assert (row["session_id"], row["task"], row["model_id"]) == (call.session_id, call.task, call.model_id)


@checks
def test_spending_adds_up_by_day_provider_model_and_task(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    keys = ["day", "provider_id", "model_id", "task"]
    with ledger_of(events, tmp_path_factory) as ledger:
        found = records(ledger.spending(), *keys)
    groups = dict(iter(calls[calls.spends].groupby(keys)))
    assert found.keys() == groups.keys()
    for key, group in groups.items():
        row = found[key]
        assert (row["cost_usd"], row["unpriced_calls"]) == total(group)
        assert (row["calls"], row["failed_calls"]) == (len(group), sum(group.status == "error"))
        assert (row["input_tokens"], row["output_tokens"]) == (whole(group.input_tokens), whole(group.output_tokens))


@checks
def test_the_sum_over_every_view_of_money_is_the_same(tmp_path_factory: Factory, events) -> None:
    with ledger_of(events, tmp_path_factory) as ledger:
        frames = [ledger.costs(), ledger.charges(), ledger.spending(), ledger.sessions()]
    sums = [sum(frame.cost_usd.dropna(), Decimal(0)) for frame in frames]
    assert sums == [sums[0]] * len(frames)
    counts = [int(frame["unpriced" if "unpriced" in frame else "unpriced_calls"].sum()) for frame in frames]
    assert counts == [counts[0]] * len(frames)


@checks
def test_sessions_and_conversations_add_up_what_was_asked_in_them(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    asked = pd.DataFrame(
        [(e.decision.decision_id, e.origin.session_id, e.origin.conversation, pd.Timestamp(e.ts)) for e in events],
        columns=["decision_id", "session_id", "conversation", "ts"],
    )
    with ledger_of(events, tmp_path_factory) as ledger:
        sessions = records(ledger.sessions(), "session_id")
        conversations = records(ledger.conversation_costs(), "session_id", "conversation")
    assert sessions.keys() == set(asked.session_id)
    for session, group in asked.groupby("session_id"):
        own, row = calls[calls.session_id == session], sessions[session]
        assert (row["decisions"], row["calls"]) == (len(group), len(own))
        assert (row["failed_calls"], row["replayed_calls"]) == (sum(own.status == "error"), own.replayed.sum())
        assert (row["cost_usd"], row["unpriced_calls"]) == total(own)
        assert (row["started"], row["ended"]) == (group.ts.min(), group.ts.max())
    named = asked.dropna(subset="conversation")
    assert conversations.keys() == set(zip(named.session_id, named.conversation, strict=True))
    for (session, name), row in conversations.items():
        own = calls[(calls.session_id == session) & (calls.conversation == name)]
        group = named[(named.session_id == session) & (named.conversation == name)]
        assert (row["decisions"], row["calls"]) == (len(group), len(own))
        assert (row["cost_usd"], row["unpriced_calls"]) == total(own)
        assert row["input_tokens"] == whole(own.input_tokens)


@checks
def test_daily_figures_are_those_of_the_days_successful_calls(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    keys = ["day", "provider_id", "model_id"]
    with ledger_of(events, tmp_path_factory) as ledger:
        found = records(ledger.daily_stats(), *keys)
    groups = dict(iter(calls[calls.earnest].groupby(keys)))
    assert found.keys() == groups.keys()
    for key, group in groups.items():
        row, well = found[key], group[group.status == "ok"]
        assert (row["calls"], row["errors"]) == (len(group), sum(group.status == "error"))
        assert row["error_rate"] == pytest.approx(row["errors"] / row["calls"])
        for name, values in (("latency", well.latency_ms), ("ttft", well.ttft_ms.dropna().astype(float))):
            for share in (50, 95):
                expected = None if values.empty else pytest.approx(np.percentile(values, share))
                assert row[f"{name}_p{share}_ms"] == expected


@checks
def test_failures_say_whether_another_attempt_saved_the_request(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    with ledger_of(events, tmp_path_factory) as ledger:
        found = records(ledger.failures(), "call_id")
    failed = calls[calls.status == "error"]
    assert found.keys() == set(failed.call_id)
    for call in failed.itertuples():
        row = found[call.call_id]
        others = calls[(calls.decision_id == call.decision_id) & calls.status.isin(["ok", "replayed"])]
        last = others.iloc[-1] if len(others) else None
        assert row["saved"] == bool(len(others))
        assert row["answered_model_id"] == (None if last is None else last.model_id)
        assert row["answered_provider_id"] == (None if last is None else last.provider_id)
        assert (row["error_type"], row["outcome"], row["attempt"]) == ("ServerFailed", call.outcome, call.attempt)


@checks
def test_fallbacks_are_the_requests_another_model_answered(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    with ledger_of(events, tmp_path_factory) as ledger:
        found = records(ledger.fallbacks(), "decision_id")
    expected = {}
    for decision_id, group in calls.groupby("decision_id"):
        answers = group[group.status.isin(["ok", "replayed"])]
        # Every decision of these tests chose gpt at openai.
        if len(answers) and (answers.iloc[-1].provider_id, answers.iloc[-1].model_id) != ("openai", "gpt"):
            expected[decision_id] = (answers.iloc[-1], group[group.status == "error"])
    assert found.keys() == expected.keys()
    for decision_id, (answer, failed) in expected.items():
        row = found[decision_id]
        assert (row["chosen_provider_id"], row["chosen_model_id"]) == ("openai", "gpt")
        assert (row["provider_id"], row["model_id"]) == (answer.provider_id, answer.model_id)
        assert (row["failed_calls"], list(row["error_types"])) == (len(failed), list(failed.error_type))
        assert row["lost_ms"] == pytest.approx(failed.latency_ms.sum())


@checks
def test_rejections_have_a_row_for_each_reason(tmp_path_factory: Factory, events) -> None:
    expected = [
        (e.decision.decision_id, c.model_id, str(reason), e.decision.model_id)
        for e in events for c in e.decision.candidates for reason in c.reasons
    ]  # fmt: skip
    with ledger_of(events, tmp_path_factory) as ledger:
        found = ledger.rejections()
    rows = found[["decision_id", "model_id", "reason", "chosen_model_id"]].itertuples(index=False, name=None)
    assert sorted(rows) == sorted(expected)


@checks
def test_estimates_stand_beside_what_the_chosen_model_needed(tmp_path_factory: Factory, events) -> None:
    calls = calls_of(events)
    with ledger_of(events, tmp_path_factory) as ledger:
        found = ledger.estimates()
    answered = calls[
        calls.status.isin(["ok", "replayed"])
        & (calls.provider_id == "openai") & (calls.model_id == "gpt") & ~calls.simulated.astype(bool)
    ]  # fmt: skip
    assert sorted(found.decision_id) == sorted(answered.decision_id)
    for row in found.to_dict("records"):
        ratio = None if pd.isna(row["input_tokens"]) else row["input_tokens"] / row["est_input_tokens"]
        assert row["est_input_tokens"] == 100
        assert (None if pd.isna(row["input_ratio"]) else row["input_ratio"]) == ratio
    expected = [None if usd is None else usd.quantize(Decimal("1e-12")) for usd in answered.usd]
    assert sorted(map(str, found.cost_usd)) == sorted(map(str, expected))


# --- what the frames are made of -----------------------------------------------------------------

FRAMES = ("decisions", "candidates", "calls", *(name for name in VIEWS if name != "provider_stats"), "stats")


def test_an_empty_ledger_has_the_dtypes_of_a_full_one(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    before = {name: getattr(ledger, name)() for name in FRAMES}
    failed = {"status": "error", "error_type": "Timeout", "attempt": 1}
    ledger.append(event(origin=Origin("s", conversation="c"), calls=[failed, {"attempt": 2, "model_id": "other"}]))
    ledger.append(event())
    for name, empty in before.items():
        full = getattr(ledger, name)()
        assert len(empty) == 0 and len(full), name
        assert list(map(str, empty.dtypes)) == list(map(str, full.dtypes)), name
    ledger.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    yield ledger
    ledger.close()


def test_times_are_utc_names_are_categories_and_money_is_exact(ledger: Ledger) -> None:
    ledger.append(event(calls=[{"cost": Cost(Decimal("0.1"), "computed")}, {"cost": UNPRICED}]))
    ledger.append(event(calls=[{"cost": Cost(Decimal("0.2"), "computed")}, {"model_id": "b", "cost": UNPRICED}]))
    calls = ledger.calls()
    assert str(calls.ts.dtype) == "datetime64[us, UTC]"
    for name in ("provider_id", "provider_type", "model_id", "status", "operation", "cost_source"):
        assert isinstance(calls[name].dtype, pd.CategoricalDtype), name
    assert list(calls.model_id.cat.categories) == ["b", "gpt"]
    assert calls.cost_usd.sum() == Decimal("0.3") and isinstance(calls.cost_usd.sum(), Decimal)
    by_model = calls.groupby("model_id").cost_usd.sum(min_count=1)
    assert by_model["gpt"] == Decimal("0.3") and pd.isna(by_model["b"])
    assert sorted(type(usd).__name__ for usd in calls.cost_usd) == ["Decimal", "Decimal", "NoneType", "NoneType"]
    assert str(ledger.spending().day.dtype).startswith("datetime64")


def test_frames_can_be_joined_put_together_and_asked_again(ledger: Ledger) -> None:
    ledger.append(event())
    first = ledger.calls()
    ledger.append(event(calls=[{"model_id": "other"}]))
    both = pd.concat([first, ledger.calls()])
    assert both.cost_usd.sum() == 3 * Decimal("3.75e-8") and set(both.model_id) == {"gpt", "other"}
    merged = ledger.calls().merge(ledger.decisions(), on="decision_id", suffixes=("", "_chosen"))
    assert len(merged) == 2
    own = ledger.costs()
    joined = ledger.sql(
        "SELECT o.model_id, sum(o.cost_usd) AS usd FROM own o JOIN calls USING (model_id) GROUP BY ALL ORDER BY 1"
    )
    assert joined.model_id.tolist() == ["gpt", "other"] and joined.usd.sum() == 2 * Decimal("3.75e-8")
    assert len(own) == 2
    nothing = ledger.failures()
    assert ledger.sql("SELECT count(*) AS n FROM nothing JOIN calls USING (model_id)").n[0] == 0
    assert nothing.empty


def test_the_columns_of_every_view_are_known_without_a_ledger() -> None:
    from sekha_magics.ledger.catalogue import columns

    known = columns()
    assert set(known) == {*TABLES.keys, *VIEWS}
    assert known["rejections"]["reason"] == "VARCHAR" and known["costs"]["cost_usd"].startswith("DECIMAL")
