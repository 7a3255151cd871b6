"""A provider that is made to misbehave: the rest behaves as with the real failure, and nothing of it stays."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from sekha_magics import Registry
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.wire import ChatCall, Finish, Probe
from sekha_magics.errors import (
    AllProvidersFailed,
    ConnectionFailed,
    InvalidInput,
    ProviderTimeout,
    RateLimited,
    ServerFailed,
    StreamInterrupted,
)
from sekha_magics.providers.base import Provider
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .stages import PRICE, provider, registry

WORDS = "one two three four five six seven eight nine ten"


@pytest.fixture
def two() -> Iterator[Registry]:
    """`a`, which is asked first and has a price, and `b`."""
    with registry(provider("a", priority=1, replies=[WORDS], pieces=4, model=PRICE), provider("b", priority=2)) as reg:
        yield reg


@pytest.fixture
def wired(upstream: Upstream) -> Iterator[Registry]:
    """One provider at a real loopback server, tried once."""
    upstream.default = Answer(text=WORDS)
    model = {"model_id": "gpt-4o-mini", "tasks": ["chat_small"], "price": {"input": 2, "output": 10}}
    one = {"id": "one", "type": "openai", "base_url": upstream.url("openai"), "api_key": "sk-loopback-0123456789"}
    with Registry.from_dict({"llm_providers": [{**one, "models": [model]}], "routing": {"max_retries": 0}}) as reg:
        yield reg


class Signal(Provider):
    """Echoes, and says when an attempt begins."""

    traits = ProviderType("signal", local=True)
    asked = threading.Event()

    async def get_ready(self) -> None:
        self.asked.set()

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        yield call.messages[-1].text
        yield Finish("stop")

    async def probe(self) -> Probe:
        return Probe(True)


@pytest.fixture
def signal() -> Iterator[Callable[..., Registry]]:
    """A registry with that one provider, `s`; the argument is about its model."""
    made: list[Registry] = []

    def make(model: dict[str, Any]) -> Registry:
        Signal.asked.clear()
        made.append(Registry.from_dict({"llm_providers": []}))
        one = {"id": "s", "type": "signal", "models": [{"model_id": "m", "task": "chat_small", **model}]}
        made[-1].register_provider(one, Signal)
        return made[-1]

    yield make
    for reg in made:
        reg.close()


def states(reg: Registry) -> dict[str, str]:
    health = reg.health()
    return dict(zip(health["provider_id"], health["state"], strict=True))


# --- each misbehaviour ----------------------------------------------------------------------------


def test_down_is_a_refused_connection_that_opens_the_breaker_and_never_reaches_the_provider(
    wired: Registry, upstream: Upstream
) -> None:
    wired.simulate("one", down=True)
    with pytest.raises(AllProvidersFailed) as caught:
        wired.chat("hi")
    (error,) = caught.value.errors
    assert isinstance(error, ConnectionFailed) and error.refused
    assert "simulate --off" in caught.value.hint
    assert not upstream.requests
    assert states(wired) == {"one": "open"}
    wired.end_simulation()
    assert wired.chat("hi").text == WORDS
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (429, "rate_limited"),
        (402, "rate_limited"),
        (401, "auth_failed"),
        (403, "auth_failed"),
        (404, "closed"),
        (500, "closed"),
    ],
)
def test_a_status_is_the_failure_that_the_wire_would_raise(
    wired: Registry, upstream: Upstream, status: int, state: str
) -> None:
    codes = {402: "insufficient_quota", 429: "rate_limit_exceeded"}
    upstream.script(Answer(status=status, code=codes.get(status, "server_error")))
    with pytest.raises(AllProvidersFailed) as real:
        wired.chat("hi")
    real_state = states(wired)
    wired.refresh_keys()
    wired.reset()
    wired.simulate("one", status=status)
    with pytest.raises(AllProvidersFailed) as simulated:
        wired.chat("hi")
    assert type(simulated.value.errors[0]) is type(real.value.errors[0])
    assert simulated.value.errors[0].status == real.value.errors[0].status == status
    assert states(wired) == real_state == {"one": state}
    assert len(upstream.requests) == 1


def test_a_rate_limit_is_waited_for_as_it_asks(two: Registry) -> None:
    two.simulate("a", status=429, retry_after=0.05)
    reply = two.chat("hi")
    assert reply.provider_id == "b"
    assert [call.error_type for call in reply.calls] == ["RateLimited"] * 3 + [None]
    assert reply.waited_ms == pytest.approx(100)
    assert reply.notes == ("a 429; answered by b/b-model", "a is simulated: 429, retry after 0.05 s")


def test_an_answer_that_is_late_is_the_real_one_and_costs_what_it_costs(wired: Registry, upstream: Upstream) -> None:
    plain = wired.chat("hi")
    wired.simulate("one", latency=0.1)
    late = wired.chat("hi")
    assert (late.text, late.cost) == (plain.text, plain.cost)
    assert late.latency_ms >= 100
    assert late.notes == ("one is simulated: 0.1 s late",)
    assert len(upstream.requests) == 2


def test_latency_obeys_the_limits_on_a_providers_time(upstream: Upstream) -> None:
    one = {"id": "one", "type": "openai", "base_url": upstream.url("openai"), "api_key": "sk-loopback-0123456789",
           "timeouts": {"first_token": 0.2}, "models": [{"model_id": "m", "tasks": ["chat_small"]}]}  # fmt: skip
    with Registry.from_dict({"llm_providers": [one], "routing": {"max_retries": 0}}) as reg:
        reg.simulate("one", latency=600)
        with pytest.raises(AllProvidersFailed) as caught:
            reg.chat("hi", stream=True)
        assert isinstance(caught.value.errors[0], ProviderTimeout)
        assert not upstream.requests


@pytest.mark.parametrize("stream", [True, False])
def test_a_cut_answer_was_asked_for_and_is_paid_as_an_interrupted_stream(
    wired: Registry, upstream: Upstream, stream: bool
) -> None:
    wired.simulate("one", cut=3)
    with pytest.raises(StreamInterrupted) as caught:
        wired.chat("hi", stream=stream)
    assert caught.value.partial == WORDS[:12]
    assert len(upstream.requests) == 1 and upstream.requests[0].body["stream"]
    (call,) = wired.ledger.calls().tail(1).to_dict("records")
    assert call["cost_usd"] > 0 and call["cost_source"] == "estimated" and call["simulated"]


def test_an_answer_shorter_than_the_cut_is_whole(two: Registry) -> None:
    two.simulate("a", cut=1000)
    assert two.chat("hi").text == WORDS


def test_embeddings_fail_too(two: Registry) -> None:
    two.simulate("a", down=True)
    embedding = two.embed(["x"])
    assert embedding.provider_id == "b"
    assert [call.simulated for call in embedding.calls] == [True, False]


def test_latency_goes_together_with_a_status_and_a_share_with_a_cut(two: Registry) -> None:
    two.simulate("a", latency=0.05, status=503, retry_after=0.01)
    reply = two.chat("hi")
    assert all(call.latency_ms >= 50 for call in reply.calls[:-1])
    two.simulate("a", status=500, probability=1e-12, cut=2, seed=1)
    with pytest.raises(StreamInterrupted):
        two.chat("hi")


def test_the_same_seed_draws_the_same(two: Registry) -> None:
    def attempts() -> list[int]:
        two.simulate("a", status=503, probability=0.5, retry_after=0, seed=11)
        return [len(two.chat(str(n)).calls) for n in range(12)]

    first = attempts()
    assert len(set(first)) > 1
    assert attempts() == first


# --- what is logged and paid ----------------------------------------------------------------------


def test_calls_are_marked_and_left_out_of_statistics_and_in_the_bill(two: Registry) -> None:
    two.simulate("a", latency=0.001)
    late = two.chat("hi")
    two.simulate("a", down=True)
    two.chat("hi")
    decisions = two.ledger.decisions()
    mine = decisions.loc[decisions["session_id"] == two.session_id, "decision_id"]
    calls = two.ledger.calls()
    calls = calls[calls["decision_id"].isin(mine)]
    assert calls["simulated"].tolist() == [True, True, False]
    assert calls["cost_usd"].tolist() == [late.cost.usd, Decimal(0), Decimal(0)]
    stats = two.ledger.sql(
        "SELECT provider_id FROM provider_stats WHERE provider_id = 'a' AND model_id = 'a-model' AND errors > 0"
    )
    assert stats.empty
    costs = two.ledger.costs()
    costs = costs[costs["decision_id"].isin(mine)]
    assert costs["cost_usd"].tolist() == [late.cost.usd, Decimal(0)]
    health = two.health().set_index("provider_id")
    assert health.loc["a", "calls"] == 0 and health.loc["b", "calls"] == 1
    assert two.route("x", policy="fastest").candidates[0].latency_p50_ms is None


def test_a_failure_that_never_reached_the_provider_costs_nothing_also_without_a_price() -> None:
    with registry(provider("a", priority=1), provider("b", priority=2, model=PRICE)) as reg:
        reg.simulate("a", status=404)
        reply = reg.chat("hi")
        assert reply.calls[0].cost.usd == 0
        assert reply.cost.usd == reply.calls[-1].cost.usd


def test_a_budget_counts_what_was_really_asked(tmp_path: Path) -> None:
    with registry(provider("a", replies=[WORDS], model=PRICE), budget={"session": 1}) as reg:
        reg.simulate("a", status=500)
        with pytest.raises(AllProvidersFailed):
            reg.chat("hi")
        assert reg.budget.status().set_index("scope").loc["session", "spent"] == 0
        reg.simulate("a", latency=0.001)
        reply = reg.chat("hi")
        status = reg.budget.status().set_index("scope").loc["session"]
        assert status["spent"] == reply.cost.usd and status["reserved"] == 0


def test_cancelling_during_the_latency_costs_nothing(signal: Callable[..., Registry]) -> None:
    two = signal(PRICE)
    two.simulate("s", latency=600)

    async def cancelled() -> None:
        task = asyncio.ensure_future(two.achat("cancelled"))
        await asyncio.to_thread(Signal.asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    (call,) = two.ledger.calls().tail(1).to_dict("records")
    assert (call["status"], call["simulated"], call["cost_usd"]) == ("interrupted", True, Decimal(0))


# --- beginning and ending -------------------------------------------------------------------------


def test_what_was_before_is_there_again(two: Registry) -> None:
    two.state.vitals.of("a").last_error = "of yesterday"
    two.simulate("a", status=401)
    two.chat("hi")
    assert states(two)["a"] == "auth_failed"
    two.simulate("a", status=429, retry_after=1000)
    assert states(two)["a"] == "closed"
    two.chat("hi")
    assert states(two)["a"] == "rate_limited"
    two.end_simulation("a")
    row = two.health().set_index("provider_id").loc["a"]
    assert (row["state"], row["last_error"]) == ("closed", "of yesterday")
    assert two.simulations().empty


def test_a_breaker_that_was_open_in_earnest_is_open_again() -> None:
    with registry(provider("a", priority=1, fail={"status": "timeout"}), provider("b", priority=2),
                  routing={"circuit_breaker": {"failure_threshold": 1}, "max_retries": 0}) as reg:  # fmt: skip
        reg.chat("hi")
        assert states(reg)["a"] == "open"
        reg.simulate("a", latency=0.01)
        reg.reset("a")
        reg.end_simulation()
        assert states(reg)["a"] == "open"


def test_what_is_under_way_when_it_ends_says_nothing_of_the_provider(signal: Callable[..., Registry]) -> None:
    reg = signal({})

    async def overtaken() -> None:
        reg.simulate("s", latency=1, status=401, probability=1 - 1e-12)
        task = asyncio.ensure_future(reg.achat("hi"))
        await asyncio.to_thread(Signal.asked.wait)
        reg.end_simulation("s")
        with pytest.raises(AllProvidersFailed):
            await task

    asyncio.run(overtaken())
    row = reg.health().set_index("provider_id").loc["s"]
    assert (row["state"], row["calls"]) == ("closed", 0)


def test_twenty_requests_while_it_is_switched_on_and_off(two: Registry) -> None:
    async def storm() -> list[Any]:
        tasks = [asyncio.ensure_future(two.achat(f"q{n}")) for n in range(20)]
        for n in range(10):
            two.simulate("a", **({"down": True} if n % 2 else {"status": 503, "probability": 0.5, "retry_after": 0}))
            await asyncio.sleep(0.005)
            two.end_simulation()
        return await asyncio.gather(*tasks)

    replies = asyncio.run(storm())
    assert len(replies) == 20 and all(reply.text for reply in replies)
    row = two.health().set_index("provider_id").loc["a"]
    assert (row["state"], row["failures"]) == ("closed", 0)
    assert two.chat("after").provider_id == "a"


def test_it_outlives_a_change_of_cassette_and_not_its_registry(two: Registry, tmp_path: Path) -> None:
    two.simulate("a", down=True)
    two.use_cassette(tmp_path / "c.jsonl", "record")
    assert two.simulations()["provider_id"].tolist() == ["a"]
    two.simulate("a", latency=1)
    frame = two.simulations()
    assert frame.to_dict("records")[0]["latency"] == 1.0 and not frame["down"].any()
    with registry(provider("a")) as other:
        assert other.simulations().empty


@pytest.mark.parametrize("name", ["nobody", "", None, 3, "a" * 100_000, "\x1b[31m"])
def test_a_provider_that_is_not_there_is_named_in_an_error(two: Registry, name: Any) -> None:
    for act in (lambda: two.simulate(name, down=True), lambda: two.state.simulate(name, None)):
        with pytest.raises(InvalidInput, match="There is no provider") as caught:
            act()
        assert len(str(caught.value)) < 400
    assert two.simulations().empty


def test_a_wrong_value_leaves_what_was_on(two: Registry) -> None:
    two.simulate("a", down=True)
    with pytest.raises(InvalidInput):
        two.simulate("a", latency=-1)
    assert two.simulations()["down"].tolist() == [True]


def test_errors_are_those_of_the_wire() -> None:
    with registry(provider("a")) as reg:
        for status, kind in ((429, RateLimited), (503, ServerFailed)):
            reg.simulate("a", status=status, retry_after=0)
            with pytest.raises(AllProvidersFailed) as caught:
                reg.chat("hi", model="a-model")
            assert {type(error) for error in caught.value.errors} == {kind}
