"""A question, its answer, its cost and its traces: the way every call takes."""

from __future__ import annotations

import asyncio
import json
import threading
from dataclasses import dataclass, replace
from decimal import Decimal

import pytest
from pydantic import BaseModel

import sekha_magics as sekha
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.wire import EmbedCall, Embedded
from sekha_magics.errors import (
    AllProvidersFailed,
    BadRequest,
    InvalidInput,
    NoEligibleModel,
    SekhaError,
    StreamInterrupted,
)
from sekha_magics.providers.scripted import ScriptedProvider
from sekha_magics.registry import Registry

from .stages import PRICE, provider, registry


def test_an_answer_says_who_gave_it_why_and_what_it_cost():
    with registry(provider("a", model=PRICE, replies=["Paris"], usage={"input": 1000, "output": 100})) as reg:
        reply = reg.chat("Capital of France?")
        assert str(reply) == reply.text == "Paris"
        assert (reply.provider_id, reply.model_id, reply.provider_type) == ("a", "a-model", "scripted")
        assert reply.cost.usd == Decimal("0.003")
        assert reply.cost.source == "computed"
        assert (reply.usage.input_tokens, reply.usage.output_tokens) == (1000, 100)
        assert reply.finish_reason == "stop"
        assert reply.decision.reason == "the only model"
        assert len(reply.calls) == 1


def test_what_the_provider_reports_goes_over_what_is_computed():
    with registry(provider("a", model=PRICE, cost="0.0012345")) as reg:
        assert (reg.chat("x").cost.usd, reg.chat("x").cost.source) == (Decimal("0.0012345"), "reported")


def test_a_scripted_model_without_a_price_is_free_and_a_stream_without_usage_is_estimated():
    with registry() as reg:
        assert (reg.chat("x").cost.usd, reg.chat("x").cost.source) == (Decimal(0), "free")
    with registry(provider("a", model=PRICE, usage=None)) as reg:
        cost = reg.chat("x").cost
        assert cost.source == "estimated"
        assert cost.usd is not None
        assert cost.usd > 0


def test_pieces_come_in_order_in_the_callers_own_thread():
    seen: list[tuple[str, int]] = []
    with registry(provider("a", replies=["one two three"], pieces=3)) as reg:
        reply = reg.chat("x", on_token=lambda piece: seen.append((piece, threading.get_ident())))
    assert "".join(piece for piece, _ in seen) == reply.text
    assert len(seen) > 3
    assert {thread for _, thread in seen} == {threading.get_ident()}
    assert reply.ttft_ms is not None
    assert reply.ttft_ms <= reply.latency_ms


def test_an_error_in_on_token_cancels_the_request_and_reaches_the_caller():
    def stop(_: str) -> None:
        raise ZeroDivisionError

    with registry(provider("a", replies=["long " * 50], delay=0.01)) as reg:
        with pytest.raises(ZeroDivisionError):
            reg.chat("x", on_token=stop)
        calls = reg.ledger.calls()
        assert calls["status"].tolist() == ["interrupted"]


def test_achat_and_astream_give_the_same_answer():
    with registry(provider("a", replies={".": "one two three"}, pieces=4)) as reg:

        async def ask() -> tuple[str, str, list[str]]:
            stream = reg.astream("x")
            pieces = [piece async for piece in stream]
            assert stream.reply is not None
            got: list[str] = []
            reply = await reg.achat("x", on_token=got.append)
            await asyncio.sleep(0)
            assert "".join(got) == reply.text
            return stream.reply.text, reply.text, pieces

        streamed, whole, pieces = asyncio.run(ask())
    assert streamed == whole == "".join(pieces) == "one two three"
    assert len(pieces) == 4


