"""What is read from an answer: its text, why it ended, tokens, cost and who gave it, and none of it made up."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.types import Usage
from sekha_magics.providers.litellm.read import money
from tests.upstream.answers import Answer, Kind, Tokens
from tests.upstream.asking import ask, chat_call, embed, endpoint
from tests.upstream.server import Upstream

KINDS: tuple[Kind, ...] = ("openai", "openrouter", "anthropic", "ollama")
both_ways = pytest.mark.parametrize("stream", [True, False])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_comes_in_pieces_and_a_whole_answer_in_one(upstream: Upstream, kind: Kind) -> None:
    upstream.default = Answer(text="abcdefghij", piece=4)
    assert ask(endpoint(upstream, kind), chat_call(kind)).pieces == ("abcd", "efgh", "ij")
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=False)).pieces == ("abcdefghij",)


@both_ways
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("openai", Usage(100, 50, 40, 20, 0)),
        ("openrouter", Usage(100, 50, 40, 20, 10)),
        ("anthropic", Usage(100, 50, 40, 0, 10)),
        ("ollama", Usage(100, 50)),
    ],
)
def test_tokens_are_what_the_provider_counted(upstream: Upstream, kind: Kind, stream: bool, expected: Usage) -> None:
    upstream.default = Answer(usage=Tokens(100, 50, cached=40, reasoning=20, cache_write=10))
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).finish.usage == expected


@both_ways
@pytest.mark.parametrize("kind", KINDS)
def test_tokens_nobody_counted_are_not_made_up(upstream: Upstream, kind: Kind, stream: bool) -> None:
    upstream.default = Answer(usage=None, text="quite a long answer that a tokenizer could count")
    said = ask(endpoint(upstream, kind), chat_call(kind, stream=stream))
    assert (said.finish.usage, said.finish.reason) == (None, "stop")


@both_ways
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_that_answered_is_the_one_the_provider_names(upstream: Upstream, kind: Kind, stream: bool) -> None:
    upstream.default = Answer(model="another-model-2026")
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).finish.served_model == "another-model-2026"


@both_ways
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reason", ["stop", "length"])
def test_the_finish_reason_has_the_same_words_everywhere(
    upstream: Upstream, kind: Kind, stream: bool, reason: str
) -> None:
    upstream.default = Answer(finish=reason)
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).finish.reason == reason


@both_ways
@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_answer_that_ended_is_an_answer(upstream: Upstream, kind: Kind, stream: bool) -> None:
    upstream.default = Answer(text="")
    said = ask(endpoint(upstream, kind), chat_call(kind, stream=stream))
    assert (said.pieces, said.finish.reason) == ((), "stop")


@both_ways
@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_thinks_is_no_part_of_its_answer(upstream: Upstream, kind: Kind, stream: bool) -> None:
    upstream.default = Answer(text="the answer", thinking="a long thought")
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).text == "the answer"


@both_ways
@pytest.mark.parametrize("cost", ["0.00012345", "0.0000000375", "12.5", "0"])
def test_openrouters_cost_is_taken_exactly_and_alone(upstream: Upstream, stream: bool, cost: str) -> None:
    upstream.default = Answer(cost=cost)
    said = ask(endpoint(upstream, "openrouter"), chat_call("openrouter", stream=stream))
    assert said.finish.reported_cost == Decimal(cost)


@both_ways
def test_a_cost_nobody_reported_is_none(upstream: Upstream, stream: bool) -> None:
    upstream.default = Answer(cost=None)
    for kind in KINDS:
        assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).finish.reported_cost is None


def test_openrouter_reports_what_an_embedding_cost(upstream: Upstream) -> None:
    from sekha_magics.core.wire import EmbedCall

    done = embed(endpoint(upstream, "openrouter"), EmbedCall("openai/text-embedding-3-small", ("a",)))
    assert done.reported_cost == Decimal("0.00012345")


@given(st.floats(min_value=0, max_value=1e6, allow_nan=False).filter(lambda x: x == 0 or x > 1e-12))
def test_money_keeps_the_digits_of_the_wire(value: float) -> None:
    taken = money(value)
    assert taken is not None
    assert float(taken) == value
    assert taken == Decimal(repr(value))


@pytest.mark.parametrize("value", [None, True, "", "x", -1, float("nan"), float("inf"), [1], {}])
def test_what_is_no_money_is_none(value: object) -> None:
    assert money(value) is None


def test_a_prompt_of_many_turns_keeps_two_in_a_row_from_one_speaker(upstream: Upstream) -> None:
    from tests.upstream.asking import message

    turns = (message("one"), message("two"))
    ask(endpoint(upstream, "anthropic"), chat_call("anthropic", messages=turns))
    content = [part["text"] for turn in upstream.requests[0].body["messages"] for part in turn["content"]]
    assert content == ["one", "two"]


def test_a_schema_reaches_anthropic_and_its_answer_comes_back_as_text(upstream: Upstream) -> None:
    upstream.default = Answer(text='{"city": "Oslo"}')
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    for stream in (True, False):
        said = ask(endpoint(upstream, "anthropic"), chat_call("anthropic", schema=schema, stream=stream))
        assert said.text == '{"city": "Oslo"}'
        assert "city" in upstream.requests[-1].raw.decode().replace("Oslo", "")
