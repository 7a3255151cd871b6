"""The scripted provider does what its options say, and nothing that depends on the day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.types import Usage
from sekha_magics.core.wire import ChatCall, EmbedCall, Embedded, Endpoint
from sekha_magics.errors import (
    AuthenticationFailed,
    ConfigError,
    ConnectionFailed,
    ProviderError,
    ProviderTimeout,
    RateLimited,
    ServerFailed,
)
from sekha_magics.providers import create
from sekha_magics.providers.base import Provider
from tests.conformance.suite import run
from tests.upstream.asking import Said, ask, gather, message


def scripted(**options: Any) -> Provider:
    return create(Endpoint("stage", "scripted", options=options))


def call(text: str = "hello there", **more: Any) -> ChatCall:
    return ChatCall(**{"model_id": "fast", "messages": (message(text),), **more})


def say(provider: Provider, *calls: ChatCall) -> list[Said]:
    async def all_in_turn(p: Provider) -> list[Said]:
        return [await gather(p, one) for one in calls]

    return run(provider, all_in_turn)


@given(st.text(max_size=60), st.integers(1, 9))
def test_without_a_script_it_repeats_what_it_was_told(text: str, pieces: int) -> None:
    said = ask(scripted(pieces=pieces), call(text))
    assert said.text == text
    assert all(len(piece) <= pieces for piece in said.pieces)


def test_replies_come_in_turn_and_begin_again() -> None:
    said = say(scripted(replies=["one", "two"]), call(), call(), call())
    assert [one.text for one in said] == ["one", "two", "one"]
    assert ask(scripted(replies="always"), call()).text == "always"


def test_a_pattern_decides_by_the_last_message_of_the_user() -> None:
    provider = scripted(replies={r"capital of (\w+)": "Paris", "(?i)sum": "4"})
    said = say(provider, call("the capital of France?"), call("a SUM"), call("neither"))
    assert [one.text for one in said] == ["Paris", "4", "neither"]


def test_an_answer_that_is_not_streamed_comes_in_one_piece() -> None:
    assert ask(scripted(pieces=2), call("abcdef", stream=False)).pieces == ("abcdef",)
    assert ask(scripted(pieces=2), call("abcdef")).pieces == ("ab", "cd", "ef")


def test_the_end_says_what_the_options_say() -> None:
    provider = scripted(
        finish="length", usage={"input": 12, "output": 5, "cached_input": 3}, cost="0.0012", served_model="real",
        ignores=["seed", "top_p"],
    )  # fmt: skip
    finish = ask(provider, call(seed=7, temperature=0.1)).finish
    assert (finish.reason, finish.usage) == ("length", Usage(12, 5, 3))
    assert (finish.reported_cost, finish.served_model) == (Decimal("0.0012"), "real")
    assert finish.left_out == ("seed",)
    bare = ask(scripted(usage=None, finish=None, cost=0.1), call()).finish
    assert (bare.usage, bare.reason, bare.reported_cost) == (None, None, Decimal("0.1"))
    assert ask(scripted(), call("12345678")).finish.usage == Usage(2, 2)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, RateLimited),
        (401, AuthenticationFailed),
        (503, ServerFailed),
        ("connection", ConnectionFailed),
        ("timeout", ProviderTimeout),
    ],
)
def test_it_fails_as_often_as_told(status: int | str, expected: type[ProviderError]) -> None:
    provider = scripted(fail={"status": status, "times": 2, "retry_after": 1.5, "message": "not now"})

    async def three(p: Provider) -> Said:
        for _ in range(2):
            with pytest.raises(expected, match="not now") as caught:
                await gather(p, call())
            assert type(caught.value) is expected
            assert caught.value.retry_after == 1.5
            assert caught.value.status == (status if isinstance(status, int) else None)
        return await gather(p, call())

    assert run(provider, three).text == "hello there"


def test_it_breaks_after_so_many_pieces() -> None:
    provider, got = scripted(pieces=2, fail={"status": 500, "after": 2}), []

    async def read(p: Provider) -> None:
        async for item in p.chat(call("abcdef")):
            got.append(item)

    with pytest.raises(ServerFailed):
        run(provider, read)
    assert got == ["ab", "cd"]
    with pytest.raises(ServerFailed):
        ask(scripted(fail={"status": 500, "after": 99}), call("abcdef"))


def embedded(provider: Provider, *texts: str, **more: Any) -> Embedded:
    return run(provider, lambda p: p.embed(EmbedCall("fast", texts, **more)))


def test_vectors_are_near_where_texts_share_words() -> None:
    done = embedded(scripted(dimension=256), "the cat sat on a mat", "a cat on the mat", "stocks fell sharply")
    assert (done.vectors.dtype, done.vectors.shape) == (np.float32, (3, 256))
    near, far = done.vectors[0] @ done.vectors[1], done.vectors[0] @ done.vectors[2]
    assert near > 0.7
    assert abs(far) < 0.3


@given(st.lists(st.text(max_size=30), max_size=5), st.integers(1, 16))
def test_every_text_has_a_unit_vector_of_its_own_making(texts: list[str], dimension: int) -> None:
    done = embedded(scripted(), *texts, dimension=dimension)
    assert done.vectors.shape == (len(texts), dimension)
    assert np.allclose(np.linalg.norm(done.vectors, axis=1), 1.0, atol=1e-5)
    assert (done.vectors == embedded(scripted(dimension=dimension), *texts).vectors).all()


def test_embedding_fails_like_chatting() -> None:
    with pytest.raises(RateLimited):
        embedded(scripted(fail={"status": 429}), "a")


def test_it_lists_the_models_it_is_given() -> None:
    assert run(scripted(models=["a", "b"]), lambda p: p.probe()).models == ("a", "b")
    assert run(scripted(), lambda p: p.probe()).models is None


@pytest.mark.parametrize(
    "options",
    [
        {"reples": []},
        {"pieces": 0},
        {"pieces": "many"},
        {"delay": -1},
        {"dimension": 0},
        {"cost": "much"},
        {"replies": {"(": "x"}},
        {"replies": 3},
        {"usage": {"inputs": 3}},
        {"usage": {"input": "x"}},
        {"usage": 3},
        {"fail": 429},
        {"fail": {"status": 200}},
        {"fail": {"status": "sometimes"}},
        {"fail": {"times": 2}},
        {"fail": {"status": 429, "tims": 2}},
    ],
)
def test_options_it_does_not_understand_are_a_config_error_that_names_the_provider(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="provider stage"):
        scripted(**options)
