"""Every way to fail arrives as one class, with its status and without the key."""

from __future__ import annotations

import socket
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from sekha_magics.core.wire import EmbedCall, Endpoint, Finish
from sekha_magics.errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    ContentRefused,
    ContextLengthExceeded,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
)
from sekha_magics.providers import create
from tests.conformance.suite import run
from tests.upstream.answers import Answer, Kind
from tests.upstream.asking import ask, chat_call, embed, endpoint
from tests.upstream.server import Upstream

KINDS: tuple[Kind, ...] = ("openai", "openrouter", "anthropic", "ollama")


def failing(upstream: Upstream, kind: Kind, answer: Answer, *, stream: bool = True) -> ProviderError:
    upstream.script(answer)
    with pytest.raises(ProviderError) as caught:
        ask(endpoint(upstream, kind), chat_call(kind, stream=stream))
    assert len(upstream.requests) == 1, "nothing is ever sent twice"
    assert caught.value.provider_id == f"{kind}_one"
    return caught.value


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequest),
        (401, AuthenticationFailed),
        (402, QuotaExhausted),
        (403, AuthenticationFailed),
        (404, ModelNotFound),
        (408, ProviderTimeout),
        (413, BadRequest),
        (422, BadRequest),
        (429, RateLimited),
        (500, ServerFailed),
        (502, ServerFailed),
        (503, ServerFailed),
        (504, ServerFailed),
        (529, ServerFailed),
    ],
)
def test_a_status_decides_the_class_whatever_the_message_says(
    upstream: Upstream, kind: Kind, stream: bool, status: int, expected: type[ProviderError]
) -> None:
    # Words that LiteLLM takes for a rate limit, a timeout, a wrong key.
    words = "error 429 rate limit; Request timed out; Invalid API Key; not found 404; model_not_found"
    error = failing(upstream, kind, Answer(status=status, code="some_code", message=words), stream=stream)
    assert (type(error), error.status) == (expected, status)
    assert words in error.message


@pytest.mark.parametrize(
    ("kind", "status", "code", "message", "expected"),
    [
        ("openai", 429, "insufficient_quota", "You exceeded your current quota", QuotaExhausted),
        ("openai", 400, "context_length_exceeded", "This model's maximum context length is 8", ContextLengthExceeded),
        ("openai", 400, "content_policy_violation", "Your request was rejected", ContentRefused),
        ("openai", 400, "invalid_prompt", "Invalid prompt: we have limited access", ContentRefused),
        ("openai", 400, "model_not_found", "The model `x` does not exist", ModelNotFound),
        ("openrouter", 400, "x", "This endpoint's maximum context length is 131072 tokens.", ContextLengthExceeded),
        ("openrouter", 400, "x", "foo/bar is not a valid model ID", ModelNotFound),
        (
            "anthropic",
            400,
            "invalid_request_error",
            "prompt is too long: 201 tokens > 200",
            ContextLengthExceeded,
        ),
        ("anthropic", 400, "invalid_request_error", "Your credit balance is too low to access it", QuotaExhausted),
        ("anthropic", 400, "x", "Output blocked by content filtering policy", ContentRefused),
        ("anthropic", 529, "overloaded_error", "Overloaded", ServerFailed),
        ("anthropic", 402, "billing_error", "Payment required", QuotaExhausted),
    ],
)
def test_a_refusal_with_a_reason_has_the_class_of_that_reason(
    upstream: Upstream, kind: Kind, status: int, code: str, message: str, expected: type[ProviderError]
) -> None:
    error = failing(upstream, kind, Answer(status=status, code=code, message=message))
    assert (type(error), error.status) == (expected, status)
    assert message in error.message


def test_openrouters_moderation_is_no_question_of_the_key(upstream: Upstream) -> None:
    body = b'{"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}}'
    assert type(failing(upstream, "openrouter", Answer(status=403, body=body))) is ContentRefused


def test_what_the_upstream_of_openrouter_said_is_shown(upstream: Upstream) -> None:
    body = b'{"error": {"code": 502, "message": "Provider returned error", "metadata": {"raw": "GPU on fire"}}}'
    assert "GPU on fire" in failing(upstream, "openrouter", Answer(status=502, body=body)).message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"<h1>502 Bad gateway</h1>", b"[1, 2]", b'"x"', b'{"error": null}', b"\xff"])
def test_an_error_that_is_no_json_is_still_that_error(upstream: Upstream, kind: Kind, body: bytes) -> None:
    error = failing(upstream, kind, Answer(status=502, body=body, headers={"content-type": "text/html"}))
    assert (type(error), error.status) == (ServerFailed, 502)
    assert "<h1>" not in error.message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"{}", b'{"choices": []}', b'{"message": 3}', b"null"])
def test_a_success_that_cannot_be_understood_is_the_servers_failure(
    upstream: Upstream, kind: Kind, body: bytes
) -> None:
    assert type(failing(upstream, kind, Answer(body=body), stream=False)) is ServerFailed


