"""The embedded model, asked for real."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from sekha_magics.core.content import Message, Text
from sekha_magics.core.wire import ChatCall, Endpoint, Finish
from sekha_magics.errors import (
    AuthenticationFailed,
    BadRequest,
    ConfigError,
    ConnectionFailed,
    ContextLengthExceeded,
    ModelNotFound,
    ProviderTimeout,
)
from sekha_magics.providers.local import child as local_child
from sekha_magics.providers.local.provider import LocalProvider
from sekha_magics.providers.local.wire import refusal

from ..local_model import model_file, place_model

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.model
MODEL = "smollm2-135m-instruct"


def provider(**options: Any) -> LocalProvider:
    return LocalProvider(Endpoint("embedded", "local", options=options))


def ask(text: str, *, system: str = "You are a helpful assistant.", **options: Any) -> ChatCall:
    options = {"model_id": MODEL, "max_tokens": 24, "temperature": 0.0, **options}
    return ChatCall(messages=(Message("system", (Text(system),)), Message("user", (Text(text),))), **options)


async def answer(of: LocalProvider, call: ChatCall) -> tuple[list[str], Finish]:
    *pieces, finish = [piece async for piece in of.chat(call)]
    assert isinstance(finish, Finish) and all(isinstance(piece, str) for piece in pieces)
    return pieces, finish  # type: ignore[return-value]


def text_of(of: LocalProvider, call: ChatCall) -> str:
    return "".join(anyio.run(answer, of, call)[0])


@pytest.fixture(scope="module")
def local() -> Iterator[LocalProvider]:
    """One provider for the module, so that the model is loaded once."""
    with pytest.MonkeyPatch.context() as patch, anyio.from_thread.start_blocking_portal() as portal:
        patch.setenv("SEKHA_HOME", str(model_file().parent.parent))
        shared = provider(path=str(model_file()))
        yield shared
        portal.call(shared.aclose)


def test_a_question_is_answered(local: LocalProvider) -> None:
    pieces, finish = anyio.run(answer, local, ask("What is the capital of France?"))
    assert "Paris" in "".join(pieces)
    assert finish.reason == "stop" and finish.left_out == ()
    assert finish.usage is not None and finish.usage.input_tokens > 10 and finish.usage.output_tokens > 3


def test_an_answer_comes_in_pieces_and_unstreamed_in_one(local: LocalProvider) -> None:
    streamed, _ = anyio.run(answer, local, ask("What is the capital of France?"))
    whole, finish = anyio.run(answer, local, ask("What is the capital of France?", stream=False))
    assert len(streamed) > 3 and len(whole) == 1
    assert "".join(streamed) == whole[0]
    assert finish.usage is not None


def test_a_seed_gives_the_same_text_again_and_another_seed_another(local: LocalProvider) -> None:
    first = text_of(local, ask("Tell me a story.", seed=1, temperature=1.0))
    other = text_of(local, ask("Tell me a story.", seed=2, temperature=1.0))
    assert text_of(local, ask("Tell me a story.", seed=1, temperature=1.0)) == first != other


def test_max_tokens_and_stop_end_the_answer(local: LocalProvider) -> None:
    pieces, finish = anyio.run(answer, local, ask("Count to one hundred.", max_tokens=3))
    assert finish.reason == "length" and finish.usage is not None and finish.usage.output_tokens == 3
    whole = text_of(local, ask("What is the capital of France?"))
    assert (
        text_of(local, ask("What is the capital of France?", params={"stop": [" Paris"]})) == whole.split(" Paris")[0]
    )
    assert pieces


def test_a_schema_shapes_the_answer(local: LocalProvider) -> None:
    import json

    schema = {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    value = json.loads(text_of(local, ask("Describe a person.", schema=schema, max_tokens=80)))
    assert value.keys() == {"name", "age"} and isinstance(value["age"], int)


def test_a_parameter_it_does_not_know_is_named_in_the_finish(local: LocalProvider) -> None:
    _, finish = anyio.run(answer, local, ask("Hi", max_tokens=2, params={"top_k": 1, "tool_choice": "auto"}))
    assert finish.left_out == ("tool_choice",)


def test_a_value_the_server_refuses_is_a_bad_request_with_its_words(local: LocalProvider) -> None:
    with pytest.raises(BadRequest, match="top_p") as caught:
        text_of(local, ask("Hi", params={"top_p": "high"}))
    assert (caught.value.provider_id, caught.value.model_id, caught.value.status) == ("embedded", MODEL, 400)
    with pytest.raises(BadRequest):
        text_of(local, ask("half a pair: \ud800"))


def test_an_empty_prompt_and_one_of_odd_characters_are_answered(local: LocalProvider) -> None:
    for text in ("", '{"a": 1} {x} $5 %d "quotes" \\ ; 😀 \x00 \u2028', "<|im_end|><|im_start|>system"):
        assert anyio.run(answer, local, ask(text, max_tokens=4))[1].reason in ("stop", "length")


def test_a_prompt_longer_than_the_window_is_refused_as_that(local: LocalProvider) -> None:
    with pytest.raises(ContextLengthExceeded):
        text_of(local, ask("word " * 20_000))
    assert "Paris" in text_of(local, ask("What is the capital of France?"))


def test_four_at_once_are_answered_as_they_are_one_by_one(local: LocalProvider) -> None:
    async def together() -> list[str]:
        texts = [""] * 4

        async def one(i: int) -> None:
            texts[i] = "".join((await answer(local, ask(f"What is the capital of {countries[i]}?")))[0])

        async with anyio.create_task_group() as group:
            for i in range(4):
                group.start_soon(one, i)
        return texts

    countries = ["France", "Japan", "Germany", "Spain"]
    one_by_one = [text_of(local, ask(f"What is the capital of {country}?")) for country in countries]
    assert anyio.run(together) == one_by_one


def test_four_threads_with_loops_of_their_own_are_all_answered(local: LocalProvider) -> None:
    texts: list[str] = []
    threads = [
        threading.Thread(target=lambda: texts.append(text_of(local, ask("What is the capital of Japan?"))))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4 and all("Tokyo" in text for text in texts)


def test_a_cancelled_answer_is_not_written_to_its_end() -> None:
    # It writes one answer at a time: were the endless one not given up, the next would wait past its timeout.
    impatient = LocalProvider(Endpoint("embedded", "local", timeout=30, options={"path": str(model_file())}))
    endless = ask("Count to one million.", max_tokens=7000, params={"ignore_eos": True})

    async def cancel_then_ask() -> str:
        with anyio.CancelScope() as scope:
            async for _ in impatient.chat(endless):
                scope.cancel()
        assert scope.cancelled_caught
        stream = impatient.chat(endless)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]
        return "".join((await answer(impatient, ask("What is the capital of France?")))[0])

    assert "Paris" in anyio.run(cancel_then_ask)
    anyio.run(impatient.aclose)


def test_a_wrong_key_gets_401_and_a_web_page_no_permission(local: LocalProvider) -> None:
    child = local_child.lease(local_child.Launch(model_file()), local)
    for header in ({}, {"authorization": "Bearer wrong"}):
        told = httpx.post(f"{child.address}/v1/chat/completions", headers=header, json={"messages": []})
        assert told.status_code == 401 and child.key not in told.text
        assert isinstance(refusal(401, told.content), AuthenticationFailed)
    told = httpx.get(
        f"{child.address}/v1/models",
        headers={"authorization": f"Bearer {child.key}", "origin": "http://pages.example"},
    )
    assert told.headers.get("access-control-allow-origin") != "http://pages.example"
    assert told.headers.get("access-control-allow-origin") != "*"


def test_proxies_of_the_environment_are_not_asked(local: LocalProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert "Paris" in text_of(local, ask("What is the capital of France?"))


def test_a_model_that_gives_no_sign_of_life_is_given_up_after_the_timeout() -> None:
    hasty = LocalProvider(Endpoint("embedded", "local", timeout=0.05, options={"path": str(model_file())}))
    with pytest.raises(ProviderTimeout, match=r"0\.05 s"):
        text_of(hasty, ask("word " * 4000))
    anyio.run(hasty.aclose)


# --- which file ---------------------------------------------------------------------------------


def test_a_pulled_model_is_found_by_its_id(own_directories: Path) -> None:
    place_model(own_directories)
    pulled = provider()
    pieces, finish = anyio.run(answer, pulled, ask("What is the capital of France?"))
    assert "Paris" in "".join(pieces) and finish.served_model == MODEL
    anyio.run(pulled.aclose)


def test_a_model_that_is_not_here_says_how_to_get_it() -> None:
    with pytest.raises(ModelNotFound, match="not here") as caught:
        text_of(provider(), ask("Hi"))
    assert "sekha models pull" in caught.value.hint
    with pytest.raises(ModelNotFound) as caught:
        text_of(provider(), ask("Hi", model_id="my-model"))
    assert "sekha models pull my-model --from FILE" in caught.value.hint


@pytest.mark.parametrize("model_id", ["../../etc/passwd", "", "a/b", "C:\\x", "x" * 500, "\x00"])
def test_a_hostile_model_id_is_no_path(model_id: str) -> None:
    with pytest.raises(ModelNotFound):
        text_of(provider(), ask("Hi", model_id=model_id))


def test_a_file_that_is_no_gguf_is_not_loaded(tmp_path: Path) -> None:
    for name, content in (("empty.gguf", b""), ("page.gguf", b"<html>not found</html>" * 9)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelNotFound, match="not a GGUF"):
            text_of(provider(path=str(tmp_path / name)), ask("Hi"))
    with pytest.raises(ModelNotFound, match="cannot read"):
        text_of(provider(path=str(tmp_path / "nowhere.gguf")), ask("Hi"))


def test_a_broken_model_file_is_an_error_that_shows_the_end_of_the_log(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    with model_file().open("rb") as file:
        broken.write_bytes(file.read(4096))
    with pytest.raises(ConnectionFailed, match="did not start") as caught:
        text_of(provider(path=str(broken)), ask("Hi"))
    assert "failed to load model" in caught.value.message and "Traceback" not in caught.value.message
    assert "log" in caught.value.hint


# --- configuration and probe -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [({"pth": "x.gguf"}, "pth"), ({"path": 3}, "path"), ({"path": ""}, "path"), ({"threads": 0}, "threads"),
     ({"threads": True}, "threads"), ({"context": "8k"}, "context"), ({"context": 1}, "context")],
)  # fmt: skip
def test_a_wrong_option_is_a_configuration_error_that_names_it(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=f"embedded.*{named}"):
        provider(**options)


def test_a_misspelt_option_is_met_with_the_right_one() -> None:
    with pytest.raises(ConfigError) as caught:
        provider(thread=2)
    assert "'threads'" in caught.value.hint


def test_a_probe_names_the_models_that_are_here_and_starts_nothing(own_directories: Path) -> None:
    before = anyio.run(provider().probe)
    assert before.models == ("wordllama-256",) and "sekha models pull" in before.detail
    place_model(own_directories)
    after = anyio.run(provider().probe)
    assert after.ok and after.models == (MODEL, "wordllama-256") and after.detail == ""
    given = anyio.run(provider(path=str(model_file())).probe)
    assert given.models == (model_file().stem, "wordllama-256")
    wrong = anyio.run(provider(path=str(own_directories / "none.gguf")).probe)
    assert "cannot read" in wrong.detail and wrong.models == ("wordllama-256",)


def test_what_is_not_installed_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from sekha_magics.core.wire import EmbedCall

    bare = provider(path=str(model_file()))
    for package in ("xllamacpp", "wordllama"):
        # What Python itself takes for a module that is not there.
        monkeypatch.setitem(sys.modules, package, None)
    probe = anyio.run(bare.probe)
    assert not probe.ok and probe.models == () and probe.detail.count("pip install") == 2
    with pytest.raises(ModelNotFound, match="xllamacpp") as caught:
        text_of(bare, ask("Hi"))
    assert "sekha-magics[local]" in caught.value.hint
    with pytest.raises(ModelNotFound, match="wordllama"):
        anyio.run(bare.embed, EmbedCall("wordllama-256", ("a",)))


def test_a_log_that_cannot_be_written_is_an_error_that_says_so(own_directories: Path) -> None:
    own_directories.mkdir()
    (own_directories / "logs").write_bytes(b"a file where the folder should be")
    with pytest.raises(ConnectionFailed, match="log"):
        text_of(provider(path=str(model_file()), context=600), ask("Hi"))


def test_nothing_listens_beyond_loopback(local: LocalProvider) -> None:
    address = httpx.URL(local_child.lease(local_child.Launch(model_file()), local).address)
    assert address.host == "127.0.0.1"
    with socket.socket() as outside:
        outside.connect(("127.0.0.1", address.port or 0))
