"""What every provider must pass. Whoever writes one runs this on it:

    from suite import ProviderConformance, Stage          # a copy of this file is enough

    class TestMine(ProviderConformance):
        @pytest.fixture
        def stage(self) -> Stage:
            return Stage(lambda: MyProvider(Endpoint("mine", "mine", "http://127.0.0.1:8000")), model="m")

A `Stage` says how to build the provider and what it can do; a test for what it cannot do is skipped.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pytest

from sekha_magics.core.content import Message, Text
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.wire import ChatCall, EmbedCall, Finish, Probe
from sekha_magics.errors import ProviderError
from sekha_magics.providers.base import Provider

T = TypeVar("T")

PROMPTS = (
    "hello",
    '{"a": 1} {x} {{ y }} $5 %d "quoted" \\ back; # hash',
    "línea\nzwei\r\nтри\t🦜\u2028four",
    "word " * 2_000,
)


@dataclass(frozen=True)
class Stage:
    """`build` makes a fresh provider that works; `refusing` one whose every chat fails, where there is such a way.

    `says` gives the answer to a prompt, where that is known. `key` is a key that must never be shown. `max_tokens`
    keeps the answers of a real model short.
    """

    build: Callable[[], Provider]
    model: str
    embedding_model: str | None = None
    refusing: Callable[[], Provider] | None = None
    says: Callable[[str], str] | None = None
    key: str | None = None
    max_tokens: int | None = None


class ProviderConformance:
    @pytest.fixture
    def stage(self) -> Stage:
        raise NotImplementedError("override the fixture `stage`")

    def test_its_type_has_a_name(self, stage: Stage) -> None:
        provider = stage.build()
        assert isinstance(provider.traits, ProviderType)
        assert provider.traits.name

    @pytest.mark.parametrize("stream", [True, False])
    @pytest.mark.parametrize("prompt", PROMPTS, ids=["plain", "braces", "unicode", "long"])
    def test_an_answer_is_pieces_of_text_and_then_one_end(self, stage: Stage, stream: bool, prompt: str) -> None:
        items = run(stage.build(), lambda p: items_of(p, _call(stage, prompt, stream=stream)))
        *pieces, finish = items
        assert isinstance(finish, Finish)
        assert all(isinstance(piece, str) and piece for piece in pieces)
        assert len(pieces) <= 1 or stream
        if stage.says is not None:
            assert "".join(str(piece) for piece in pieces) == stage.says(prompt)
        assert finish.reason
        assert finish.usage is None or min(finish.usage.input_tokens, finish.usage.output_tokens) >= 0
        assert finish.reported_cost is None or finish.reported_cost >= 0

    def test_every_parameter_is_obeyed_or_named_as_left_out(self, stage: Stage) -> None:
        call = _call(stage, "hello", temperature=0.5, seed=3, max_tokens=20, params={"top_p": 0.9})
        finish = run(stage.build(), lambda p: items_of(p, call))[-1]
        assert isinstance(finish, Finish)
        assert set(finish.left_out) <= {"temperature", "seed", "max_tokens", "top_p"}

    def test_a_conversation_may_have_a_system_and_turns(self, stage: Stage) -> None:
        turns = (
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("one"),)),
            Message("assistant", (Text("two"),)),
            Message("user", (Text("three"), Text(" four"))),
        )
        call = ChatCall(stage.model, turns)
        assert isinstance(run(stage.build(), lambda p: items_of(p, call))[-1], Finish)

    def test_it_can_be_asked_again_and_at_the_same_time(self, stage: Stage) -> None:
        async def ask(provider: Provider) -> list[list[str | Finish]]:
            first = await items_of(provider, _call(stage, "first"))
            more = await asyncio.gather(*(items_of(provider, _call(stage, f"number {i}")) for i in range(3)))
            return [first, *more]

        for items in run(stage.build(), ask):
            assert isinstance(items[-1], Finish)

    def test_it_outlives_its_loop(self, stage: Stage) -> None:
        provider = stage.build()
        for _ in range(2):
            assert isinstance(asyncio.run(items_of(provider, _call(stage, "hello")))[-1], Finish)

    def test_an_answer_may_be_left_in_the_middle(self, stage: Stage) -> None:
        async def leave(provider: Provider) -> list[str | Finish]:
            answer: AsyncIterator[str | Finish] = provider.chat(_call(stage, "one\ntwo\nthree\n" * 20))
            await anext(answer)
            await answer.aclose()  # type: ignore[attr-defined]
            return await items_of(provider, _call(stage, "hello"))

        assert isinstance(run(stage.build(), leave)[-1], Finish)

    @pytest.mark.parametrize("steps", [0, 1, 3, 30])
    def test_a_cancelled_answer_ends_so_or_was_whole_and_the_next_one_is(self, stage: Stage, steps: int) -> None:
        async def cancel(provider: Provider) -> list[str | Finish]:
            task = asyncio.create_task(items_of(provider, _call(stage, "one\ntwo\nthree\n" * 20)))
            for _ in range(steps):
                await asyncio.sleep(0.001)
            task.cancel()
            with suppress(asyncio.CancelledError):
                assert isinstance((await task)[-1], Finish)
            return await items_of(provider, _call(stage, "hello"))

        assert isinstance(run(stage.build(), cancel)[-1], Finish)

    def test_it_fails_with_a_provider_error_that_shows_no_key(self, stage: Stage) -> None:
        if stage.refusing is None:
            pytest.skip("this provider cannot be made to fail")
        with pytest.raises(ProviderError) as caught:
            run(stage.refusing(), lambda p: items_of(p, _call(stage, "hello")))
        assert caught.value.message
        if stage.key is not None:
            assert stage.key not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"

    def test_vectors_are_float32_one_for_each_text(self, stage: Stage) -> None:
        model = stage.embedding_model
        if model is None:
            with pytest.raises(ProviderError):
                run(stage.build(), lambda p: p.embed(EmbedCall(stage.model, ("a",))))
            return
        texts = ("one", "two!", "{x} 🦜")
        done = run(stage.build(), lambda p: p.embed(EmbedCall(model, texts)))
        assert (done.vectors.dtype, done.vectors.ndim, len(done.vectors)) == (np.float32, 2, 3)
        assert np.isfinite(done.vectors).all()
        alone = run(stage.build(), lambda p: p.embed(EmbedCall(model, ("two!",))))
        assert np.allclose(alone.vectors[0], done.vectors[1], atol=1e-3)

    def test_a_probe_answers_and_never_raises(self, stage: Stage) -> None:
        for build in (stage.build, stage.refusing):
            if build is not None:
                probe = run(build(), lambda p: p.probe())
                assert isinstance(probe, Probe)
                assert probe.models is None or all(isinstance(model, str) for model in probe.models)
                assert stage.key is None or stage.key not in probe.detail

    def test_it_may_be_closed_twice(self, stage: Stage) -> None:
        async def close(provider: Provider) -> None:
            await items_of(provider, _call(stage, "hello"))
            await provider.aclose()
            await provider.aclose()

        run(stage.build(), close)


def _call(stage: Stage, text: str, **more: Any) -> ChatCall:
    return ChatCall(stage.model, (Message("user", (Text(text),)),), **{"max_tokens": stage.max_tokens, **more})


async def items_of(provider: Provider, call: ChatCall) -> list[str | Finish]:
    return [item async for item in provider.chat(call)]


def run(provider: Provider, ask: Callable[[Provider], Coroutine[Any, Any, T]]) -> T:
    """Run one coroutine in a loop of its own and close the provider."""

    async def whole() -> T:
        try:
            return await ask(provider)
        finally:
            await provider.aclose()

    return asyncio.run(whole())
