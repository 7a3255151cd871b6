"""The memory as a registry uses it: named conversations, routing, ledger, budgets, cassettes, a kernel that ends."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from sekha_magics import Registry

from .registries import EMBEDDED, STAGE, registry, scripted

ROOT = Path(__file__).parents[2]


def test_a_named_conversation_is_kept_whole_and_found_by_meaning() -> None:
    pytest.importorskip("wordllama")
    with registry(EMBEDDED) as reg:
        reg.chat("The kitten slept on the sofa.", conversation="pets", system="Be brief.")
        reg.chat("Interest rates rose again.", conversation="money")
        reg.chat("Nobody keeps this.")
        reg.chat("Nor this.", conversation="pets", log=False)
        kept = reg.memory.messages("pets")
        assert list(kept["role"]) == ["user", "assistant"]
        assert list(kept["content"]) == ["The kitten slept on the sofa."] * 2
        assert list(reg.memory.conversations()["conversation"]) == ["pets", "money"]
        assert reg.memory.flush() == 0
        found = reg.memory.search("a cat on the couch", 2, "vector")
        assert set(found["conversation"]) == {"pets"}
        assert found["ranks"][0] == {"embeddings_256_wordllama_256": 1}


def test_nothing_is_kept_unless_memory_is_on_but_what_is_added() -> None:
    with registry(scripted(), enabled=False) as reg:
        reg.chat("hello", conversation="pets")
        assert reg.memory.messages().empty
        reg.memory.add("by hand")
        assert reg.memory.flush() == 0
        assert list(reg.memory.search("hand")["content"]) == ["by hand"]


async def _achat(reg: Registry) -> None:
    await reg.achat("one", conversation="c")
    async for _ in reg.astream("two", conversation="c"):
        pass


def test_every_way_to_ask_keeps_the_conversation() -> None:
    with registry(scripted()) as reg:
        asyncio.run(_achat(reg))
        assert list(reg.memory.messages("c")["content"]) == ["one", "one", "two", "two"]


def test_embedding_is_routed_paid_for_and_logged_like_any_call() -> None:
    failing = {**scripted("broken", fail={"status": 401}), "priority": 1}
    with registry(failing, scripted("sound")) as reg:
        reg.memory.add(["some words", "more words"])
        assert reg.memory.flush() == 0
        decisions = reg.ledger.decisions()
        assert set(decisions["source"]) == {"embed"} and set(decisions["task"]) == {"embedding"}
        calls = reg.ledger.calls()
        assert list(calls["provider_id"])[:2] == ["at_broken", "at_sound"]
        assert reg.ledger.costs()["cost_usd"].sum() > 0
        assert "embeddings_64_sound" in reg.memory.stats()["what"].tolist()


def test_a_budget_that_is_spent_leaves_texts_waiting() -> None:
    with registry(scripted(), budget={"session": 0}) as reg:
        reg.memory.add("some words")
        assert reg.memory.flush() == 1
        waiting = reg.memory.stats().set_index("what").loc["waiting for a vector", "detail"]
        assert "budget" in waiting
        assert len(reg.memory.search("words")) == 1
        reg.budget.set(session=1)
        assert reg.memory.flush() == 0


def test_the_second_of_two_models_down_is_said_and_the_first_answers() -> None:
    with registry(scripted("one"), scripted("two", fail={"status": "connection", "times": None, "after": 0})) as reg:
        ids = reg.memory.add(["alpha beta", "gamma delta"])
        assert reg.memory.flush() == 0
        assert reg.memory.add_vectors("two", ids, [[1.0] * 8, [2.0] * 8]) == 2
        found = reg.memory.search("alpha", mode="vector")
        assert found["content"][0] == "alpha beta"
        assert "as scripted" in found.attrs["skipped"]["two"]


def test_a_recorded_notebook_embeds_the_same_texts_when_it_is_replayed(tmp_path: Path, own_directories: Path) -> None:
    tape = tmp_path / "tape.jsonl"

    def work(reg: Registry) -> list[str]:
        reg.memory.add(["alpha beta", "gamma delta", "epsilon zeta"])
        reg.memory.add("eta theta")
        assert reg.memory.flush() == 0
        found = reg.memory.search("gamma", 2)
        reg.close()
        return list(found["content"])

    recorded = registry(scripted())
    recorded.use_cassette(tape, "record")
    first = work(recorded)
    for file in (own_directories / "memory").glob("*.*"):
        file.unlink()
    assert work(Registry.replaying(tape)) == first


def test_a_memory_that_cannot_be_written_costs_no_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    reg = Registry.from_dict({"llm_providers": [STAGE], "memory": {"enabled": True, "path": str(tmp_path / "file/in")}})
    with reg, pytest.warns(UserWarning, match="This turn is not in the memory"):
        assert reg.chat("hello", conversation="c").text == "hello"


LEAVES = """
from tests.memory.registries import registry, scripted
reg = registry(scripted(delay=30))
reg.chat("said before the end", conversation="last")
print("kept", flush=True)
"""


def test_a_kernel_that_ends_leaves_nothing_behind_but_work_for_the_next() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAVES], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "kept\n", "")
    with registry(scripted()) as reg:
        assert list(reg.memory.messages("last")["content"]) == ["said before the end"] * 2
        assert reg.memory.flush() == 0
        assert len(reg.memory.search("anything", mode="vector")) == 2