def test_leaving_a_stream_cancels_it_and_settles_its_bill():
    with registry(provider("a", model=PRICE, replies=["word " * 200], delay=0.01)) as reg:

        async def leave() -> None:
            stream = reg.astream("x")
            iterator = stream.__aiter__()
            await iterator.__anext__()
            await iterator.aclose()

        asyncio.run(leave())
        (call,) = reg.ledger.calls().to_dict("records")
        assert call["status"] == "interrupted"
        assert call["cost_source"] == "estimated"
        assert call["cost_usd"] > 0
        assert reg.ledger.decisions()["outcome"].tolist() == ["interrupted"]


def test_cancelling_achat_cancels_the_request():
    with registry(provider("a", replies=["word " * 200], delay=0.01)) as reg:

        async def cancel() -> None:
            task = asyncio.create_task(reg.achat("x", stream=True))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(cancel())
        assert reg.ledger.calls()["status"].tolist() == ["interrupted"]


def test_a_blocking_call_inside_the_engines_loop_is_an_error_not_a_deadlock():
    from sekha_magics.loop import run_blocking

    async def inside(_emit: object) -> str:
        with registry() as reg:
            return reg.chat("x").text

    with pytest.raises(SekhaError, match="inside the engine"):
        run_blocking(inside)


# --- failover --------------------------------------------------------------------------------------


def failing(name: str, status: int | str, **more: object) -> dict[str, object]:
    return provider(name, priority=1, fail={"status": status, "message": f"said {status}", **more})


@pytest.mark.parametrize(
    ("status", "said"),
    [(429, "down 429"), (500, "down 500"), (401, "down 401"), (404, "down 404"),
     ("connection", "down broke the connection"), ("timeout", "down timed out")],
)  # fmt: skip
def test_the_next_candidate_answers_when_one_fails_and_the_reply_says_so(status, said):
    with registry(failing("down", status), provider("up", replies=["here"]), routing={"max_retries": 0}) as reg:
        reply = reg.chat("x")
        assert (reply.text, reply.provider_id) == ("here", "up")
        assert [call.status for call in reply.calls] == ["error", "ok"]
        assert reply.notes[0] == f"{said}; answered by up/up-model"
        logged = reg.ledger.calls().sort_values("attempt")
        assert logged["status"].tolist() == ["error", "ok"]
        assert reg.ledger.decisions()["outcome"].tolist() == ["ok"]


def test_a_refusal_of_the_request_itself_is_raised_at_once():
    with registry(failing("strict", 400), provider("up")) as reg:
        with pytest.raises(BadRequest, match="said 400"):
            reg.chat("x")
        assert len(reg.ledger.calls()) == 1
        assert reg.ledger.decisions()["outcome"].tolist() == ["failed"]


def test_when_all_fail_the_error_shows_each():
    with registry(failing("a", 500), failing("b", 503), routing={"max_retries": 0}) as reg:
        with pytest.raises(AllProvidersFailed) as raised:
            reg.chat("x")
        assert [type(e).__name__ for e in raised.value.errors] == ["ServerFailed", "ServerFailed"]
        assert [c.provider_id for c in raised.value.calls] == ["a", "b"]
        assert "said 500" in str(raised.value)
        assert "said 503" in str(raised.value)
        assert len(reg.ledger.calls()) == 2
        assert reg.ledger.decisions()["outcome"].tolist() == ["failed"]


def test_without_fallback_the_first_failure_is_the_last():
    with registry(failing("a", 500), provider("b"), routing={"auto_fallback": False, "max_retries": 1}) as reg:
        with pytest.raises(SekhaError, match="said 500"):
            reg.chat("x")
        assert reg.ledger.calls()["provider_id"].tolist() == ["a", "a"]
        assert reg.ledger.decisions()["outcome"].tolist() == ["failed"]


def test_an_answer_that_breaks_off_is_never_silently_begun_again():
    broken = provider(
        "a", priority=1, replies=["one two three four"], pieces=4, fail={"status": "connection", "after": 2}
    )
    with registry(broken, provider("b", replies=["other"])) as reg:
        with pytest.raises(StreamInterrupted) as raised:
            reg.chat("x", stream=True)
        assert raised.value.partial == "one two "
        (call,) = reg.ledger.calls(content=True).to_dict("records")
        assert call["status"] == "error"
        assert call["response"] == "one two "