@pytest.mark.parametrize("kind", KINDS)
def test_retry_after_is_read_in_seconds_and_as_a_date(upstream: Upstream, kind: Kind) -> None:
    assert failing(upstream, kind, Answer(status=429, headers={"retry-after": "7"})).retry_after == 7.0
    upstream.requests.clear()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    wait = failing(upstream, kind, Answer(status=503, headers={"retry-after": later})).retry_after
    assert wait is not None
    assert 60 < wait <= 90


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_key_is_refused_and_shown_nowhere(upstream: Upstream, kind: Kind) -> None:
    from sekha_magics.core.wire import Secret

    upstream.accept(kind, "another")
    where = endpoint(upstream, kind, api_key=Secret("sk-very-secret"))
    for stream in (True, False):
        with pytest.raises(AuthenticationFailed) as caught:
            ask(where, chat_call(kind, stream=stream))
        # The server repeats the key in its message, as OpenAI's does in part.
        assert "***" in caught.value.message
        shown = "".join(traceback.format_exception(caught.value))
        assert "sk-very-secret" not in shown + str(caught.value) + repr(caught.value) + repr(caught.value.__dict__)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_connection_says_where_nothing_answers(kind: Kind) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    for stream in (True, False):
        with pytest.raises(ConnectionFailed, match=address) as caught:
            ask(Endpoint("mine", kind, address, None, 5), chat_call(kind, stream=stream))
        assert ("ollama serve" in caught.value.hint) is (kind == "ollama")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_a_silent_provider_times_out_after_its_own_timeout(upstream: Upstream, kind: Kind, stream: bool) -> None:
    upstream.default = Answer(hang=True)
    with pytest.raises(ProviderTimeout, match=r"within 0\.3 s"):
        ask(endpoint(upstream, kind, timeout=0.3), chat_call(kind, stream=stream))
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_falls_silent_times_out(upstream: Upstream, kind: Kind) -> None:
    upstream.default = Answer(text="one two three", piece=4, piece_delay=1.0)
    with pytest.raises(ProviderTimeout):
        ask(endpoint(upstream, kind, timeout=0.3), chat_call(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize("after", [0, 2])
def test_a_stream_that_breaks_raises_after_the_pieces_that_came(
    upstream: Upstream, kind: Kind, cut: str, after: int
) -> None:
    # The pause lets the pieces be read before a reset, which may overtake what is on its way.
    upstream.default = Answer(text="one two three four ", cut_after=after, cut=cut, piece_delay=0.05)  # type: ignore[arg-type]
    provider, got = create(endpoint(upstream, kind)), []

    async def read(_: object) -> None:
        async for item in provider.chat(chat_call(kind)):
            got.append(item)

    with pytest.raises(ConnectionFailed):
        run(provider, read)
    assert len(upstream.requests) == 1
    assert not [item for item in got if isinstance(item, Finish)]
    assert "".join(str(item) for item in got) == "one two three four "[: after * 4]


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_cut_off_in_one_piece_is_a_failed_connection(upstream: Upstream, kind: Kind) -> None:
    assert type(failing(upstream, kind, Answer(cut_after=0), stream=False)) is ConnectionFailed


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("after", [0, 2])
def test_an_error_inside_a_stream_is_the_servers_failure(upstream: Upstream, kind: Kind, after: int) -> None:
    error = failing(upstream, kind, Answer(text="one two three", cut_after=after, stream_error="server_error"))
    assert type(error) is ServerFailed
    assert "server_error" in error.message


@pytest.mark.parametrize("kind", KINDS)
def test_a_success_with_an_empty_stream_is_a_failure(upstream: Upstream, kind: Kind) -> None:
    for frames in ((), (b"\n\n",), (b"data: [DONE]\n\n",)):
        upstream.requests.clear()
        assert type(failing(upstream, kind, Answer(frames=frames))) is ServerFailed


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_of_something_else_is_a_failure(upstream: Upstream, kind: Kind) -> None:
    assert type(failing(upstream, kind, Answer(frames=(b"<html>hello</html>\n",)))) is ServerFailed
    upstream.requests.clear()
    assert type(failing(upstream, kind, Answer(frames=(b"data: {broken\n\n",)))) is ServerFailed


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_ends_without_a_reason_does_not_get_one(upstream: Upstream, kind: Kind) -> None:
    upstream.script(Answer(text="one two", finish=None, end=False))
    said = ask(endpoint(upstream, kind), chat_call(kind))
    assert (said.text, said.finish.reason) == ("one two", None)


@pytest.mark.parametrize("kind", ["openai", "openrouter", "anthropic"])
def test_a_whole_answer_without_a_reason_does_not_get_one(upstream: Upstream, kind: Kind) -> None:
    upstream.script(Answer(text="one two", finish=None))
    said = ask(endpoint(upstream, kind), chat_call(kind, stream=False))
    assert (said.text, said.finish.reason) == ("one two", None)


def test_an_unknown_ollama_model_says_how_to_get_it(upstream: Upstream) -> None:
    error = failing(upstream, "ollama", Answer(status=404, message='model "llama3.1:8b" not found'))
    assert "ollama pull llama3.1:8b" in error.hint


@pytest.mark.parametrize("kind", KINDS)
def test_a_redirect_is_not_followed(upstream: Upstream, kind: Kind) -> None:
    with Upstream() as elsewhere:
        to = {"location": f"http://127.0.0.1:{elsewhere.port}/v1/chat/completions"}
        error = failing(upstream, kind, Answer(status=307, body=b"", headers=to))
        assert elsewhere.requests == []
    assert type(error) is BadRequest
    assert "redirects" in error.message
    assert "base_url" in error.hint


@pytest.mark.parametrize("kind", ["openai", "openrouter", "ollama"])
def test_embeddings_fail_in_the_same_classes(upstream: Upstream, kind: Kind) -> None:
    upstream.script(
        Answer(status=429, headers={"retry-after": "3"}),
        Answer(status=500),
        Answer(body=b'{"data": [], "embeddings": []}'),
    )
    call = EmbedCall("m", ("a", "b"))
    with pytest.raises(RateLimited) as caught:
        embed(endpoint(upstream, kind), call)
    assert caught.value.retry_after == 3.0
    with pytest.raises(ServerFailed):
        embed(endpoint(upstream, kind), call)
    with pytest.raises(ServerFailed, match="no vector for each of 2 texts"):
        embed(endpoint(upstream, kind), call)
    assert len(upstream.requests) == 3
