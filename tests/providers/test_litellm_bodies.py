"""What arrives at each provider, compared whole with what its documentation says a request looks like."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.core.content import Audio, Image, Message, Text
from sekha_magics.core.wire import EmbedCall
from sekha_magics.errors import BadRequest, ProviderError
from sekha_magics.providers.litellm.dialects import DIALECTS
from sekha_magics.providers.litellm.render import render_params
from tests.upstream.answers import Kind
from tests.upstream.asking import EMBEDDING_MODEL, MODEL, ask, chat_call, embed, endpoint, message
from tests.upstream.server import Upstream

KINDS: tuple[Kind, ...] = ("openai", "openrouter", "anthropic", "ollama")
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(40))
PNG_64 = base64.b64encode(PNG).decode()
SYSTEM = Message("system", (Text("Be brief."),))
TURNS = (SYSTEM, message("one"), message("two", role="assistant"), message("three"))

NASTY = (
    'say {"a": 1} and {x} and {{ y }}, $5, %d, "quotes" \'too\', a \\ backslash;\n# a hash line\n\té🦜  \u2028 end ;'
)


def body_of(upstream: Upstream, kind: Kind, **call: Any) -> Any:
    ask(endpoint(upstream, kind), chat_call(kind, **call))
    assert len(upstream.requests) == 1
    return upstream.requests[0].body


@pytest.mark.parametrize("stream", [True, False])
def test_openai_gets_a_chat_completion_request(upstream: Upstream, stream: bool) -> None:
    got = body_of(upstream, "openai", messages=TURNS, temperature=0.5, max_tokens=50, seed=7, stream=stream)
    expected = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "one"},
            {"role": "assistant", "content": "two"},
            {"role": "user", "content": "three"},
        ],
        "temperature": 0.5,
        "max_tokens": 50,
        "seed": 7,
    }
    if stream:
        expected |= {"stream": True, "stream_options": {"include_usage": True}}
    assert got == expected
    seen = upstream.requests[0]
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.headers["authorization"] == "Bearer sk-openai-0123456789"


@pytest.mark.parametrize("stream", [True, False])
def test_openrouter_gets_the_id_with_its_slash_and_is_asked_for_the_cost(upstream: Upstream, stream: bool) -> None:
    got = body_of(upstream, "openrouter", messages=TURNS[:2], temperature=0.5, max_tokens=50, stream=stream)
    assert got == {
        "model": "anthropic/claude-haiku-4.5",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"}],
        "temperature": 0.5,
        "max_tokens": 50,
        "stream": stream,
        "usage": {"include": True},
    }
    seen = upstream.requests[0]
    assert seen.path == "/api/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer sk-openrouter-0123456789"
    assert "http-referer" not in seen.headers


@pytest.mark.parametrize("stream", [True, False])
def test_anthropic_gets_a_messages_request_with_the_system_apart(upstream: Upstream, stream: bool) -> None:
    got = body_of(upstream, "anthropic", messages=TURNS, temperature=0.5, max_tokens=50, stream=stream)
    expected = {
        "model": "claude-haiku-4-5",
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "one"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": [{"type": "text", "text": "three"}]},
        ],
        "temperature": 0.5,
        "max_tokens": 50,
    }
    assert got == expected | ({"stream": True} if stream else {})
    seen = upstream.requests[0]
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == "sk-anthropic-0123456789"
    assert seen.headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize("stream", [True, False])
def test_ollama_gets_a_chat_request_and_no_key_where_none_is_configured(upstream: Upstream, stream: bool) -> None:
    got = body_of(upstream, "ollama", messages=TURNS[:2], temperature=0.5, max_tokens=50, seed=7, stream=stream)
    for turn in got["messages"]:
        # Ollama reads an empty list as none.
        assert turn.pop("images") == []
    assert got == {
        "model": "llama3.1:8b",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "one"}],
        "options": {"temperature": 0.5, "num_predict": 50, "seed": 7},
        "stream": stream,
    }
    seen = upstream.requests[0]
    assert seen.path == "/api/chat"
    assert seen.headers["content-type"] == "application/json"
    assert not {"authorization", "x-api-key"} & set(seen.headers)


def test_image_bytes_arrive_as_each_provider_wants_them(upstream: Upstream) -> None:
    turn = message("what is it?", Image("png", PNG))
    uri = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG_64}"}}
    block = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG_64}}
    text = {"type": "text", "text": "what is it?"}
    wanted: dict[Kind, Any] = {
        "openai": {"role": "user", "content": [text, uri]},
        "openrouter": {"role": "user", "content": [text, uri]},
        "anthropic": {"role": "user", "content": [text, block]},
        "ollama": {"role": "user", "content": "what is it?", "images": [PNG_64]},
    }
    for kind, expected in wanted.items():
        ask(endpoint(upstream, kind), chat_call(kind, messages=(turn,)))
        assert upstream.requests[-1].body["messages"] == [expected]


def test_a_jpg_is_announced_as_jpeg(upstream: Upstream) -> None:
    ask(endpoint(upstream, "anthropic"), chat_call("anthropic", messages=(message("?", Image("jpg", b"\xff\xd8")),)))
    assert upstream.requests[0].body["messages"][0]["content"][1]["source"]["media_type"] == "image/jpeg"


def test_image_addresses_are_passed_on_and_never_fetched_from_here(upstream: Upstream) -> None:
    turn = message("?", Image("png", url="https://img.invalid/cat.png"))
    for kind in ("openai", "openrouter"):
        ask(endpoint(upstream, kind), chat_call(kind, messages=(turn,)))
        part = upstream.requests[-1].body["messages"][0]["content"][1]
        assert part == {"type": "image_url", "image_url": {"url": "https://img.invalid/cat.png"}}
    ask(endpoint(upstream, "anthropic"), chat_call("anthropic", messages=(turn,)))
    part = upstream.requests[-1].body["messages"][0]["content"][1]
    assert part == {"type": "image", "source": {"type": "url", "url": "https://img.invalid/cat.png"}}


@pytest.mark.parametrize("kind", ["anthropic", "ollama"])
def test_an_image_address_the_provider_would_not_fetch_is_refused_before_sending(
    upstream: Upstream, kind: Kind
) -> None:
    here = f"http://127.0.0.1:{upstream.port}/cat.png"
    with pytest.raises(BadRequest, match="fetches"):
        ask(endpoint(upstream, kind), chat_call(kind, messages=(message("?", Image("png", url=here)),)))
    assert upstream.requests == []


def test_audio_goes_to_those_who_take_it_and_is_refused_for_the_others(upstream: Upstream) -> None:
    turn = message("transcribe", Audio("wav", b"RIFF"))
    for kind in ("openai", "openrouter"):
        ask(endpoint(upstream, kind), chat_call(kind, messages=(turn,)))
        part = upstream.requests[-1].body["messages"][0]["content"][1]
        assert part == {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    sent = len(upstream.requests)
    for kind in ("anthropic", "ollama"):
        with pytest.raises(BadRequest, match="no audio"):
            ask(endpoint(upstream, kind), chat_call(kind, messages=(turn,)))
    assert len(upstream.requests) == sent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_prompt_full_of_braces_reaches_the_model_unchanged_and_comes_back_so(
    upstream: Upstream, kind: Kind, stream: bool
) -> None:
    said = ask(endpoint(upstream, kind), chat_call(kind, NASTY, stream=stream))
    assert said.text == NASTY


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ['{"a": 1}', "x" * 1_500_000, "[DONE]", "data: [DONE]\n\ndata: more", " ", "\u0085\u2029"]
)
def test_awkward_prompts_survive_the_way_there_and_back(upstream: Upstream, kind: Kind, text: str) -> None:
    upstream.default = upstream.default.__class__(piece=max(4, len(text) // 3))
    said = ask(endpoint(upstream, kind), chat_call(kind, text))
    if kind == "anthropic" and not text.strip():
        # Anthropic refuses text that is only white space, so LiteLLM sends something in its place.
        return
    assert said.text == text


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80), piece=st.integers(1, 9))
def test_any_text_is_streamed_back_as_it_was_sent(upstream: Upstream, text: str, piece: int) -> None:
    upstream.default = upstream.default.__class__(piece=piece)
    for kind in ("openai", "openrouter", "ollama"):
        assert ask(endpoint(upstream, kind), chat_call(kind, text)).text == text


CITY = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
    "required": ["city", "people"],
    "additionalProperties": False,
}


def test_a_schema_goes_to_openai_and_openrouter_as_response_format(upstream: Upstream) -> None:
    for kind in ("openai", "openrouter"):
        ask(endpoint(upstream, kind), chat_call(kind, schema=CITY))
        assert upstream.requests[-1].body["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": CITY, "strict": True},
        }


@pytest.mark.parametrize(
    "loose",
    [
        {"type": "object", "properties": {"city": {"type": "string"}}},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}, "additionalProperties": False}},
        {**CITY, "required": ["city"]},
    ],
)
def test_a_schema_openai_would_refuse_as_strict_is_not_called_strict(upstream: Upstream, loose: dict[str, Any]) -> None:
    ask(endpoint(upstream, "openai"), chat_call("openai", schema=loose))
    assert upstream.requests[0].body["response_format"]["json_schema"]["strict"] is False


def test_a_schema_goes_to_ollama_as_format(upstream: Upstream) -> None:
    ask(endpoint(upstream, "ollama"), chat_call("ollama", schema=CITY))
    assert upstream.requests[0].body["format"] == CITY


@pytest.mark.parametrize("model", ["gpt-5-mini", "o3-mini"])
def test_newer_openai_models_get_max_completion_tokens(upstream: Upstream, model: str) -> None:
    ask(endpoint(upstream, "openai"), chat_call("openai", model_id=model, max_tokens=50))
    body = upstream.requests[0].body
    assert body["max_completion_tokens"] == 50
    assert "max_tokens" not in body


def test_a_parameter_the_provider_does_not_know_is_left_out_and_named(upstream: Upstream) -> None:
    params = {"top_p": 0.5, "logit_bias": {"50256": -100}, "bogus": 1}
    said = ask(endpoint(upstream, "anthropic"), chat_call("anthropic", seed=7, params=params))
    assert said.finish.left_out == ("bogus", "logit_bias", "seed")
    body = upstream.requests[0].body
    assert body["top_p"] == 0.5
    assert not {"bogus", "logit_bias", "seed"} & set(body)
    said = ask(endpoint(upstream, "ollama"), chat_call("ollama", seed=7, params=params | {"frequency_penalty": 0.0}))
    assert said.finish.left_out == ("bogus", "frequency_penalty", "logit_bias")
    assert upstream.requests[1].body["options"] == {"seed": 7, "top_p": 0.5}


def test_a_value_the_model_does_not_take_is_left_out_and_named(upstream: Upstream) -> None:
    said = ask(endpoint(upstream, "openai"), chat_call("openai", model_id="gpt-5-mini", temperature=0.2, seed=3))
    assert said.finish.left_out == ("temperature",)
    assert len(upstream.requests) == 1
    body = upstream.requests[0].body
    assert body["seed"] == 3
    assert "temperature" not in body


def test_parameters_of_the_providers_own_arrive_where_they_document_them(upstream: Upstream) -> None:
    def sent(kind: Kind, params: dict[str, Any]) -> Any:
        assert ask(endpoint(upstream, kind), chat_call(kind, params=params)).finish.left_out == ()
        return upstream.requests[-1].body

    assert sent("anthropic", {"top_k": 5})["top_k"] == 5
    ollama = sent("ollama", {"num_ctx": 8192, "keep_alive": "10m", "think": False})
    assert (ollama["options"], ollama["keep_alive"], ollama["think"]) == ({"num_ctx": 8192}, "10m", False)
    order = {"order": ["anthropic"], "allow_fallbacks": False}
    openrouter = sent("openrouter", {"provider": order, "top_k": 5})
    assert (openrouter["provider"], openrouter["top_k"], openrouter["usage"]) == (order, 5, {"include": True})
    assert sent("openai", {"metadata": {"team": "a"}, "service_tier": "flex"})["metadata"] == {"team": "a"}


def test_a_server_of_ones_own_gets_parameters_openai_itself_would_refuse(upstream: Upstream) -> None:
    call = chat_call("openai", params={"min_p": 0.1})
    assert ask(endpoint(upstream, "openai"), call).finish.left_out == ()
    assert upstream.requests[0].body["min_p"] == 0.1
    at_openai = render_params(call, frozenset({"temperature"}), DIALECTS["openai"], own_host=True)
    assert at_openai == ({}, ("min_p",))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_cannot_steer_the_call_itself(upstream: Upstream, kind: Kind) -> None:
    hostile = {
        "api_base": "http://127.0.0.1:9/v1", "base_url": "http://127.0.0.1:9", "api_key": "x", "model": "other",
        "messages": [], "stream": False, "mock_response": "made up", "fallbacks": ["gpt-4"], "n": 3, "num_retries": 9,
        "extra_headers": {"x-evil": "1"}, "custom_llm_provider": "openai",
    }  # fmt: skip
    said = ask(endpoint(upstream, kind), chat_call(kind, "straight", params=hostile))
    assert said.text == "straight"
    body = upstream.requests[0].body
    assert body["model"] == MODEL[kind]
    assert "n" not in body
    assert "x-evil" not in upstream.requests[0].headers
    assert set(hostile) - {"mock_response"} <= set(said.finish.left_out)


@pytest.mark.parametrize("kind", EMBEDDING_MODEL)
def test_embeddings_come_back_in_order_as_float32(upstream: Upstream, kind: Kind) -> None:
    texts = ("first", "second", "é🦜")
    done = embed(endpoint(upstream, kind), EmbedCall(EMBEDDING_MODEL[kind], texts, 16))
    assert (done.vectors.shape, str(done.vectors.dtype)) == ((3, 16), "float32")
    one = embed(endpoint(upstream, kind), EmbedCall(EMBEDDING_MODEL[kind], ("second",), 16))
    assert (done.vectors[1] == one.vectors[0]).all()
    assert done.usage is not None
    assert done.usage.input_tokens == 11
    assert done.served_model == EMBEDDING_MODEL[kind]


def test_embedding_requests_are_what_each_provider_documents(upstream: Upstream) -> None:
    texts = ("a", "b")
    embed(endpoint(upstream, "openai"), EmbedCall("text-embedding-3-small", texts, 8))
    assert upstream.requests[-1].path == "/v1/embeddings"
    assert upstream.requests[-1].body == {
        "model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 8, "encoding_format": "float",
    }  # fmt: skip
    embed(endpoint(upstream, "openai"), EmbedCall("text-embedding-ada-002", texts, 8))
    assert "dimensions" not in upstream.requests[-1].body
    embed(endpoint(upstream, "openrouter"), EmbedCall("openai/text-embedding-3-small", texts))
    assert upstream.requests[-1].path == "/api/v1/embeddings"
    assert upstream.requests[-1].body == {
        "model": "openai/text-embedding-3-small", "input": ["a", "b"], "encoding_format": "float",
    }  # fmt: skip
    embed(endpoint(upstream, "ollama"), EmbedCall("nomic-embed-text", texts, 8))
    assert upstream.requests[-1].path == "/api/embed"
    assert upstream.requests[-1].body == {"model": "nomic-embed-text", "input": ["a", "b"], "dimensions": 8}


def test_an_ollama_behind_a_key_gets_it_for_embeddings_too(upstream: Upstream) -> None:
    from sekha_magics.core.wire import Secret

    upstream.accept("ollama", "sk-behind")
    where = endpoint(upstream, "ollama", api_key=Secret("sk-behind"))
    assert embed(where, EmbedCall("nomic-embed-text", ("a",), 4)).vectors.shape == (1, 4)
    assert ask(where, chat_call("ollama")).text == "hello"


def test_vectors_of_another_length_than_configured_are_refused_with_the_right_one(upstream: Upstream) -> None:
    with pytest.raises(BadRequest, match="8 dimensions, not 1536") as caught:
        embed(endpoint(upstream, "openai"), EmbedCall("text-embedding-ada-002", ("a",), 1536))
    assert "dimension: 8" in caught.value.hint


def test_no_texts_need_no_request(upstream: Upstream) -> None:
    assert embed(endpoint(upstream, "openai"), EmbedCall("text-embedding-3-small", (), 8)).vectors.shape == (0, 8)
    assert upstream.requests == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"params": {"stop": {"a", "b"}}}, "no JSON form"),
        ({"params": {"stop": object()}}, "no JSON form"),
        ({"temperature": float("nan")}, "no JSON form"),
        ({"messages": (message("half \ud83d of a pair"),)}, r"character 6\)"),
    ],
)
def test_what_cannot_be_written_down_is_refused_before_sending(
    upstream: Upstream, kind: Kind, wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(BadRequest, match=says):
        ask(endpoint(upstream, kind), chat_call(kind, **wrong))
    assert upstream.requests == []


def test_anthropic_says_that_it_does_not_embed(upstream: Upstream) -> None:
    with pytest.raises(ProviderError, match="does not embed"):
        embed(endpoint(upstream, "anthropic"), EmbedCall("claude-haiku-4-5", ("a",)))
