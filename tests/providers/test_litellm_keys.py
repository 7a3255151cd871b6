"""A request carries its own provider's key to its own provider's address, whatever the environment says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sekha_magics.core.wire import EmbedCall, Endpoint, Secret
from sekha_magics.errors import AuthenticationFailed, BadRequest, ConnectionFailed, ModelNotFound
from sekha_magics.providers import create
from sekha_magics.providers.litellm.setup import load
from tests.conformance.suite import run
from tests.upstream.answers import Kind
from tests.upstream.asking import EMBEDDING_MODEL, MODEL, ask, chat_call, embed, endpoint
from tests.upstream.server import Upstream

KINDS: tuple[Kind, ...] = ("openai", "openrouter", "anthropic", "ollama")
SENTINEL = "from-the-environment"


@pytest.fixture
def elsewhere() -> Any:
    with Upstream() as server:
        yield server


@pytest.fixture
def hostile_environment(monkeypatch: pytest.MonkeyPatch, elsewhere: Upstream) -> Upstream:
    """Every variable LiteLLM and the clients in it read to find a key, an address or a header."""
    for name in ("OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA"):
        monkeypatch.setenv(f"{name}_API_KEY", f"sk-{SENTINEL}")
        for suffix in ("API_BASE", "BASE_URL", "HOST"):
            monkeypatch.setenv(f"{name}_{suffix}", f"http://127.0.0.1:{elsewhere.port}")
    for name in ("OR_API_KEY", "OPENAI_ADMIN_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_ORGANIZATION", "OPENAI_ORG_ID",
                 "OPENAI_PROJECT_ID", "OR_SITE_URL", "OR_APP_NAME", "LITELLM_USER_AGENT"):  # fmt: skip
        monkeypatch.setenv(name, SENTINEL)
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {SENTINEL}\nX-Custom: {SENTINEL}")
    monkeypatch.setenv("LITELLM_ANTHROPIC_DISABLE_URL_SUFFIX", "true")
    monkeypatch.setenv("LITELLM_DEFAULT_EMBEDDING_ENCODING_FORMAT", "base64")
    return elsewhere


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stream", [True, False])
def test_no_variable_redirects_a_request_or_adds_to_it(
    upstream: Upstream, hostile_environment: Upstream, kind: Kind, stream: bool
) -> None:
    assert ask(endpoint(upstream, kind), chat_call(kind, stream=stream)).text == "hello"
    if kind in EMBEDDING_MODEL:
        embed(endpoint(upstream, kind), EmbedCall(EMBEDDING_MODEL[kind], ("a",)))
    assert hostile_environment.requests == []
    for seen in upstream.requests:
        assert SENTINEL not in json.dumps(seen.headers) + seen.raw.decode()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_configured_key_none_is_borrowed(
    upstream: Upstream, hostile_environment: Upstream, kind: Kind
) -> None:
    keyless = endpoint(upstream, kind, api_key=None)
    if kind == "ollama":
        assert ask(keyless, chat_call(kind)).text == "hello"
    else:
        with pytest.raises(AuthenticationFailed):
            ask(keyless, chat_call(kind))
    assert not {"authorization", "x-api-key"} & set(upstream.requests[0].headers)


@pytest.mark.parametrize(
    ("kind", "host"),
    [("openai", "api.openai.com"), ("openrouter", "openrouter.ai"), ("anthropic", "api.anthropic.com")],
)
def test_without_a_base_url_requests_go_to_the_types_own_host(
    hostile_environment: Upstream, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, kind: Kind, host: str
) -> None:
    # A proxy that refuses shows where the request was to go, and nothing leaves this machine.
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{upstream.port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    where = Endpoint("home", kind, None, Secret("sk-home"), 5)
    with pytest.raises(ConnectionFailed):
        ask(where, chat_call(kind))
    assert not run(create(where), lambda p: p.probe()).ok
    assert {(seen.method, seen.path) for seen in upstream.requests} == {("CONNECT", f"{host}:443")}
    assert "sk-home" not in json.dumps([seen.headers for seen in upstream.requests])
    assert hostile_environment.requests == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_global_that_redirects_litellm_stops_the_request(
    upstream: Upstream, elsewhere: Upstream, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(load(), "api_base", f"http://127.0.0.1:{elsewhere.port}")
    if kind == "ollama":
        # The one route where LiteLLM prefers it to the address of the call.
        with pytest.raises(ConnectionFailed, match="stopped"):
            ask(endpoint(upstream, kind), chat_call(kind))
    else:
        assert ask(endpoint(upstream, kind), chat_call(kind)).text == "hello"
    assert elsewhere.requests == []


def test_litellm_never_sees_the_key_of_a_provider_on_our_wire(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    litellm = load()
    heard: list[str] = []
    monkeypatch.setattr(litellm, "input_callback", [lambda details: heard.append(repr(details))])
    for kind in KINDS:
        ask(endpoint(upstream, kind, api_key=Secret("sk-recognisable")), chat_call(kind))
    assert heard
    assert not any("sk-recognisable" in text for text in heard)


def test_two_providers_of_one_type_use_their_own_keys_at_the_same_time(upstream: Upstream) -> None:
    import asyncio

    for kind in KINDS:
        upstream.accept(kind, f"{kind}-a", f"{kind}-b")
        one, other = (create(endpoint(upstream, kind, provider_id=x, api_key=Secret(f"{kind}-{x}"))) for x in "ab")

        async def both(one: Any = one, other: Any = other, kind: Kind = kind) -> None:
            async def drain(provider: Any, text: str) -> None:
                async for _ in provider.chat(chat_call(kind, text)):
                    pass

            await asyncio.gather(*(drain(p, f"to {x}") for p, x in ((one, "a"), (other, "b")) for _ in range(3)))
            await asyncio.gather(one.aclose(), other.aclose())

        asyncio.run(both())
        for seen in upstream.of(kind):
            given = seen.headers.get("x-api-key") or seen.headers["authorization"].removeprefix("Bearer ")
            assert given.removeprefix(f"{kind}-") in {"a", "b"}
            assert f"to {given[-1]}" in seen.raw.decode()
        assert len(upstream.of(kind)) == 6


@pytest.mark.parametrize(
    ("base", "path"),
    [("", "/v1/messages"), ("/", "/v1/messages"), ("/v1", "/v1/messages"), ("/v1/messages", "/v1/messages")],
)
def test_common_spellings_of_anthropics_address_mean_the_same(upstream: Upstream, base: str, path: str) -> None:
    where = endpoint(upstream, "anthropic", base_url=upstream.url("anthropic") + base)
    ask(where, chat_call("anthropic"))
    assert upstream.requests[0].path == path
    assert run(create(where), lambda p: p.probe()).ok


# --- the type `litellm` ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_litellm_type_speaks_to_the_four_as_their_own_types_do(
    upstream: Upstream, hostile_environment: Upstream, kind: Kind
) -> None:
    where = endpoint(upstream, kind, type="litellm")
    said = ask(where, chat_call(kind, model_id=f"{kind}/{MODEL[kind]}"))
    assert said.text == "hello"
    assert ask(endpoint(upstream, kind), chat_call(kind)).text == "hello"
    assert upstream.requests[0].body == upstream.requests[1].body
    assert hostile_environment.requests == []


@pytest.mark.parametrize("stream", [True, False])
def test_any_other_provider_of_litellms_is_given_address_and_key(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", f"sk-{SENTINEL}")
    upstream.accept("openai", "sk-mine")
    where = Endpoint("other", "litellm", upstream.url("openai"), Secret("sk-mine"), 5)
    said = ask(where, chat_call("openai", model_id="deepseek/deepseek-chat", stream=stream, max_tokens=9))
    assert (said.text, said.finish.reason) == ("hello", "stop")
    assert said.finish.usage is not None
    assert (said.finish.usage.input_tokens, said.finish.usage.output_tokens) == (11, 7)
    assert upstream.requests[0].body["model"] == "deepseek-chat"
    assert SENTINEL not in json.dumps(upstream.requests[0].headers)


def test_any_other_provider_without_a_key_gets_a_dummy_and_not_the_environments(
    upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", f"sk-{SENTINEL}")
    ask(Endpoint("other", "litellm", upstream.url("openai"), None, 5), chat_call("openai", model_id="deepseek/x"))
    assert upstream.requests[0].headers["authorization"] == "Bearer none-is-configured"


def test_a_variable_that_would_name_the_address_of_another_provider_is_refused(
    elsewhere: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPSEEK_API_BASE", elsewhere.url("openai"))
    with pytest.raises(BadRequest, match="DEEPSEEK_API_BASE"):
        ask(Endpoint("other", "litellm", None, Secret("sk-mine"), 5), chat_call("openai", model_id="deepseek/x"))
    assert elsewhere.requests == []


def test_a_stream_of_another_provider_is_not_given_a_reason_or_a_usage_it_did_not_have(upstream: Upstream) -> None:
    from tests.upstream.answers import Answer

    where = Endpoint("other", "litellm", upstream.url("openai"), Secret("sk-mine"), 5)
    upstream.script(Answer(text="one two", finish=None, usage=None, end=False), Answer(text="one two", usage=None))
    cut = ask(where, chat_call("openai", model_id="deepseek/x"))
    assert (cut.text, cut.finish.reason, cut.finish.usage) == ("one two", None, None)
    whole = ask(where, chat_call("openai", model_id="deepseek/x"))
    assert (whole.finish.reason, whole.finish.usage) == ("stop", None)


@pytest.mark.skipif(find_spec("fastapi") is not None, reason="nothing is missing here")
def test_a_model_that_needs_more_than_is_installed_says_what(upstream: Upstream) -> None:
    with pytest.raises(ModelNotFound, match="Responses API") as caught:
        ask(endpoint(upstream, "openai"), chat_call("openai", model_id="gpt-5-pro"))
    assert "pip install fastapi" in caught.value.hint
    assert upstream.requests == []


def test_a_model_litellm_cannot_place_says_how_to_write_it(upstream: Upstream, capsys: Any) -> None:
    with pytest.raises(BadRequest, match="whose model 'nobody' is") as caught:
        ask(Endpoint("other", "litellm", upstream.url("openai"), None, 5), chat_call("openai", model_id="nobody"))
    assert "provider/model" in caught.value.hint
    assert capsys.readouterr().out == ""


# --- importing LiteLLM -----------------------------------------------------------------------------

IMPORT_PROBE = Path(__file__).with_name("import_litellm_probe.py")


def test_importing_litellm_opens_no_socket_reads_no_env_file_and_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"OPENAI_API_KEY=sk-{SENTINEL}\n")
    # An interactive interpreter looks for the file in the working folder, as a kernel does.
    done = subprocess.run(
        [sys.executable, "-i", str(IMPORT_PROBE)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    report = json.loads(done.stdout)
    assert report["key"] is None
    assert report["mode"] is None
    assert report["connections"] == []
    assert report["cost_map"] == "True"
    assert report["before"] == []