def test_an_end_without_a_reason_is_a_cut():
    with (
        registry(
            provider("a", priority=1, replies=["half an ans"], finish=None), provider("b", replies=["whole"])
        ) as reg,
        pytest.raises(StreamInterrupted),
    ):
        reg.chat("x", stream=True)
    with registry(provider("a", priority=1, replies=[""], finish=None), provider("b", replies=["whole"])) as reg:
        assert reg.chat("x").text == "whole"


def test_a_refused_key_is_remembered_until_keys_are_looked_up_again():
    with registry(failing("a", 401), provider("b", priority=9)) as reg:
        assert reg.chat("x").provider_id == "b"
        assert len(reg.chat("x").calls) == 1
        decision = reg.route("x")
        assert [str(r) for r in decision.candidates[0].reasons] == ["auth_failed"]
        assert reg.health().set_index("provider_id").loc["a", "state"] == "auth_failed"
        reg.refresh_keys()
        assert len(reg.chat("x").calls) == 2


def test_a_parameter_the_provider_does_not_know_is_left_out_and_said():
    with registry(provider("a", ignores=["seed"])) as reg:
        assert "seed" in reg.chat("x", seed=3).notes[0]


# --- limits, conversations, schemas ----------------------------------------------------------------


def test_a_limit_on_cost_also_limits_the_length_of_the_answer():
    model = {**PRICE, "max_output_tokens": 50}
    with registry(provider("a", model=model, replies=["w " * 1000])) as reg:
        reply = reg.chat("x", max_cost="0.01")
        assert reply.decision.request.max_cost == Decimal("0.01")
        with pytest.raises(NoEligibleModel, match="over_max_cost"):
            reg.chat("x", max_cost="0.0000001")
        assert reg.ledger.decisions().sort_values("ts")["outcome"].tolist() == ["ok", "refused"]


def test_a_conversation_is_remembered_by_name_and_emptied_on_request():
    with registry() as reg:
        reg.chat("one", conversation="c", system="Be brief.")
        reg.chat("two", conversation="c")
        said = [(m.role, m.text) for m in reg.conversation("c")]
        assert said == [("system", "Be brief."), ("user", "one"), ("assistant", "one"), ("user", "two"),
                        ("assistant", "two")]  # fmt: skip
        reg.chat("three", conversation="c", system="Be long.")
        assert [m.text for m in reg.conversation("c") if m.role == "system"] == ["Be long."]
        reg.chat("four", conversation="c", new=True)
        assert [m.text for m in reg.conversation("c")] == ["four", "four"]
        reg.chat("alone")
        assert reg.conversations() == ["c"]
        assert reg.ledger.decisions()["conversation"].tolist().count("c") == 4


def test_a_failed_question_leaves_no_trace_in_the_conversation():
    with registry(failing("a", 500)) as reg:
        with pytest.raises(AllProvidersFailed):
            reg.chat("x", conversation="c")
        assert reg.conversation("c") == ()


class City(BaseModel):
    name: str
    people: int


@dataclass
class Town:
    name: str
    people: int


@pytest.mark.parametrize("schema", [City, Town, City.model_json_schema()])
def test_an_answer_is_parsed_by_its_schema(schema):
    with registry(provider("a", replies=['{"name": "Paris", "people": 2}', "no json", '{"name": 3}'])) as reg:
        parsed = reg.chat("x", schema=schema).parsed
        assert (parsed["people"] if isinstance(parsed, dict) else parsed.people) == 2
        for _ in range(2):
            reply = reg.chat("x", schema=schema)
            assert reply.parsed is None
            assert "does not follow the schema" in reply.notes[0]
            assert reply.text


# --- embedding -------------------------------------------------------------------------------------


