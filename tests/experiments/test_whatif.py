"""Logged decisions are taken again: the same inputs give the same choice, and another policy its own."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sekha_magics import Registry
from sekha_magics.core.types import Cost, Event, Origin
from sekha_magics.errors import InvalidInput, LedgerError, SekhaError

from ..ledger.events import at, event
from ..registry.stages import provider, registry

DEAR = provider(
    "dear", priority=1, model={"price": {"input": 10, "output": 30}, "tasks": ["chat_small", "chat_smart", "vision"]}
)
CHEAP = provider("cheap", priority=2, model={"price": {"input": "0.1", "output": "0.4"}, "tasks": ["chat_small"]})
STUMBLES = provider(
    "stumbles", priority=1, model={"price": {"input": 1, "output": 2}}, fail={"status": 500, "times": 40}
)
FREE = provider("free", priority=3, model={"tasks": ["chat_small"], "context_window": 300})
UNPRICED = provider("unpriced", priority=4, model={"tasks": ["chat_large"]})


@pytest.fixture
def reg() -> Any:
    with registry(DEAR, CHEAP, FREE) as made:
        yield made


def _wishes(chance: random.Random) -> dict[str, Any]:
    drawn = {
        "task": chance.choice([None, None, "chat_small", "chat_smart"]),
        "policy": chance.choice([None, "priority", "cheapest", "fastest"]),
        "preferred_model": chance.choice([None, None, "cheap-model", "nobody-has-it"]),
        "model": chance.choice([None, None, None, None, "free-model"]),
        "max_cost": chance.choice([None, None, "0.002", "0.05"]),
        "max_tokens": chance.choice([None, 20, 200]),
        "local_only": chance.random() < 0.1,
    }
    return {name: value for name, value in drawn.items() if value not in (None, False)}


def test_the_unchanged_policy_chooses_the_same_model_a_thousand_times() -> None:
    chance = random.Random(20261123)
    circuit = {"circuit_breaker": {"failure_threshold": 2, "timeout_secs": 1}, "max_retries": 0}
    with registry(DEAR, STUMBLES, CHEAP, FREE, UNPRICED, routing=circuit, budget={"session": "5"}) as reg:
        for number in range(1000):
            try:
                reg.chat("word " * chance.randint(1, 120) + str(number), **_wishes(chance))
            except SekhaError as refused:
                assert refused.hint is not None
        found = reg.whatif()
        decisions = reg.ledger.decisions()
        assert len(found.rows) == len(decisions) == 1000
        # Breakers that opened, latencies, budgets and refusals were all part of it.
        assert {"ok", "refused"} <= set(decisions["outcome"])
        candidates = reg.ledger.candidates()
        assert "open" in set(candidates["breaker_state"])
        assert {"over_max_cost", "context_window", "wrong_task"} <= set(candidates["reasons"].explode().dropna())
        assert found.moved == 0
        assert [(r.provider_id, r.model_id) for r in found.rows] == [r.past.chosen for r in found.rows]
        assert found.then[0] == found.now[0].low == found.now[0].expected == found.now[0].high
        assert found.then[0] == sum(cost for cost in reg.ledger.costs()["cost_usd"] if cost is not None)


def test_a_decision_is_taken_again_and_not_read_from_its_row(reg: Registry) -> None:
    taken = reg.route("hello", log=False)
    said_otherwise = _with(taken, provider_id="free", model_id="free-model")
    reg.ledger.append(Event(at(0), said_otherwise, Origin(reg.session_id), "ok"))
    (row,) = reg.whatif().rows
    assert (row.past.model_id, row.model_id, row.moved) == ("free-model", "dear-model", True)


def _with(taken: Any, **changes: Any) -> Any:
    from dataclasses import replace

    return replace(taken, **changes)


def test_another_policy_agrees_with_a_few_lines_of_pandas(reg: Registry) -> None:
    chance = random.Random(7)
    for number in range(60):
        reg.chat("word " * chance.randint(1, 90) + str(number), task=chance.choice(["chat_small", "chat_smart"]))
    ours = reg.whatif(policy="cheapest").to_frame().set_index("decision_id")

    eligible = reg.ledger.candidates().query("eligible")
    eligible = eligible.assign(usd=eligible["est_cost_usd"].astype(float))
    first = eligible.sort_values(["decision_id", "usd", "priority", "position"]).groupby("decision_id").first()
    assert (ours["model"] == first["model_id"].reindex(ours.index)).all()

    calls = reg.ledger.calls().set_index("decision_id").reindex(ours.index)
    for decision_id, row in ours.iterrows():
        used = calls.loc[decision_id]
        rates = {"dear-model": (10, 30), "free-model": (0, 0)}[row["model"]]
        usd = (rates[0] * Decimal(int(used["input_tokens"])) + rates[1] * Decimal(int(used["output_tokens"]))) / 10**6
        assert row["cost_expected"] == usd
        assert row["cost_low"] <= usd <= row["cost_high"]
        assert row["moved"] == (row["model"] != row["model_then"])


def test_what_did_not_move_keeps_the_cost_it_had_to_the_last_digit(reg: Registry) -> None:
    reg.chat("hello there")
    (row,) = reg.whatif(policy="fastest").rows
    assert not row.moved
    assert set(row.cost) == {row.past.cost} == {reg.ledger.costs()["cost_usd"].iloc[0]}


def test_an_answer_of_the_fallback_keeps_its_cost_where_that_model_would_have_been_first() -> None:
    broken = provider("broken", priority=1, model={"price": {"input": 1, "output": 1}}, fail={"status": 401})
    with registry(broken, CHEAP) as reg:
        reg.chat("hello")
        (row,) = reg.whatif(model="cheap-model").rows
        assert row.moved
        assert row.past.chosen == ("broken", "broken-model")
        assert set(row.cost) == {row.past.cost}


def test_a_request_nobody_could_have_answered_is_said_to_be_so_and_why(reg: Registry) -> None:
    reg.chat("one", task="chat_smart")
    assert reg.whatif(model="not-there").rows[0].reason == "not-there was not configured then"
    pinned = reg.whatif(model="cheap-model").rows[0]
    assert not pinned.possible
    assert pinned.reason == "every candidate is ruled out (wrong_task)"
    frame = reg.whatif(model="not-there").to_frame()
    assert frame["model"].isna().all()
    assert not frame["possible"].any()
    assert list(frame["cost_expected"]) == [Decimal(0)]


def test_a_refused_request_may_be_possible_under_another_wish(reg: Registry) -> None:
    with pytest.raises(SekhaError):
        reg.chat("hello", max_cost="0.0000001", task="chat_smart")
    again, wider = reg.whatif().rows[0], reg.whatif(max_cost=Decimal(1)).rows[0]
    assert (again.possible, wider.possible) == (False, True)
    assert wider.cost.low == 0 or wider.cost.low < wider.cost.high
    assert wider.moved


def test_an_unknown_price_stays_unknown_and_is_counted(reg: Registry) -> None:
    with registry(provider("priced", model={"price": {"input": 1, "output": 1}, "tasks": ["chat_small"]})) as own:
        own.chat("hello")
        frame = own.whatif().to_frame()
        assert frame["cost_then"].iloc[0] > 0
    unknown = {"id": "proxy", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "sk-x",
               "models": [{"model_id": "house-model", "tasks": ["chat_small"]}]}  # fmt: skip
    with registry(DEAR, unknown) as own:
        own.chat("hello")
        found = own.whatif(model="house-model")
        assert found.rows[0].cost == (None, None, None)
        assert found.now == ((0, 0, 0), 1)
        assert found.to_frame()["cost_expected"].iloc[0] is None


def test_answers_are_taken_to_be_as_long_as_that_models_usually_are() -> None:
    talks = provider("talks", priority=1, model={"price": {"input": 1, "output": 1}}, usage={"input": 10, "output": 40})
    brief = provider("brief", priority=2, model={"price": {"input": 1, "output": 1}}, usage={"input": 10, "output": 10})
    with registry(talks, brief) as reg:
        for number in range(4):
            reg.chat(str(number))
            reg.chat(str(number), model="brief-model")
        few = reg.whatif(model="brief-model").rows[0].cost
        assert few.expected == Decimal("0.00005")  # 10 in, 40 out: nothing is known of its length yet
        for number in range(4, 6):
            reg.chat(str(number))
            reg.chat(str(number), model="brief-model")
        known = reg.whatif(model="brief-model").rows[0].cost
        assert known.expected == Decimal("0.00002")
        assert known.low <= known.expected < known.high


def test_dry_runs_and_simulated_calls_are_left_out(reg: Registry) -> None:
    reg.chat("hello")
    reg.route("hello")
    reg.ledger.append(event(calls=[{"simulated": True}], origin=Origin(reg.session_id)))
    assert len(reg.whatif().rows) == 1


def test_the_span_is_this_session_or_what_is_asked_for(reg: Registry) -> None:
    reg.chat("one")
    with registry(DEAR, CHEAP, FREE) as later:
        later.chat("two")
        later.chat("three")
        assert len(later.whatif().rows) == 2
        assert len(later.whatif(everything=True).rows) == 3
        soon, ago = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) - timedelta(hours=1)
        assert len(later.whatif(since=soon).rows) == 0
        assert len(later.whatif(since=ago).rows) == 3


def test_nothing_logged_gives_an_empty_frame_with_its_columns(reg: Registry) -> None:
    found = reg.whatif(policy="cheapest")
    assert found.then == (0, 0)
    frame = found.to_frame()
    assert len(frame) == 0
    assert isinstance(frame["ts"].dtype, pd.DatetimeTZDtype)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"policy": "cheepest"}, "policy"),
        ({"temperature": 0.5}, "temperature does not change"),
        ({"colour": "red"}, "colour is not an argument"),
        ({"model": ""}, "model"),
        ({"max_cost": -1}, "max_cost"),
        ({"since": "yesterday"}, "since"),
        ({"since": datetime(2026, 1, 1)}, "since"),
    ],
)
def test_a_wish_that_makes_no_sense_is_named(reg: Registry, wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        reg.whatif(**wrong)
    assert says in refused.value.message
    assert refused.value.hint


def test_a_replayed_notebook_counts_with_what_its_answers_once_cost(reg: Registry, tmp_path: Path) -> None:
    reg.use_cassette(tmp_path / "c.jsonl", "record")
    reg.chat("hello there")
    cost = reg.ledger.costs()["cost_usd"].iloc[0]
    with Registry.replaying(tmp_path / "c.jsonl") as replayed:
        assert replayed.chat("hello there").cost == Cost(cost, "replayed", "computed")
        found = replayed.whatif(policy="cheapest")
        assert found.then == (cost, 0)
        assert [row.model_id for row in found.rows] == ["free-model"]


def test_a_snapshot_that_is_gone_is_said_and_not_guessed(reg: Registry) -> None:
    row = reg.ledger.decisions()
    assert row.empty
    reg.chat("hello")
    from dataclasses import replace

    from sekha_magics.experiments.past import past
    from sekha_magics.experiments.whatif import retake

    (known,) = past(reg.ledger, "true", replaying=False)
    (lost,) = retake([replace(known, snapshot=None)], {}, reg.state.policies, {}).rows
    assert not lost.possible
    assert lost.reason == "its snapshot is not in the ledger"
    (foreign,) = retake([replace(known, policy="plugin's")], {}, reg.state.policies, {}).rows
    assert foreign.reason == "the policy plugin's is not known here"


def test_an_unknown_decision_cannot_be_taken_again(reg: Registry) -> None:
    with pytest.raises(LedgerError):
        reg.retake("feed")
    with pytest.raises(LedgerError):
        reg.retake()
