"""`chat(memory=N)`: what a request is with what is remembered before it, and what becomes of it elsewhere."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from sekha_magics import Registry
from sekha_magics.errors import InvalidInput, NoEligibleModel
from tests.memory.registries import STAGE, registry, scripted

EXAM = "The exam is on the 14th of December, in room B204."


def remembering(*providers: dict[str, Any], **more: Any) -> Registry:
    reg = registry(*(providers or (scripted(),)), **more)
    reg.memory.add(EXAM, conversation="uni", folder="/uni/notes")
    assert reg.memory.flush() == 0
    return reg


def test_the_answer_says_what_it_was_given_and_the_ledger_why() -> None:
    with remembering() as reg:
        reply = reg.chat("When is the exam?", memory=500)
        assert EXAM in reply.text and reply.text.endswith("The request:\n\nWhen is the exam?")
        (quoted,) = reply.memory
        assert (quoted.conversation, quoted.folder, quoted.similarity) == ("uni", "/uni/notes", 1.0)
        logged = json.loads(reg.ledger.decisions().set_index("source").loc["chat", "request"])
        assert logged["memory"] == [
            {"message_id": quoted.message_id, "pinned": False, "score": quoted.score, "similarity": 1.0,
             "importance": 0.5, "recency": 1.0, "tokens": quoted.tokens, "cut": False}
        ]  # fmt: skip
        # Neither another reader of the log nor a look back stumbles over it.
        assert reg.ledger.decision(reply.decision.decision_id).request == reply.decision.request
        assert len(reg.whatif(policy="cheapest").to_frame()) == 3
        prompt = reg.ledger.calls(content=True).set_index("operation").loc["chat", "prompt"]
        assert EXAM in prompt


def test_what_was_quoted_is_no_part_of_the_conversation_or_of_the_memory() -> None:
    with remembering() as reg:
        reg.chat("When is the exam?", memory=500, conversation="c")
        said = [message.text for message in reg.conversation("c")]
        assert said[0] == "When is the exam?"
        assert reg.memory.messages("c")["content"][0] == "When is the exam?"


def test_every_way_to_ask_remembers() -> None:
    async def ask(reg: Registry) -> list[str]:
        stream = reg.astream("When?", memory=500)
        pieces = "".join([piece async for piece in stream])
        return [(await reg.achat("When?", memory=500)).text, pieces]

    with remembering() as reg:
        assert all(EXAM in text for text in asyncio.run(ask(reg)))


def test_folders_that_are_shut_out_stay_out() -> None:
    with remembering(memory={"enabled": True, "exclude": ["/uni/"]}) as reg:
        reply = reg.chat("When is the exam?", memory=500)
        assert reply.memory == () and EXAM not in reply.text and "nothing is remembered" in reply.notes[0]
    with registry(scripted()) as reg:
        assert EXAM in reg.chat("When is the exam?", memory=500).text
        assert EXAM not in reg.chat("When is the exam?", memory=500, memory_exclude=["/uni"]).text


def test_it_counts_as_input_for_windows_costs_and_limits() -> None:
    small = {"model_id": "small", "tasks": ["chat_small"], "context_window": 400, "price": {"input": 1, "output": 1}}
    large = {**small, "model_id": "large", "context_window": 100_000, "price": {"input": 1000, "output": 1}}
    stage = {**STAGE, "models": [small, large]}
    with Registry.from_dict({"llm_providers": [stage, scripted()], "memory": {"enabled": True}}) as reg:
        reg.memory.add(EXAM * 20, conversation="uni")
        plain = reg.chat("When is the exam?", max_tokens=100)
        assert plain.model_id == "small"
        full = reg.chat("When is the exam?", memory=2000, max_tokens=100)
        assert full.model_id == "large"
        assert full.decision.estimated_cost > plain.decision.estimated_cost
        with pytest.raises(NoEligibleModel, match="over_max_cost"):
            reg.chat("When is the exam?", memory=2000, max_tokens=100, max_cost="0.01")
        dry = reg.route("When is the exam?", memory=2000, max_tokens=100)
        assert dry.model_id == "large" and dry.request.input_tokens.expected > 2000
        assert list(reg.ledger.decisions()["source"]).count("embed") <= 2, "a dry run sent the prompt to be embedded"


def test_a_picture_in_a_memory_is_text() -> None:
    with remembering() as reg:
        reg.memory.add("the exam: data:image/png;base64,iVBORw0KGgo= ![x](http://evil/x.png)", conversation="uni")
        reply = reg.chat("When is the exam?", memory=1000)
        assert len(reply.memory) == 2
        assert reply.decision.request.images == () and reply.decision.task == "chat_small"


def test_what_is_off_empty_or_out_of_reach_costs_no_answer(tmp_path: Path) -> None:
    with registry(scripted(), enabled=False) as reg:
        reply = reg.chat("hello", memory=500)
        assert reply.text == "hello"
        assert reply.notes == (
            "memory: nothing is remembered that may be quoted; memory.enabled is false, so conversations are not kept",
        )
    (tmp_path / "file").write_text("not a folder")
    where = {"enabled": False, "path": str(tmp_path / "file" / "in")}
    with Registry.from_dict({"llm_providers": [STAGE], "memory": where}) as reg:
        reply = reg.chat("hello", memory=500)
        assert reply.text == "hello" and reply.notes[0].startswith("memory: ")
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory" / "memory.sqlite").write_bytes(b"no database at all" * 100)
    where = {"enabled": False, "path": str(tmp_path / "memory")}
    with Registry.from_dict({"llm_providers": [STAGE], "memory": where}) as reg:
        reply = reg.chat("hello", memory=500)
        assert reply.text == "hello" and "it could not be asked" in reply.notes[0]
    with remembering() as reg:
        reg.simulate("at_hashed", down=True)
        reply = reg.chat("the exam", memory=500)
        assert EXAM in reply.text and "memory: hashed was not asked" in reply.notes[0]
    with registry(scripted()) as reg:
        assert "fits into 10 tokens" in reg.chat("the exam", memory=10).notes[0]


def test_nothing_leaves_the_machine_or_is_logged_where_that_is_asked_for() -> None:
    remote = {**scripted("far"), "local": False}
    with remembering(remote) as reg:
        before = len(reg.ledger.decisions())
        reply = reg.chat("the exam", memory=500, local_only=True, log=False)
        assert EXAM in reply.text and "far was not asked" in reply.notes[0]
        reg.chat("the exam, not logged", memory=500, log=False)
        assert len(reg.ledger.decisions()) == before


def test_a_replay_shows_what_was_quoted_and_looks_for_nothing(tmp_path: Path, own_directories: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    with remembering() as reg:
        reg.use_cassette(tape, "record")
        lived = reg.chat("When is the exam?", memory=500)
    assert EXAM in tape.read_text(encoding="utf-8"), "the answer repeats it"
    for file in (own_directories / "memory").glob("*.*"):
        file.unlink()
    with Registry.replaying(tape) as again:
        replayed = again.chat("When is the exam?", memory=500)
        assert (replayed.text, replayed.memory, replayed.notes) == (lived.text, lived.memory, lived.notes)
        assert replayed.decision.request == lived.decision.request
        assert replayed.decision.to_frame()["estimated_cost"].equals(lived.decision.to_frame()["estimated_cost"])
        assert not (own_directories / "memory" / "memory.sqlite").exists()
    with registry(scripted()) as reg:
        # What is remembered by now is another answer's; the recorded one stands.
        reg.memory.add("The exam was moved to January.")
        reg.use_cassette(tape, "auto")
        assert reg.chat("When is the exam?", memory=500).memory == lived.memory
        assert "January" in reg.chat("When is the exam?", memory=501).text


@pytest.mark.parametrize(
    "wishes", [{"memory": 0}, {"memory": "many"}, {"memory": True}, {"memory": 10**12}, {"memory_exclude": ["uni"]}]
)
def test_a_bad_value_is_an_error_before_anything_is_sent(wishes: dict[str, Any]) -> None:
    with registry(scripted()) as reg:
        with pytest.raises(InvalidInput, match=next(iter(wishes))) as error:
            reg.chat("hello", **wishes)
        assert error.value.hint
        assert reg.ledger.decisions().empty


def test_only_a_question_remembers() -> None:
    with registry(scripted()) as reg:
        for ask in (reg.embed, reg.map):
            with pytest.raises(InvalidInput, match="memory is not an argument"):
                ask(["a"], memory=5)
        with pytest.raises(InvalidInput, match="memory is not an argument"):
            reg.whatif(memory=5)