def test_embedding_gives_one_row_of_float32_for_each_text():
    with registry(provider("a", model=PRICE)) as reg:
        embedding = reg.embed(["a cat", "a cat", "a dog"])
        assert embedding.vectors.shape == (3, 64)
        assert embedding.vectors.dtype.name == "float32"
        assert (embedding.vectors[0] == embedding.vectors[1]).all()
        assert (embedding.dimension, embedding.model_id) == (64, "a-model")
        assert reg.embed("one text").vectors.shape == (1, 64)
        assert set(reg.ledger.decisions()["source"]) == {"embed"}


class OneShort(ScriptedProvider):
    """Gives vectors one number too short, as a server does whose model was exchanged."""

    traits = ProviderType("one-short", local=True, free=True)

    async def embed(self, call: EmbedCall) -> Embedded:
        embedded = await super().embed(call)
        return replace(embedded, vectors=embedded.vectors[:, :-1])


def test_a_vector_of_the_wrong_length_is_an_error_that_says_the_right_one():
    with registry() as reg:
        reg.register_provider({**provider("short", priority=1), "type": "one-short"}, OneShort)
        with pytest.raises(AllProvidersFailed, match="dimension: 63"):
            reg.embed(["x"], model="short-model")


# --- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [{"temperature": 3}, {"temperature": "hot"}, {"temperature": True}, {"temperature": float("nan")},
     {"max_tokens": 0}, {"max_tokens": 1.5}, {"max_tokens": True}, {"max_tokens": 2**70}, {"seed": "x"},
     {"seed": 2**80}, {"max_cost": -1}, {"max_cost": "much"}, {"max_cost": float("inf")}, {"max_cost": True},
     {"model": ""}, {"model": 3}, {"task": "chat_tiny"}, {"task": 3}, {"policy": "random"}, {"params": [1]},
     {"params": {1: 2}}, {"schema": 3}, {"schema": {"type": "nonsense"}}, {"local_only": "yes"},
     {"require_vision": 1}, {"images": "a.png"}, {"images": [3]}, {"system": 3}, {"conversation": 3},
     {"conversation": " "}, {"context_size": -5}, {"no_such_argument": 1}],
)  # fmt: skip
def test_a_wrong_argument_is_an_error_before_anything_is_sent(arguments):
    with registry() as reg:
        with pytest.raises(InvalidInput) as raised:
            reg.chat("x", **arguments)
        assert raised.value.message
        assert len(reg.ledger.decisions()) == 0


@pytest.mark.parametrize("texts", [[], "", ["a", ""], ["a", 3], 3, None, b"x", {"a": "b"}])
def test_what_cannot_be_embedded_is_an_error(texts):
    with registry() as reg, pytest.raises(InvalidInput):
        reg.embed(texts)


@pytest.mark.parametrize(
    "prompt", ['{"a": 1} {x} $5 %d \\ "q" \';', "\u202e\x1b[31m\0", "👩‍👩‍👧 # not a comment", "x" * 20_000]
)
def test_hostile_prompts_reach_the_provider_as_they_are(prompt):
    with registry() as reg:
        assert reg.chat(prompt, max_tokens=1).text == prompt


def test_a_prompt_beyond_every_window_is_refused_before_it_is_sent():
    with registry() as reg:
        with pytest.raises(NoEligibleModel, match="context_window"):
            reg.chat("x" * 1_000_000)
        assert len(reg.ledger.calls()) == 0


def test_many_threads_at_once_lose_nothing():
    with registry(provider("a", model=PRICE, usage={"input": 10, "output": 1})) as reg:
        replies: list[str] = []

        def ask(number: int) -> None:
            replies.extend(reg.chat(f"{number}-{i}").text for i in range(5))

        threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(replies) == sorted(f"{n}-{i}" for n in range(8) for i in range(5))
        calls = reg.ledger.calls()
        assert len(calls) == len(set(calls["call_id"])) == 40
        assert sum(calls["cost_usd"]) == 40 * Decimal("0.00003")


