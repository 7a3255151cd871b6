"""Providers that stay down: who is spared, who is asked, and how one comes back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator

import pytest

from sekha_magics.core.catalogue import Catalogue, Snapshot
from sekha_magics.errors import InvalidInput, NoEligibleModel
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .faults import DOWN, WHOLE
from .pools import Clock, Patience, at, nobody, pool

BREAKER = {"failure_threshold": 3, "timeout_secs": 60, "success_threshold": 2}


@pytest.fixture
def other() -> Iterator[Upstream]:
    with Upstream() as server:
        server.default = WHOLE
        yield server


def test_a_provider_that_is_down_for_a_minute_while_twenty_ask(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    clock = Clock()
    with pool(at("bad", upstream), at("good", other, priority=2), clock=clock, circuit_breaker=BREAKER) as reg:
        for _ in range(20):
            clock.now += 2.5
            assert reg.chat("x").provider_id == "good"
        assert (len(upstream.requests), len(other.requests)) == (9, 20)
        assert reg.health().set_index("provider_id").loc["bad", ["state", "failures"]].tolist() == ["open", 3]
        clock.now += 60
        assert reg.health()["state"].tolist() == ["half_open", "closed"]
        assert reg.chat("x").provider_id == "good"
        assert len(upstream.requests) == 10, "a probe is asked once"
        upstream.default = WHOLE
        assert reg.chat("x").provider_id == "good"
        clock.now += 60
        assert [reg.chat("x").provider_id for _ in range(3)] == ["bad"] * 3
        assert reg.health()["state"].tolist() == ["closed", "closed"]
        assert len(upstream.requests) == 13
        assert reg.health()["retry_at"].isna().all()


def test_the_refusal_of_an_open_breaker_says_why_and_what_to_do(upstream: Upstream):
    upstream.default = DOWN
    with pool(at("bad", upstream), max_retries=0, circuit_breaker={"failure_threshold": 1}) as reg:
        with pytest.raises(Exception, match="503"):
            reg.chat("x")
        with pytest.raises(NoEligibleModel) as raised:
            reg.chat("x")
        (candidate,) = raised.value.candidates
        assert candidate.reasons == ("breaker_open",)
        assert "health --reset" in raised.value.hint
        assert len(upstream.requests) == 1
        assert sorted(reg.ledger.candidates()["breaker_state"]) == ["closed", "open"]
        assert sorted(reg.ledger.decisions()["outcome"]) == ["failed", "refused"]
        snapshot = raised.value.decision.snapshot
        again = Snapshot.from_json(json.loads(json.dumps(snapshot.to_json())), snapshot.catalogue)
        assert again.snapshot_id == snapshot.snapshot_id
        assert again.providers["bad"].breaker == "open"
        catalogue = snapshot.catalogue
        assert Catalogue.from_json(json.loads(json.dumps(catalogue.to_json()))) == catalogue
        with pytest.raises(InvalidInput, match="no provider 'bda'"):
            reg.reset("bda")
        reg.reset("bad")
        upstream.default = WHOLE
        assert reg.chat("x").text == "whole"


def test_looking_at_health_changes_nothing(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    clock = Clock()
    with pool(at("bad", upstream), at("good", other, priority=2), clock=clock, circuit_breaker=BREAKER) as reg:
        for _ in range(3):
            reg.chat("x")
        clock.now += 61
        before = reg.state.snapshot().snapshot_id
        records = dict(reg.state.vitals.records)
        for probe in (False, True, False):
            reg.health(probe=probe)
        assert reg.state.snapshot().snapshot_id == before
        assert reg.state.vitals.records == records


def test_a_request_that_fails_at_two_models_of_one_provider_counts_once(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    models = [{"model_id": name, "tasks": ["chat_small"], "context_window": 8192} for name in ("one", "two")]
    with pool(at("bad", upstream, models=models), at("good", other, priority=2), circuit_breaker=BREAKER) as reg:
        assert reg.chat("x").provider_id == "good"
        assert len(upstream.requests) == 6
        assert reg.health()["failures"].tolist() == [1, 0]


def test_half_of_the_pool_is_dead_and_none_of_two_hundred_calls_fails(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    with Upstream() as fourth:
        fourth.default = Answer(text="whole", cut_after=0, cut="reset")
        dead = [at("down", upstream), at("gone", nobody()), at("broken", fourth)]
        alive = [at(name, other, priority=2) for name in ("x", "y", "z")]
        with pool(*dead, *alive, circuit_breaker=BREAKER) as reg:

            async def ask_all() -> list[str]:
                gate = asyncio.Semaphore(8)

                async def ask() -> str:
                    async with gate:
                        return (await reg.achat("x")).text

                return await asyncio.gather(*(ask() for _ in range(200)))

            assert asyncio.run(ask_all()) == ["whole"] * 200
            assert len(other.requests) == 200
            assert set(reg.ledger.decisions()["outcome"]) == {"ok"}
            # Eight at a time: those under way when the breaker opened are tried to their end.
            assert len(upstream.requests) <= 10 * 3
            assert len(fourth.requests) <= 10 * 3


def test_fifty_at_once_at_a_half_open_breaker_send_one_probe(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    clock = Clock()
    with pool(at("bad", upstream), at("good", other, priority=2), clock=clock, circuit_breaker=BREAKER) as reg:
        for _ in range(3):
            reg.chat("x")
        before = len(upstream.requests)
        clock.now += 61
        upstream.default = Answer(hang=True)

        async def ask_all() -> list[str]:
            probe = asyncio.create_task(reg.achat("x"))
            await asyncio.to_thread(wait_for, lambda: len(upstream.requests) == before + 1)
            rest = await asyncio.gather(*(reg.achat("x") for _ in range(49)))
            probe.cancel()
            await asyncio.gather(probe, return_exceptions=True)
            return [reply.provider_id for reply in rest]

        assert asyncio.run(ask_all()) == ["good"] * 49
        assert len(upstream.requests) == before + 1
        assert reg.health()["state"].tolist() == ["half_open", "closed"]
        upstream.default = WHOLE
        assert reg.chat("x").provider_id == "bad", "an interrupted probe makes room for the next"


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_fifty_that_begin_together_send_one_probe(upstream: Upstream, other: Upstream):
    upstream.default = DOWN
    clock = Clock()
    rules = {**BREAKER, "success_threshold": 1}
    with pool(at("bad", upstream), at("good", other, priority=2), clock=clock, circuit_breaker=rules) as reg:
        for _ in range(3):
            reg.chat("x")
        before = len(upstream.requests)
        clock.now += 61

        async def ask_all() -> list[str]:
            replies = await asyncio.gather(*(reg.achat("x") for _ in range(50)))
            return [reply.provider_id for reply in replies]

        assert asyncio.run(ask_all()) == ["good"] * 50
        assert len(upstream.requests) == before + 1


def test_an_interrupt_between_two_attempts_ends_the_request_once(upstream: Upstream):
    upstream.default = Answer(status=429, code="rate_limit_exceeded", headers={"retry-after": "20"})
    with pool(at("busy", upstream), patience=Patience(base=0.0)) as reg:

        async def cancel() -> None:
            task = asyncio.create_task(reg.achat("x"))
            await asyncio.to_thread(wait_for, lambda: reg.state.vitals.of("busy").errors == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert reg.ledger.decisions()["outcome"].tolist() == ["interrupted"]
        assert reg.ledger.calls()["status"].tolist() == ["error"]
        assert len(upstream.requests) == 1
