"""The loopback server answers as the providers do: checked without any of our own clients."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from .answers import Answer, Kind, vector
from .server import Upstream

HEADERS: dict[Kind, dict[str, str]] = {
    "openai": {"authorization": "Bearer k"},
    "openrouter": {"authorization": "Bearer k"},
    "anthropic": {"x-api-key": "k", "anthropic-version": "2023-06-01"},
    "ollama": {},
}
PATH: dict[Kind, str] = {
    "openai": "/chat/completions",
    "openrouter": "/chat/completions",
    "anthropic": "/v1/messages",
    "ollama": "/api/chat",
}
BODY = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hello"}]}


def post(upstream: Upstream, kind: Kind, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
    given = HEADERS[kind] if headers is None else headers
    return httpx.post(upstream.url(kind) + PATH[kind], json={**BODY, **more}, headers=given, trust_env=False)


@pytest.mark.parametrize("kind", HEADERS)
def test_a_request_is_recorded_whole(upstream: Upstream, kind: Kind) -> None:
    post(upstream, kind, stream=False)
    (seen,) = upstream.requests
    assert (seen.kind, seen.method) == (kind, "POST")
    assert seen.path.endswith(PATH[kind])
    assert seen.body == {**BODY, "stream": False}
    assert HEADERS[kind].items() <= seen.headers.items()
    assert upstream.of(kind) == [seen]


def test_streams_are_events_or_lines_as_documented(upstream: Upstream) -> None:
    openai = post(upstream, "openai", stream=True, stream_options={"include_usage": True}).text.strip().split("\n\n")
    assert openai[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in openai[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]) == "hello"
    assert chunks[-1]["usage"]["total_tokens"] == 18
    assert not any("usage" in chunk for chunk in chunks[:-1])
    assert "usage" not in post(upstream, "openai", stream=True).text

    events = post(upstream, "anthropic", stream=True).text.strip().split("\n\n")
    names = [event.split("\n")[0].removeprefix("event: ") for event in events]
    assert names == ["message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta",
                     "content_block_stop", "message_delta", "message_stop"]  # fmt: skip

    lines = [json.loads(line) for line in post(upstream, "ollama").text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "hello"
    assert [line["done"] for line in lines] == [False, False, True]

    openrouter = post(upstream, "openrouter", stream=True, usage={"include": True}).text
    assert openrouter.startswith(": OPENROUTER PROCESSING")
    assert '"cost": 0.00012345' in openrouter


def test_keys_are_checked_where_each_provider_expects_them(upstream: Upstream) -> None:
    for kind in ("openai", "openrouter", "anthropic"):
        headers = {"anthropic-version": "2023-06-01"} if kind == "anthropic" else {}
        assert post(upstream, kind, headers).status_code == 401
        upstream.accept(kind, "another")
        assert post(upstream, kind).status_code == 401
    assert post(upstream, "anthropic", {"x-api-key": "another"}).status_code == 400
    assert post(upstream, "ollama").status_code == 200


def test_answers_are_given_in_the_order_of_the_script(upstream: Upstream) -> None:
    upstream.script(Answer(status=429, headers={"retry-after": "3"}), Answer(text="scripted"))
    first = post(upstream, "openai")
    assert (first.status_code, first.headers["retry-after"]) == (429, "3")
    assert post(upstream, "openai").json()["choices"][0]["message"]["content"] == "scripted"
    assert post(upstream, "openai").json()["choices"][0]["message"]["content"] == "hello"


@pytest.mark.parametrize("kind", HEADERS)
def test_a_cut_is_seen_by_the_client_and_a_hang_up_by_the_server(upstream: Upstream, kind: Kind) -> None:
    upstream.script(Answer(text="abcdefgh", cut_after=1), Answer(hang=True))
    with pytest.raises(httpx.RemoteProtocolError):
        post(upstream, kind, stream=True)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(upstream.url(kind) + PATH[kind], json=BODY, headers=HEADERS[kind], timeout=0.2, trust_env=False)
    assert upstream.requests[1].hung_up.wait(5)
    assert not upstream.requests[0].hung_up.is_set()


@pytest.mark.parametrize("kind", HEADERS)
def test_a_reset_comes_before_the_head_and_a_stall_after_some_pieces(upstream: Upstream, kind: Kind) -> None:
    upstream.script(Answer(reset=True), Answer(text="abcdefgh", stall_after=1))
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        post(upstream, kind, stream=True)
    url, body = upstream.url(kind) + PATH[kind], {**BODY, "stream": True}
    seen = b""
    with (
        pytest.raises(httpx.ReadTimeout),
        httpx.stream("POST", url, json=body, headers=HEADERS[kind], timeout=0.5, trust_env=False) as response,
    ):
        for data in response.iter_raw():
            seen += data
    assert b"abcd" in seen and b"efgh" not in seen
    assert upstream.requests[1].hung_up.wait(5)


def test_unknown_paths_are_not_found(upstream: Upstream) -> None:
    base = f"http://127.0.0.1:{upstream.port}"
    for path in ("/", "/v1/nothing", "/api/nothing"):
        response = httpx.get(base + path, headers=HEADERS["openai"], trust_env=False)
        assert response.status_code == 404


def test_vectors_depend_on_the_text_alone() -> None:
    assert vector("a", 8) == vector("a", 8) != vector("b", 8)
    assert sum(x * x for x in vector("a", 8)) == pytest.approx(1.0)


def test_closing_ends_its_thread_and_its_connections(upstream: Upstream) -> None:
    upstream.default = Answer(hang=True)
    with httpx.Client(trust_env=False) as client:
        address = upstream.url("ollama") + "/api/tags"
        with pytest.raises(httpx.ReadTimeout):
            client.get(address, timeout=0.2)
        upstream.close()
        with pytest.raises(httpx.ConnectError):
            client.get(address, timeout=5)
    upstream.close()
