"""A decision beside the same request today, with the input that made the difference."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.budget import Budget, Limit, Line
from sekha_magics.core.catalogue import Catalogue, Entry, Latency, Price, ProviderState, Rate, RoutingRules, Snapshot
from sekha_magics.core.decide import decide
from sekha_magics.core.policies import BUILT_IN
from sekha_magics.core.types import Request, TokenEstimate
from sekha_magics.errors import NoEligibleModel
from sekha_magics.experiments.today import Today, today

REQUEST = Request(input_tokens=TokenEstimate(50, 100, 200))
PRIORITY, CHEAPEST, FASTEST = (BUILT_IN[name] for name in ("priority", "cheapest", "fastest"))


def _entry(position: int, name: str, usd: str, **more: Any) -> Entry:
    price = Price("config", Rate(Decimal(usd)), Rate(Decimal(usd)))
    return Entry(position, name, "openai", f"{name}-1", ("chat_small",), priority=position, **{"price": price, **more})


ONE, TWO = _entry(1, "one", "5"), _entry(2, "two", "1")
THEN = Snapshot(Catalogue((ONE, TWO)))


def _asked(now: Snapshot, then: Snapshot = THEN, was: Any = PRIORITY, is_now: Any = PRIORITY) -> Today:
    return today(REQUEST, then, now, was, is_now)


def test_nothing_changed_chooses_the_same_and_names_nothing() -> None:
    found = _asked(THEN)
    assert found.same
    assert not found.changed
    assert found.decision.model_id == "one-1"


def test_a_change_that_does_not_matter_is_not_named() -> None:
    found = _asked(Snapshot(Catalogue((ONE, replace(TWO, price=None)))))
    assert found.same
    assert not found.changed


def test_an_open_breaker_is_the_state_of_the_providers() -> None:
    found = _asked(replace(THEN, providers={"one": ProviderState(breaker="open", failures=3)}))
    assert (found.decision.model_id, found.same) == ("two-1", False)
    assert found.changed == ("the state of the providers (breakers, rests, refused keys)",)


def test_a_price_is_named_with_both_figures() -> None:
    dearer = replace(TWO, price=Price("config", Rate(Decimal(7)), Rate(Decimal(7))))
    found = _asked(Snapshot(Catalogue((ONE, dearer))), was=CHEAPEST, is_now=CHEAPEST)
    assert found.decision.model_id == "one-1"
    told = "the prices: two/two-1 $1 in and $1 out a million tokens then, $7 in and $7 out a million tokens now"
    assert found.changed == (told,)


def test_the_policy_a_new_model_a_missing_key_speed_and_budget_are_told_apart() -> None:
    assert _asked(THEN, is_now=CHEAPEST).changed == ("the policy: priority then, cheapest now",)
    new = Snapshot(Catalogue((replace(ONE, priority=9), TWO)))
    assert _asked(new).changed == ("the models on offer, or what is configured of them",)
    keyless = Snapshot(Catalogue((replace(ONE, missing_key="OPENAI_API_KEY is not set"), TWO)))
    assert _asked(keyless).changed == ("which keys are there",)
    fast = replace(THEN, latencies={("two", "two-1"): Latency(10.0, 9)})
    assert _asked(fast, was=FASTEST, is_now=FASTEST).changed == ("how fast the models answered lately",)
    spent = Budget((Line(Limit("day", Decimal(1), "one"), Decimal(1), Decimal(0)),))
    assert _asked(replace(THEN, budget=spent)).changed == ("what is left of the budget",)


def test_where_two_changes_are_needed_both_are_named() -> None:
    """Cheapest, and another price: neither alone leads to the second model."""
    same = Snapshot(Catalogue((replace(ONE, price=TWO.price), TWO)))
    found = _asked(THEN, then=same, is_now=CHEAPEST)
    assert found.decision.model_id == "two-1"
    assert [line.split(":")[0] for line in found.changed] == ["the policy", "the prices"]


def test_nobody_today_is_an_answer_too() -> None:
    found = _asked(Snapshot(Catalogue((replace(ONE, enabled=False), replace(TWO, enabled=False)))))
    assert found.refused
    assert found.changed == ("the models on offer, or what is configured of them",)
    assert {str(reason) for candidate in found.decision.candidates for reason in candidate.reasons} == {"disabled"}


entries = st.builds(
    lambda name, usd, priority, enabled, key: _entry(0, name, str(usd), missing_key=key, enabled=enabled)
    and replace(_entry(0, name, str(usd), missing_key=key, enabled=enabled), priority=priority),
    st.sampled_from("abc"), st.integers(0, 3), st.integers(1, 3), st.booleans(), st.sampled_from([None, "no key"]),
)  # fmt: skip
snapshots = st.builds(
    lambda found, states, fallback: Snapshot(
        Catalogue(tuple(replace(e, position=i) for i, e in enumerate(found)), RoutingRules(auto_fallback=fallback)),
        states,
    ),
    st.lists(entries, max_size=3, unique_by=lambda e: e.provider_id),
    st.dictionaries(st.sampled_from("abc"), st.just(ProviderState(breaker="open", failures=3)), max_size=2),
    st.booleans(),
)


@given(then=snapshots, now=snapshots, was=st.sampled_from(list(BUILT_IN.values())), is_now=st.sampled_from(list(BUILT_IN.values())))  # fmt: skip  # noqa: E501
def test_it_always_says_what_decide_says_and_names_a_change_exactly_when_there_is_one(then, now, was, is_now):
    found = today(REQUEST, then, now, was, is_now)

    def chosen(snapshot, policy):
        try:
            taken = decide(REQUEST, snapshot, policy)
        except NoEligibleModel:
            return None
        return taken.provider_id, taken.model_id

    before, after = chosen(then, was), chosen(now, is_now)
    assert found.same == (before == after)
    assert found.refused == (after is None)
    assert bool(found.changed) == (before != after)
