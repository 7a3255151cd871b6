"""The choice: pure, explained, and never of a candidate that has a reason against it."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.catalogue import Catalogue, Entry, Latency, Price, ProviderState, Rate, RoutingRules, Snapshot
from sekha_magics.core.decide import decide
from sekha_magics.core.policies import BUILT_IN
from sekha_magics.core.types import Decision, ImageFacts, Request, TokenEstimate
from sekha_magics.errors import NoEligibleModel

from .strategies import requests, snapshots

PRIORITY = BUILT_IN["priority"]


def usd(amount: str, output: str | None = None) -> Price:
    return Price("config", Rate(Decimal(amount)), Rate(Decimal(output or amount)))


def entry(name: str, **fields: object) -> Entry:
    provider, _, model = name.partition("/")
    values: dict[str, object] = {"position": 0, "provider_id": provider, "provider_type": "openai", "model_id": model,
                                 "tasks": ("chat_small",), "context_window": 8000, **fields}  # fmt: skip
    return Entry(**values)  # type: ignore[arg-type]


def catalogue(*entries: Entry, **rules: object) -> Catalogue:
    return Catalogue(tuple(replace(e, position=i) for i, e in enumerate(entries)), RoutingRules(**rules))  # type: ignore[arg-type]


def choose(request: Request, *entries: Entry, policy: str = "priority", **rules: object) -> Decision:
    return decide(request, Snapshot(catalogue(*entries, **rules)), BUILT_IN[policy])


def reasons_of(request: Request, *entries: Entry, **rules: object) -> dict[str, list[str]]:
    with pytest.raises(NoEligibleModel) as raised:
        choose(request, *entries, **rules)
    return {c.name: [str(r) for r in c.reasons] for c in raised.value.candidates}


# --- what holds for every decision ---------------------------------------------------------------


@given(requests, snapshots, st.sampled_from(sorted(BUILT_IN)))
def test_equal_arguments_give_equal_decisions_also_after_a_round_trip_through_json(request_, snapshot, name):
    def outcome(of: Snapshot) -> object:
        try:
            return decide(request_, of, BUILT_IN[name], decision_id="d")
        except NoEligibleModel as error:
            return error.message, error.candidates

    stored = json.loads(json.dumps([snapshot.catalogue.to_json(), snapshot.to_json()]))
    again = Snapshot.from_json(stored[1], Catalogue.from_json(stored[0]))
    assert again.snapshot_id == snapshot.snapshot_id
    assert outcome(again) == outcome(snapshot)


@given(requests, snapshots, st.sampled_from(sorted(BUILT_IN)))
def test_the_chosen_is_eligible_every_other_is_ranked_or_has_a_reason_and_all_are_listed(request_, snapshot, name):
    try:
        decision = decide(request_, snapshot, BUILT_IN[name])
        candidates = decision.candidates
        assert (decision.ranked[0].provider_id, decision.ranked[0].model_id) == (
            decision.provider_id,
            decision.model_id,
        )
        assert [c.rank for c in decision.ranked] == list(range(1, len(decision.ranked) + 1))
        assert decision.reason
    except NoEligibleModel as error:
        candidates = error.candidates
        assert not any(c.eligible for c in candidates)
        for candidate in candidates:
            assert candidate.name in str(error) or "not_pinned" in candidate.reasons
    assert [c.name for c in candidates] == [f"{e.provider_id}/{e.model_id}" for e in snapshot.catalogue.entries]
    for candidate in candidates:
        assert candidate.eligible == (not candidate.reasons) == (candidate.rank is not None)


@given(requests, snapshots)
def test_every_reason_is_there_when_and_only_when_it_holds(request_, snapshot):
    """Against the rules written a second time, plainly."""
    try:
        decision = decide(request_, snapshot, PRIORITY)
        candidates, task = decision.candidates, decision.task
    except NoEligibleModel as error:
        candidates, task = error.candidates, error.decision.task
    rules = snapshot.catalogue.rules
    limits = [x for x in (request_.max_cost, rules.max_cost_per_request) if x is not None]
    for candidate, e in zip(candidates, snapshot.catalogue.entries, strict=True):
        out = candidate.planned_output_tokens
        state = snapshot.providers.get(e.provider_id, ProviderState())
        vision = request_.require_vision
        if vision is None:
            vision = bool(request_.images) and rules.require_vision_for_images
        allowed = {"jpeg" if f == "jpg" else f for f in e.image_formats}
        expected = {
            "wrong_task": (request_.task is not None or request_.model is None) and task not in e.tasks,
            "not_pinned": request_.model not in (None, e.model_id, f"{e.provider_id}/{e.model_id}"),
            "no_vision": vision and not e.supports_vision,
            "too_many_images": len(request_.images) > e.max_images,
            "image_format": any(
                i.format not in allowed or (i.size is None and not e.image_urls) for i in request_.images
            ),
            "image_too_large": any((i.size or 0) > e.max_image_bytes for i in request_.images),
            "no_audio": request_.needs_audio and not e.supports_audio,
            "no_function_calling": request_.needs_functions and not e.supports_function_calling,
            "context_window": e.context_window is not None
            and (
                request_.input_tokens.expected + out > e.context_window
                or (request_.context_size or 0) > e.context_window
            ),
            "not_local": request_.local_only and not e.local,
            "no_key": e.missing_key is not None,
            "over_max_cost": bool(limits)
            and candidate.estimated_cost_high is not None
            and candidate.estimated_cost_high > min(limits),
            "unpriced": bool(limits) and e.price is None,
            "auth_failed": state.auth_failed is not None,
            "breaker_open": state.breaker == "open" or (state.breaker == "half_open" and state.probing),
            "rate_limited": state.rests is not None,
            "disabled": not e.enabled,
        }
        assert {str(r) for r in candidate.reasons} == {code for code, holds in expected.items() if holds}


# --- the task --------------------------------------------------------------------------------------


def test_images_ask_for_vision_and_words_for_the_default_task():
    seeing = entry("a/eye", tasks=("vision",), supports_vision=True, image_urls=True)
    plain = entry("b/text", tasks=("chat_large",))
    assert choose(Request(images=(ImageFacts("png", 10),)), plain, seeing, default_task="chat_large").model_id == "eye"
    assert choose(Request(), seeing, plain, default_task="chat_large").model_id == "text"


def test_the_nearest_served_chat_task_stands_in_for_an_unserved_default_and_the_reason_says_so():
    decision = choose(Request(), entry("a/m", tasks=("chat_smart",)))
    assert decision.task == "chat_smart"
    assert "nobody serves chat_small, so chat_smart was used" in decision.reason
    assert reasons_of(Request(task="chat_small"), entry("a/m", tasks=("chat_smart",))) == {"a/m": ["wrong_task"]}


def test_a_pinned_model_answers_whatever_its_tasks_unless_a_task_is_given():
    model = entry("a/m", tasks=("embedding",))
    other = entry("b/n")
    assert choose(Request(model="m"), other, model).reason == "asked for by name"
    assert choose(Request(model="a/m"), other, model).provider_id == "a"
    assert reasons_of(Request(model="m", task="chat_small"), model)["a/m"] == ["wrong_task"]


def test_a_model_at_two_providers_can_be_pinned_at_one():
    both = entry("a/m", priority=1), entry("b/m", priority=2)
    assert choose(Request(model="m"), *both).provider_id == "a"
    assert choose(Request(model="b/m"), *both).provider_id == "b"


def test_an_unknown_pinned_model_is_refused_with_close_names():
    with pytest.raises(NoEligibleModel, match="Did you mean gpt-4o-mini") as raised:
        choose(Request(model="gpt-4o-mimi"), entry("openai/gpt-4o-mini"))
    assert raised.value.decision.provider_id == ""


# --- the order -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "entries", "winner", "reason"),
    [
        ("priority", [entry("a/m", priority=2), entry("b/m", priority=1)], "b", "priority 1, the lowest of 2 eligible"),
        ("priority", [entry("a/m"), entry("b/m", default_for=("chat_small",))], "b", "named in default_models"),
        ("priority", [entry("a/m", price=usd("2")), entry("b/m", price=usd("1"))], "b",
         "priority 50; cheapest of 2 eligible at that priority"),
        ("priority", [entry("a/m"), entry("b/m", price=usd("9"))], "b", "the price of the other at that"),
        ("priority", [entry("a/m"), entry("b/m")], "a", "first in the configuration of 2 alike at that priority"),
        ("cheapest", [entry("a/m", price=usd("2"), priority=1), entry("b/m", price=usd("1"))], "b", "cheapest of 2"),
        ("cheapest", [entry("a/m"), entry("b/m", price=usd("99"))], "b", "its price is known"),
        ("cheapest", [entry("a/m", price=usd("1")), entry("b/m", price=usd("1"), priority=1)], "b",
         "priority 1, the lowest of 2 at that cost"),
        ("cheapest", [entry("a/m", price=usd("1")), entry("b/m", price=usd("1"))], "a", "alike in cost and priority"),
        ("fastest", [entry("a/m"), entry("b/m", priority=1)], "b", "not told apart by latency"),
        ("fastest", [entry("a/m"), entry("b/m")], "a", "first in the configuration of 2 not told apart"),
    ],
)  # fmt: skip
def test_each_policy_orders_as_described_and_says_what_decided(policy, entries, winner, reason):
    decision = choose(Request(), *entries, policy=policy)
    assert decision.provider_id == winner
    assert reason in decision.reason


def test_fastest_trusts_a_median_of_five_calls_and_not_of_four():
    offered = catalogue(entry("a/m"), entry("b/m"), entry("c/m"))
    slow, quick, lucky = Latency(900.0, 50), Latency(300.0, 5), Latency(1.0, 4)
    snapshot = Snapshot(offered, {}, {("a", "m"): slow, ("b", "m"): quick, ("c", "m"): lucky})
    decision = decide(Request(), snapshot, BUILT_IN["fastest"])
    assert [c.provider_id for c in decision.ranked] == ["b", "a", "c"]
    assert "median 300 ms over 5 calls, the fastest of 2" in decision.reason


@pytest.mark.parametrize("policy", sorted(BUILT_IN))
def test_a_preference_goes_first_and_the_reason_says_whether_it_was_followed(policy):
    pair = entry("a/m", priority=1, price=usd("1")), entry("b/n", priority=9, price=usd("5"))
    followed = choose(Request(preferred_model="n"), *pair, policy=policy)
    assert followed.model_id == "n"
    assert "the preference for n was followed" in followed.reason
    barred = choose(Request(preferred_model="n"), pair[0], replace(pair[1], enabled=False), policy=policy)
    assert barred.model_id == "m"
    assert "the preference for n was not followed: disabled" in barred.reason
    assert "no provider has it" in choose(Request(preferred_model="zz"), *pair, policy=policy).reason


# --- limits ----------------------------------------------------------------------------------------


def test_room_for_an_answer_is_modest_where_none_was_asked_for():
    tokens = TokenEstimate(0, 6976, 0)
    assert choose(Request(input_tokens=tokens), entry("a/m", max_output_tokens=8000)).model_id == "m"
    over = tokens._replace(expected=6977)
    assert reasons_of(Request(input_tokens=over), entry("a/m", max_output_tokens=8000))["a/m"] == ["context_window"]
    assert choose(Request(input_tokens=over), entry("a/m", max_output_tokens=100)).model_id == "m"
    small = entry("a/m", context_window=1000)
    assert choose(Request(input_tokens=TokenEstimate(0, 750, 0)), small).model_id == "m"


def test_a_limit_on_cost_compares_the_high_estimate_and_is_not_passed_by_an_unknown_price():
    request = Request(input_tokens=TokenEstimate(100, 1000, 2000), max_tokens=1000, max_cost=Decimal("0.003"))
    fits, over, unknown = entry("a/m", price=usd("1")), entry("b/m", price=usd("1.01")), entry("c/m")
    decision = choose(request, over, unknown, fits)
    assert decision.provider_id == "a"
    assert [[str(r) for r in c.reasons] for c in decision.candidates] == [["over_max_cost"], ["unpriced"], []]
    tighter = choose(replace(request, max_cost=None), fits, max_cost_per_request=Decimal("0.003"))
    assert tighter.provider_id == "a"


def test_free_models_pass_a_limit_of_nothing():
    free = entry("a/m", price=Price("free", Rate(Decimal(0)), Rate(Decimal(0))))
    assert choose(Request(max_cost=Decimal(0), input_tokens=TokenEstimate(1, 2, 3)), free).estimated_cost == 0


def test_an_address_needs_a_provider_that_fetches_it():
    address = Request(images=(ImageFacts("", None),))
    seeing = entry("a/m", tasks=("vision",), supports_vision=True)
    assert reasons_of(address, seeing)["a/m"] == ["image_format"]
    assert choose(address, replace(seeing, image_urls=True)).model_id == "m"


def test_a_refusal_lists_the_nearest_first_and_says_what_to_change():
    with pytest.raises(NoEligibleModel) as raised:
        choose(
            Request(), entry("far/m", enabled=False, missing_key="set FAR_KEY"), entry("near/m", missing_key="set KEY")
        )
    text = str(raised.value)
    assert text.index("near/m") < text.index("far/m")
    assert "no_key (set KEY)" in text
    assert "%sekha keys" in raised.value.hint


def test_a_refusal_of_a_pinned_model_speaks_of_that_model():
    with pytest.raises(NoEligibleModel) as raised:
        choose(Request(model="n"), entry("a/m"), entry("b/n", missing_key="set KEY"), entry("c/o", enabled=False))
    assert "a/m" not in str(raised.value)
    assert "b/n: no_key (set KEY)" in str(raised.value)
    assert "and 2 more (not_pinned 2, disabled 1)" in str(raised.value)
    assert "%sekha keys" in raised.value.hint


def test_a_refusal_of_a_thousand_stays_readable():
    with pytest.raises(NoEligibleModel) as raised:
        choose(Request(), *[entry(f"p/m{i}", enabled=False) for i in range(1000)])
    assert "and 980 more (disabled 980)" in str(raised.value)
    assert len(str(raised.value).splitlines()) < 30


def test_with_nothing_configured_the_error_tells_three_ways_to_get_a_model():
    with pytest.raises(NoEligibleModel, match="OPENAI_API_KEY") as raised:
        choose(Request())
    assert "Ollama" in raised.value.hint
    assert "models pull" in raised.value.hint


def test_a_decision_as_a_frame_has_a_row_for_each_candidate():
    frame = choose(Request(), entry("a/m"), entry("b/m", enabled=False)).to_frame()
    assert list(frame["rank"].isna()) == [False, True]
    assert frame["reasons"].tolist() == [[], ["disabled"]]
