"""What the embedded model's server is sent, and how its stream is read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.content import Image, Message, Text
from sekha_magics.core.types import Usage
from sekha_magics.core.wire import ChatCall
from sekha_magics.errors import (
    AuthenticationFailed,
    BadRequest,
    ContextLengthExceeded,
    ModelNotFound,
    ProviderError,
    RateLimited,
    ServerFailed,
)
from sekha_magics.providers.local.wire import Answer, events, refusal, request_body


def ask(text: str = "hi", **options: Any) -> ChatCall:
    return ChatCall("smollm2-135m-instruct", (Message("user", (Text(text),)),), **options)


def body_of(call: ChatCall) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(request_body(call)[0])
    return body


def read(chunks: list[bytes]) -> list[dict[str, Any]]:
    async def source() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    async def collect() -> list[dict[str, Any]]:
        return [event async for event in events(source())]

    return anyio.run(collect)


def test_every_choice_of_the_caller_is_sent() -> None:
    body = body_of(ask(temperature=0.5, max_tokens=7, seed=3, params={"top_p": 0.9, "stop": ["\n"]}))
    expected = {"temperature": 0.5, "max_tokens": 7, "seed": 3, "top_p": 0.9, "stop": ["\n"], "stream": True}
    assert expected.items() <= body.items()


def test_what_the_caller_leaves_open_is_left_to_the_model_but_the_length_has_an_end() -> None:
    body = body_of(ask())
    assert "temperature" not in body and "seed" not in body and "response_format" not in body
    assert body["max_tokens"] == 1024


def test_roles_and_texts_are_kept_in_order() -> None:
    call = ChatCall(
        "m",
        (
            Message("system", (Text("be brief"),)),
            Message("user", (Text("a"), Text("b"))),
            Message("assistant", (Text("c"),)),
        ),
    )
    assert body_of(call)["messages"] == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "ab"},
        {"role": "assistant", "content": "c"},
    ]


@given(st.text())
def test_any_text_reaches_the_server_unchanged(text: str) -> None:
    assert body_of(ask(text))["messages"][0]["content"] == text


def test_an_unknown_parameter_is_left_out_and_named() -> None:
    encoded, left_out = request_body(ask(params={"top_p": 1, "tools": [], "logprobs": True, "messages": [], "n": 2}))
    assert left_out == ("logprobs", "messages", "n", "tools")
    assert not {"tools", "logprobs", "n"} & json.loads(encoded).keys()
    assert json.loads(encoded)["messages"]


def test_a_schema_is_sent_as_one_the_grammar_enforces() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    form = body_of(ask(schema=schema, params={"response_format": {"type": "text"}}))["response_format"]
    assert form["type"] == "json_schema" and form["json_schema"]["schema"] == schema


@given(st.integers())
def test_any_seed_becomes_one_the_server_takes_as_given(seed: int) -> None:
    assert 0 <= body_of(ask(seed=seed))["seed"] < 2**32 - 1


def test_an_answer_that_must_repeat_itself_is_not_computed_from_the_cache() -> None:
    assert body_of(ask(seed=1))["cache_prompt"] is False
    assert body_of(ask(temperature=0.0))["cache_prompt"] is False
    assert body_of(ask())["cache_prompt"] is True


def test_an_image_is_refused_before_anything_is_sent() -> None:
    call = ChatCall("m", (Message("user", (Text("what is this"), Image("png", b"\x89PNG"))),))
    with pytest.raises(BadRequest, match="not images"):
        request_body(call)


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan"), float("inf"), b"x"])
def test_a_parameter_json_has_no_form_for_is_a_bad_request(value: object) -> None:
    with pytest.raises(BadRequest, match="no JSON form"):
        request_body(ask(params={"stop": value}))


payloads = st.lists(st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none(), max_size=3), max_size=6)


@given(payloads, st.data(), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_a_stream_reads_the_same_however_it_is_cut(
    values: list[dict[str, Any]], data: st.DataObject, end: bytes, ascii_only: bool
) -> None:
    stream = b"".join(
        b"data: " + json.dumps(v, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass") + end + end for v in values
    )
    stream += b"data: [DONE]" + end + end
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    bounds = [0, *cuts, len(stream)]
    chunks = [stream[a:b] for a, b in pairwise(bounds)]
    assert read(chunks) == values


def test_a_line_separator_inside_model_text_does_not_end_the_line() -> None:
    value = {"text": "a\u2028b\u2029c\x85d\x0be\x0c"}
    assert read([f"data: {json.dumps(value, ensure_ascii=False)}\n\n".encode()]) == [value]


def test_comments_other_fields_and_empty_events_are_passed_over() -> None:
    assert read([b": ping\n\nevent: x\nid: 1\n\n\n\ndata:{}\n\nretry: 3\n\n"]) == [{}]


def test_nothing_is_read_after_the_end_was_said() -> None:
    assert read([b'data: {"a": 1}\n\ndata: [DONE]\n\ndata: {"a": 2}\n\n']) == [{"a": 1}]


def test_an_event_the_stream_broke_off_in_is_not_taken_for_whole() -> None:
    assert read([b'data: {"a": 1}\n\ndata: {"a": 2}\n']) == [{"a": 1}]


def test_an_answer_gathers_text_usage_and_the_reason_it_ended() -> None:
    answer = Answer(("tools",))
    pieces = [
        {"model": "smol", "choices": [{"delta": {"role": "assistant", "content": None}, "finish_reason": None}]},
        {"choices": [{"delta": {"content": "Par"}}]},
        {"choices": [{"delta": {"content": "is"}}]},
        {"choices": [{"delta": {}, "finish_reason": "stop"}]},
        {"usage": {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}},
    ]  # fmt: skip
    assert [answer.take(p) for p in pieces] == ["", "Par", "is", "", ""]
    finish = answer.finish()
    assert answer.partial == "Paris"
    assert (finish.reason, finish.usage, finish.served_model, finish.left_out) == (
        "stop",
        Usage(9, 2, 4),
        "smol",
        ("tools",),
    )


def test_an_answer_without_a_reason_is_known_to_be_cut() -> None:
    answer = Answer()
    answer.take({"choices": [{"delta": {"content": "Par"}}]})
    assert answer.finish().reason is None and answer.finish().usage is None


@pytest.mark.parametrize(
    ("status", "error"),
    [(401, AuthenticationFailed), (403, AuthenticationFailed), (404, ModelNotFound), (429, RateLimited),
     (400, BadRequest), (422, BadRequest), (500, ServerFailed), (503, ServerFailed)],
)  # fmt: skip
def test_a_refusal_is_classified_by_its_status(status: int, error: type[ProviderError]) -> None:
    told = json.dumps({"error": {"message": "no", "code": status, "type": "x"}}).encode()
    for body in (told, b"not json", b"", b'{"error": "text"}', b"[]"):
        raised = refusal(status, body)
        assert type(raised) is error and raised.status == status


def test_a_prompt_longer_than_the_window_is_told_apart_from_other_refusals() -> None:
    said = {"message": "too long", "code": 400, "type": "exceed_context_size_error"}
    raised = refusal(400, json.dumps({"error": said}).encode())
    assert isinstance(raised, ContextLengthExceeded) and "context" in raised.hint
