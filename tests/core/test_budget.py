"""Budgets in a decision: who is too dear, who is not, and the words of a refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.budget import Budget, Limit, Line, Moment, from_pico, to_pico, warning_at
from sekha_magics.core.catalogue import Catalogue, Entry, Price, Rate, Snapshot
from sekha_magics.core.decide import decide
from sekha_magics.core.policies import BUILT_IN
from sekha_magics.core.pricing import FREE, cost_of, upper_bound
from sekha_magics.core.types import Decision, Request, TokenEstimate, Usage
from sekha_magics.errors import BudgetExceeded, NoEligibleModel

from .strategies import prices, requests, snapshots

# One USD per million tokens in, ten out: 1,000 in and 100 out are at most 0.002.
PRICED = Price("config", Rate(Decimal(1)), Rate(Decimal(10)))
REQUEST = Request(task="chat_small", input_tokens=TokenEstimate(500, 800, 1000), max_tokens=100)
MOST = Decimal("0.002")


def entry(name: str, price: Price | None = PRICED, **kwargs: object) -> Entry:
    return Entry(0, name, "openai", "m", ("chat_small",), context_window=8192, price=price, **kwargs)  # type: ignore[arg-type]


def line(limit: str | None, spent: str = "0", reserved: str = "0", **where: str) -> Line:
    usd = None if limit is None else Decimal(limit)
    return Line(Limit(where.pop("period", "day"), usd, **where), Decimal(spent), Decimal(reserved))


def choose(*entries: Entry, budget: Budget, request: Request = REQUEST) -> Decision:
    return decide(request, Snapshot(Catalogue(entries), budget=budget), BUILT_IN["priority"])


def test_what_fits_to_the_last_digit_is_chosen_and_what_passes_by_one_is_not() -> None:
    exactly = Budget((line("1", spent="0.9", reserved="0.098"),))
    assert choose(entry("a"), budget=exactly).provider_id == "a"
    with pytest.raises(BudgetExceeded):
        choose(entry("a"), budget=Budget((line("1", spent="0.9", reserved="0.098000000001"),)))


def test_the_refusal_names_scope_figures_and_the_way_to_raise_it() -> None:
    with pytest.raises(BudgetExceeded) as raised:
        choose(entry("a"), budget=Budget((line("1", "0.97", "0.029"), line("5", "0.97", "0.029", period="month"))))
    error = raised.value
    assert isinstance(error, NoEligibleModel)
    assert (error.scope, error.spent, error.reserved, error.limit) == (
        "day", Decimal("0.97"), Decimal("0.029"), Decimal(1))  # fmt: skip
    assert "up to $0.002; $0.97 of $1 for the day is spent and $0.029 reserved" in error.message
    assert "%sekha budget day USD" in error.hint and "`budget.day`" in error.hint
    assert [str(r) for c in error.candidates for r in c.reasons] == ["over_budget"]
    assert error.decision.provider_id == ""


def test_of_several_limits_the_one_that_leaves_least_is_named() -> None:
    lines = (line("1", "0.999"), line("0.5", "0.4999", period="session"), line("9", "8.9985", period="month"))
    with pytest.raises(BudgetExceeded) as raised:
        choose(entry("a"), budget=Budget(lines))
    assert raised.value.scope == "session"


def test_what_is_free_answers_whatever_is_spent() -> None:
    broke = Budget((line("1", "2", period="month"),))
    decision = choose(entry("paid"), entry("free", FREE, priority=90), budget=broke)
    assert decision.provider_id == "free"
    assert [str(r) for r in decision.candidates[0].reasons] == ["over_budget"]
    assert "$2 of $1 for the month" in decision.candidates[0].reasons[0].detail


def test_a_request_for_local_models_never_falls_back_to_a_paid_one() -> None:
    rich = Budget((line("100"),))
    local = replace(REQUEST, local_only=True)
    assert choose(entry("paid"), entry("own", FREE, local=True, priority=90), budget=rich, request=local).ranked == (
        choose(entry("paid"), entry("own", FREE, local=True, priority=90), budget=rich, request=local).ranked[0],
    )
    with pytest.raises(NoEligibleModel) as raised:
        choose(entry("paid"), budget=rich, request=local)
    assert not isinstance(raised.value, BudgetExceeded)


def test_a_model_without_a_price_is_out_while_a_limit_concerns_it() -> None:
    with pytest.raises(NoEligibleModel) as raised:
        choose(entry("a", None), budget=Budget((line("1"),)))
    assert not isinstance(raised.value, BudgetExceeded)
    assert [str(r) for r in raised.value.candidates[0].reasons] == ["unpriced"]
    assert choose(entry("a", None), budget=Budget((line("1"),), allow_unpriced=True)).provider_id == "a"
    assert choose(entry("a", None), budget=Budget((line("1", provider="b"),))).provider_id == "a"


def test_unpriced_is_said_once_when_the_request_has_a_limit_too() -> None:
    with pytest.raises(NoEligibleModel) as raised:
        choose(entry("a", None), budget=Budget((line("1"),)), request=replace(REQUEST, max_cost=Decimal(1)))
    assert [str(r) for r in raised.value.candidates[0].reasons] == ["unpriced"]


@pytest.mark.parametrize(
    ("where", "key"),
    [({"provider": "a"}, "budget.providers.a.day"), ({"model": "a/m"}, "budget.models.a/m.day")],
)
def test_a_limit_on_a_provider_or_model_leaves_the_others_alone(where: dict[str, str], key: str) -> None:
    used_up = Budget((line("1", "1", **where),))
    assert choose(entry("a"), entry("b", priority=90), budget=used_up).provider_id == "b"
    with pytest.raises(BudgetExceeded, match="day of a") as raised:
        choose(entry("a"), budget=used_up)
    assert key in raised.value.hint


def test_two_limits_of_one_account_share_its_name_and_others_do_not() -> None:
    moment = Moment.of(datetime(2026, 11, 23, tzinfo=UTC), "s", "n.ipynb")
    limits = [
        Limit(period, None, **where)
        for period in ("session", "notebook", "day", "month")
        for where in ({}, {"provider": "x"}, {"model": "x"}, {"model": 'x"]'})
    ]
    assert len({limit.account(moment) for limit in limits}) == len(limits)
    assert Limit("day", Decimal(1)).account(moment) == Limit("day", Decimal(2)).account(moment)


def test_days_and_months_are_those_of_utc() -> None:
    new_year_in_auckland = datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=13)))
    assert Moment.of(new_year_in_auckland, "s", None)[2:] == ("2026-12-31", "2026-12")


def test_outside_a_notebook_its_period_is_the_sessions() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert Moment.of(now, "a", None).notebook != Moment.of(now, "b", None).notebook


@given(st.integers(0, 10**24))
def test_whole_picodollars_survive_the_way_to_usd_and_back(pico: int) -> None:
    assert to_pico(from_pico(pico)) == pico
    assert "E" not in str(from_pico(pico)) or from_pico(pico).adjusted() < -6


def test_what_is_finer_than_a_picodollar_is_rounded_up() -> None:
    assert to_pico(Decimal("1e-13")) == 1 and to_pico(Decimal(0)) == 0


@given(st.integers(1, 10**18), st.decimals("0.01", "1", places=4))
def test_a_warning_is_due_at_its_share_and_not_before(limit: int, share: Decimal) -> None:
    at = warning_at(limit, share)
    assert Decimal(at) >= limit * share > at - 1


@given(prices, st.integers(0, 30_000), st.integers(0, 5_000), st.data())
def test_no_usage_within_its_tokens_costs_more_than_the_upper_bound(
    price: Price | None, most_in: int, most_out: int, data: st.DataObject
) -> None:
    most = upper_bound(price, most_in, most_out)
    if price is None or most is None:
        assert price is None and most is None
        return
    size = data.draw(st.integers(0, most_in))
    cached = data.draw(st.integers(0, size))
    usage = Usage(size, data.draw(st.integers(0, most_out)), cached, 0, data.draw(st.integers(0, size - cached)))
    assert cost_of(price, usage) <= most


money = st.decimals("0", "3", places=12)
budgets = st.builds(
    Budget,
    st.lists(
        st.builds(
            Line,
            st.builds(
                Limit,
                st.sampled_from(["day", "session"]),
                st.none() | money,
                st.sampled_from(["", "a", "b"]),
                st.just(""),
            ),
            money,
            money,
        ),
        max_size=3,
    ).map(tuple),
    st.booleans(),
)


@given(snapshots, budgets)
def test_a_snapshot_with_a_budget_survives_json_with_its_id(snapshot: Snapshot, budget: Budget) -> None:
    limited = replace(snapshot, budget=budget)
    again = Snapshot.from_json(json.loads(json.dumps(limited.to_json())), snapshot.catalogue)
    assert again == limited and again.snapshot_id == limited.snapshot_id != snapshot.snapshot_id
    assert Snapshot.from_json(snapshot.to_json(), snapshot.catalogue).snapshot_id == snapshot.snapshot_id


@given(requests, snapshots, budgets)
def test_nobody_eligible_can_pass_a_limit(request: Request, snapshot: Snapshot, budget: Budget) -> None:
    limited = replace(snapshot, budget=budget)
    try:
        candidates = decide(request, limited, BUILT_IN["priority"]).candidates
    except NoEligibleModel as error:
        candidates = error.candidates
        if isinstance(error, BudgetExceeded):
            assert any(set(c.reasons) == {"over_budget"} for c in candidates)
    for candidate, offered in zip(candidates, snapshot.catalogue.entries, strict=True):
        most = upper_bound(offered.price, request.input_tokens.high, candidate.planned_output_tokens)
        passed = [
            line
            for line in budget.lines
            if most and line.limit.usd is not None and line.limit.provider in ("", offered.provider_id)
            and line.spent + line.reserved + most > line.limit.usd
        ]  # fmt: skip
        assert ("over_budget" in candidate.reasons) == bool(passed)