# --- the registry itself ---------------------------------------------------------------------------


def test_models_and_tasks_and_health_are_frames_with_the_documented_columns():
    with registry(provider("a", model=PRICE), provider("b", fail={"status": 500})) as reg:
        models = reg.models()
        assert models["price_input"].tolist() == [Decimal(2), Decimal(0)]
        assert models["price_source"].tolist() == ["config", "free"]
        assert reg.tasks() == ["chat_small", "embedding"]
        reg.chat("x")
        health = reg.health().set_index("provider_id")
        assert health.loc["a", "calls"] == 1
        assert health["state"].tolist() == ["closed", "closed"]
        assert health["retry_at"].isna().all()
        assert "Registry: 2 models at 2 providers" in repr(reg)


def test_probing_asks_each_and_changes_no_state():
    with registry(provider("a", models=["x", "y"])) as reg:
        before = reg.state.snapshot().snapshot_id
        assert reg.health(probe=True)["models"].tolist() == [2]
        assert reg.state.snapshot().snapshot_id == before


def test_a_provider_can_be_added_while_running():
    with registry() as reg:
        reg.register_provider(provider("late", priority=1, replies=["me"]))
        assert reg.chat("x").text == "me"
        with pytest.raises(sekha.ConfigError, match="configured already"):
            reg.register_provider(provider("late"))
        with pytest.raises(sekha.ConfigError):
            reg.register_provider({"id": "x", "type": "no-such-type"})


def test_the_registry_of_the_magics_is_discovered_once_and_can_be_set(monkeypatch, tmp_path):
    path = tmp_path / "sekha.yaml"
    path.write_text("llm_providers: [{id: s, type: scripted, models: [{model_id: m, task: chat_small}]}]")
    monkeypatch.setenv("SEKHA_CONFIG", str(path))
    sekha.set_registry(None)
    try:
        found = sekha.get_registry()
        assert found is sekha.get_registry()
        assert found.chat("hello").text == "hello"
        with registry() as mine:
            sekha.set_registry(mine)
            assert sekha.get_registry() is mine
        with pytest.raises(InvalidInput):
            sekha.set_registry("x")  # type: ignore[arg-type]
    finally:
        sekha.set_registry(None)


def test_closing_twice_is_fine_and_the_ledger_is_folded():
    reg = registry()
    reg.chat("x")
    path = reg.ledger.path
    reg.close()
    reg.close()
    assert path.exists()


def test_from_env_without_anything_tells_the_ways_to_get_a_model(monkeypatch):
    monkeypatch.setenv("SEKHA__LLM_PROVIDERS", "[]")
    with Registry.from_env() as reg, pytest.raises(NoEligibleModel) as raised:
        reg.chat("x")
    assert "models pull" in raised.value.hint


def test_an_ollama_is_asked_for_its_models_once_by_all_who_come_first(upstream, monkeypatch):
    monkeypatch.setenv(
        "SEKHA__LLM_PROVIDERS", json.dumps([{"id": "here", "type": "ollama", "base_url": upstream.url("ollama")}])
    )
    with Registry.discover() as reg:
        names: list[str] = []
        threads = [threading.Thread(target=lambda: names.append(reg.route("x").model_id)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert names == ["llama3.1:8b"] * 6
        assert [seen.path for seen in upstream.requests] == ["/api/tags"]
        assert reg.chat("hello").text == "hello"


def test_without_a_configuration_an_ollama_that_does_not_answer_is_no_model(monkeypatch):
    monkeypatch.setenv(
        "SEKHA__LLM_PROVIDERS", json.dumps([{"id": "here", "type": "ollama", "base_url": "http://127.0.0.1:9"}])
    )
    with Registry.discover() as reg:
        for _ in range(2):
            with pytest.raises(NoEligibleModel, match="No model is configured"):
                reg.chat("hello")
