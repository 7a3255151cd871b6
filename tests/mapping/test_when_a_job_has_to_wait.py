"""Budgets that are full and providers that rest: what passes is waited for, what does not ends the job."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal

import pytest

from sekha_magics import Provider, ProviderType
from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import Candidate, Usage
from sekha_magics.core.wire import ChatCall, Finish, Probe
from sekha_magics.errors import BudgetExceeded, NoEligibleModel, SekhaError
from sekha_magics.registry import Registry

Refusal = Callable[[int, int], SekhaError | None]


def provider_class(refusal: Refusal) -> type[Provider]:
    """A provider that asks `refusal`, before each answer, with how many are under way and how many were answered."""
    state = {"under_way": 0, "answered": 0}

    class Choosy(Provider):
        traits = ProviderType("choosy", local=True, free=True)

        async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
            if (error := refusal(state["under_way"], state["answered"])) is not None:
                raise error
            state["under_way"] += 1
            try:
                await asyncio.sleep(0.01)
            finally:
                state["under_way"] -= 1
            state["answered"] += 1
            yield call.messages[-1].text
            yield Finish("stop", Usage(1, 1), call.model_id)

        async def probe(self) -> Probe:
            return Probe(True)

    return Choosy


def choosy(refusal: Refusal) -> Registry:
    reg = Registry.from_dict({"llm_providers": []})
    described = {"id": "c", "type": "choosy", "models": [{"model_id": "m", "tasks": ["chat_small"]}]}
    reg.register_provider(described, provider_class(refusal))
    return reg


def full() -> BudgetExceeded:
    one = Decimal(1)
    return BudgetExceeded("the budget of the day is spent", scope="day", spent=one, reserved=one, limit=one)


def resting(reason: str) -> NoEligibleModel:
    return NoEligibleModel("at rest", candidates=[Candidate("c", "m", False, (Reason(reason),), None, None, 1)])


TEXTS = [str(i) for i in range(30)]


def test_a_budget_that_requests_under_way_have_reserved_is_waited_for():
    with choosy(lambda under_way, _: full() if under_way >= 2 else None) as reg:
        assert [str(a) for a in reg.map(TEXTS)] == TEXTS


def test_a_budget_that_is_spent_ends_the_job_and_says_what_is_left():
    with choosy(lambda _, answered: full() if answered >= 10 else None) as reg:
        job = reg.map(TEXTS)
        with pytest.warns(UserWarning, match="rows were not asked: the budget of the day is spent"):
            answers = list(job)
        assert job.left_undone == sum(not a.ok for a in answers)
        assert 10 <= sum(a.ok for a in answers) < 18
        assert {a.error for a in answers if not a.ok} == {"not asked: the budget of the day is spent"}


@pytest.mark.parametrize("reason", ["rate_limited", "breaker_open"])
def test_a_provider_at_rest_is_waited_for(reason):
    refusals = iter([None, resting(reason), resting(reason)])
    with choosy(lambda *_: next(refusals, None)) as reg:
        assert all(a.ok for a in reg.map(["a", "b", "c"], concurrency=1))


def test_a_fault_in_one_request_is_not_taken_for_an_answer():
    class Strange(SekhaError):
        pass

    with choosy(lambda _, answered: Strange("odd") if answered == 1 else None) as reg:
        errors = [a.error for a in reg.map(["a", "b", "c"], concurrency=1)]
    assert errors == [None, "Strange: odd", "Strange: odd"]
