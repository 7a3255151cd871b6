"""Connections: kept, closed when nobody listens any more, and never shared between loops or processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sekha_magics.core.wire import Endpoint, Secret
from sekha_magics.providers import create
from tests.conformance.suite import run
from tests.upstream.answers import Answer, Kind
from tests.upstream.asking import MODEL, ask, chat_call, endpoint, gather
from tests.upstream.server import Upstream

KINDS: tuple[Kind, ...] = ("openai", "openrouter", "anthropic", "ollama")
TYPES: tuple[tuple[Kind, str, str], ...] = (
    *((kind, kind, MODEL[kind]) for kind in KINDS),
    ("openai", "litellm", "deepseek/deepseek-chat"),
)


@pytest.mark.parametrize(("kind", "type_", "model"), TYPES)
@pytest.mark.parametrize("when", ["before the answer", "between two pieces"])
def test_cancelling_closes_the_connection(upstream: Upstream, kind: Kind, type_: str, model: str, when: str) -> None:
    before = when == "before the answer"
    upstream.default = Answer(hang=True) if before else Answer(text="abcdefgh" * 4, piece=8, piece_delay=0.4)
    provider = create(endpoint(upstream, kind, type=type_))
    begun = asyncio.Event()

    async def scenario(_: object) -> None:
        async def listen() -> None:
            async for _ in provider.chat(chat_call(kind, model_id=model)):
                begun.set()

        task = asyncio.create_task(listen())
        await asyncio.to_thread(upstream.arrived.wait, 10)
        if not before:
            await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(upstream.requests[0].hung_up.wait, 5), "the connection stayed open"

    run(provider, scenario)


@pytest.mark.parametrize(("kind", "type_", "model"), TYPES)
def test_closing_the_iteration_closes_the_connection(upstream: Upstream, kind: Kind, type_: str, model: str) -> None:
    upstream.default = Answer(text="abcdefgh" * 40, piece=8, piece_delay=0.1)
    provider = create(endpoint(upstream, kind, type=type_))

    async def scenario(_: object) -> None:
        answer = provider.chat(chat_call(kind, model_id=model))
        assert await anext(answer) == "abcdefgh"
        await answer.aclose()  # type: ignore[attr-defined]
        assert await asyncio.to_thread(upstream.requests[0].hung_up.wait, 5), "the connection stayed open"

    run(provider, scenario)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_one_connection_serves_many_calls(upstream: Upstream, kind: Kind, stream: bool) -> None:
    provider = create(endpoint(upstream, kind))

    async def several(_: object) -> None:
        for _ in range(3):
            await gather(provider, chat_call(kind, stream=stream))
        await provider.probe()

    run(provider, several)
    assert (len(upstream.requests), upstream.connections) == (4, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_provider_outlives_the_loop_it_was_first_used_in(upstream: Upstream, kind: Kind) -> None:
    provider = create(endpoint(upstream, kind))
    for _ in range(3):
        assert asyncio.run(gather(provider, chat_call(kind))).text == "hello"


@pytest.mark.parametrize("kind", KINDS)
def test_a_closed_provider_can_be_used_again(upstream: Upstream, kind: Kind) -> None:
    provider = create(endpoint(upstream, kind))
    assert ask(provider, chat_call(kind)).text == "hello"
    assert ask(provider, chat_call(kind)).text == "hello"


def test_many_calls_at_once_do_not_mix(upstream: Upstream) -> None:
    upstream.default = Answer(piece=2, piece_delay=0.002)

    async def all_at_once() -> None:
        providers = {kind: create(endpoint(upstream, kind)) for kind in KINDS}
        texts = [(kind, f"text number {i} for {kind}", i % 2 == 0) for i in range(10) for kind in KINDS]
        said = await asyncio.gather(*(gather(providers[k], chat_call(k, text, stream=s)) for k, text, s in texts))
        assert [one.text for one in said] == [text for _, text, _ in texts]
        for provider in providers.values():
            await provider.aclose()

    asyncio.run(all_at_once())


def test_two_threads_with_loops_of_their_own_do_not_disturb_each_other(upstream: Upstream) -> None:
    said: list[str] = []

    def work(name: str) -> None:
        for i in range(3):
            said.append(ask(endpoint(upstream, "openai"), chat_call("openai", f"{name}{i}")).text)

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["a0", "a1", "a2", "b0", "b1", "b2"]


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="this system has no fork")
def test_a_forked_child_speaks_over_connections_of_its_own(upstream: Upstream) -> None:
    probe = Path(__file__).with_name("fork_probe.py")
    root = Path(__file__).parents[2]
    arguments = [upstream.url("openai"), upstream.url("anthropic"), upstream.url("ollama")]
    done = subprocess.run(
        [sys.executable, str(probe), *arguments], cwd=root, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["child", "parent"]), done.stderr
    # Each asks once before the fork, then both at once.
    assert len(upstream.requests) == 9
    assert upstream.connections == 6


@pytest.mark.parametrize("kind", KINDS)
def test_a_probe_lists_the_models(upstream: Upstream, kind: Kind) -> None:
    probe = run(create(endpoint(upstream, kind)), lambda p: p.probe())
    assert probe.ok
    assert probe.models
    assert MODEL[kind] in probe.models
    assert len(upstream.requests) == 1
    assert upstream.requests[0].method == "GET"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (Answer(status=503, message="busy"), "busy"),
        (Answer(body=b"<html>"), "Expecting value"),
        (Answer(body=b"[]"), "no list of models"),
        (Answer(body=b'{"data": 3, "models": null}'), "no list of models"),
        (Answer(cut_after=0), "broke"),
    ],
)
def test_a_probe_that_fails_tells_and_does_not_raise(upstream: Upstream, kind: Kind, answer: Answer, says: str) -> None:
    upstream.script(answer)
    probe = run(create(endpoint(upstream, kind)), lambda p: p.probe())
    assert (probe.ok, probe.models) == (False, None)
    assert says in probe.detail


def test_a_probe_of_nobody_tells_how_to_start_ollama_and_shows_no_key(upstream: Upstream) -> None:
    upstream.close()
    probe = run(create(endpoint(upstream, "ollama", api_key=Secret("sk-hidden"))), lambda p: p.probe())
    assert not probe.ok
    assert "ollama serve" in probe.detail
    assert "sk-hidden" not in probe.detail
    assert run(create(Endpoint("any", "litellm")), lambda p: p.probe()).models is None
