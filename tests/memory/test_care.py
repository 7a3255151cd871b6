"""Pruning and reindexing: said before it is done, done whole or to be gone on with."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import filelock
import pytest

from sekha_magics.errors import ConnectionFailed, InvalidInput, MemoryStoreError
from sekha_magics.memory.store import Memory

from .models import Models, Vectors
from .registries import registry, scripted
from .test_many_at_once import process


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Memory]:
    memory = Models({"m": 8}).memory(tmp_path / "memory")
    yield memory
    memory.close()


def aged(memory: Memory) -> None:
    """Conversations `old`, `dear` (important), `pinned` and `mixed` of 2020, and `new` of today."""
    for name in ("old", "dear", "pinned", "mixed"):
        memory.add(f"said in {name}", conversation=name, folder="/past")
    memory.add("in two folders", conversation="mixed", folder="/now")
    memory.add("a dear one", conversation="dear", importance=9)
    memory.set_conversation("pinned", pinned=True)
    connection = sqlite3.connect(memory.path / "memory.sqlite")
    with connection:
        connection.execute("UPDATE messages SET ts = '2020-01-01T00:00:00+00:00'")
    connection.close()
    memory.add("said in new", conversation="new", folder="/past")


@pytest.mark.parametrize(
    ("rules", "going"),
    [
        ({"older_than": 365}, ["old", "dear", "mixed"]),
        ({"older_than": timedelta(days=365), "importance": 5}, ["old", "mixed"]),
        ({"folder": "/past"}, ["old", "dear", "new"]),
        ({"folder": "/past", "older_than": 365, "importance": 8}, ["old"]),
        ({"folder": "/pas"}, []),
        ({"importance": 10}, ["old", "dear", "mixed", "new"]),
    ],
)
def test_what_goes_is_said_first_and_then_goes(memory: Memory, rules: dict[str, Any], going: list[str]) -> None:
    aged(memory)
    said = memory.prune(**rules)
    assert list(said["conversation"]) == going and said.attrs == {"action": "archive", "done": False}
    assert not memory.conversations()["archived"].any()
    assert list(memory.prune(**rules, dry_run=False)["conversation"]) == going
    shown = memory.conversations().set_index("conversation")["archived"]
    assert [name for name in shown.index if shown[name]] == going
    assert memory.prune(**rules).empty
    assert list(memory.prune(**rules, action="delete", dry_run=False)["conversation"]) == going
    assert set(memory.names()) == {"old", "dear", "pinned", "mixed", "new"} - set(going)


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        ({}, "Nothing says what is to go"),
        ({"older_than": -1}, "older_than"),
        ({"older_than": "a year"}, "older_than"),
        ({"importance": 0}, "importance"),
        ({"folder": "past"}, "folder"),
        ({"folder": "/", "action": "burn"}, "action is 'burn'"),
        ({"folder": "/", "dry_run": 0}, "dry_run is 0"),
    ],
)
def test_rules_that_make_no_sense_say_what_would(memory: Memory, rules: dict[str, Any], says: str) -> None:
    memory.add("stays")
    with pytest.raises(InvalidInput, match=says) as error:
        memory.prune(**rules)
    assert error.value.hint and len(memory.messages()) == 1


@dataclass
class Stopping(Models):
    """Stops with `error` at the call of that number."""

    stop_at: int = 0
    error: BaseException | None = None
    calls: int = 0

    def embed(self, texts: Sequence[str], model: str | None) -> Vectors:
        if model == "new":
            self.calls += 1
            if self.error is not None and self.calls == self.stop_at:
                raise self.error
        return super().embed(texts, model)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ConnectionFailed("gone")])
def test_what_is_interrupted_goes_on_in_another_kernel_and_nothing_is_embedded_twice(
    tmp_path: Path, error: BaseException
) -> None:
    models = Stopping({"old": 8, "new": 16}, stop_at=3, error=error)
    memory = models.memory(tmp_path)
    memory.add([f"note {n}" for n in range(500)])
    assert memory.flush() == 0
    planned = memory.reindex("new", dry_run=True)
    assert (planned.messages, planned.done) == (500, 0) and planned.tokens >= 1000
    with pytest.raises(type(error)):
        memory.reindex("new")
    memory.close()
    again = models.memory(tmp_path)
    assert again.reindex("new", dry_run=True).messages == 500 - 2 * 128
    done = again.reindex("new")
    assert (done.done, done.messages) == (500 - 2 * 128, 0)
    asked = [text for model, texts in models.asked for text in texts if model == "new"]
    assert sorted(asked) == sorted(set(asked)) and len(asked) == 500
    assert again.reindex("new").done == 0
    assert len(again.search("note", 1000, "vector", models="new")) == 500
    assert len(again.search("note", 1000, "vector", models="old")) == 500
    again.close()


def test_a_kernel_that_is_killed_costs_one_batch_at_most(tmp_path: Path) -> None:
    models = Models({"old": 8, "new": 16})
    memory = models.memory(tmp_path)
    memory.add([f"note {n}" for n in range(700)])
    assert memory.flush() == 0
    with ExitStack() as stack:
        doomed = process(stack, "reindex_until_killed", tmp_path)
        asked = [doomed.stdout.readline().strip() for _ in range(300)]
        doomed.kill()
        asked += doomed.stdout.read().split("\n")[:-1]
    assert memory.reindex("new").messages == 0
    twice = set(asked) & {text for model, texts in models.asked for text in texts if model == "new"}
    assert len(twice) <= 128
    assert len(memory.search("note", 1000, "vector", models="new")) == 700
    memory.close()


def test_what_waits_for_a_model_that_is_gone_gets_vectors_of_the_new_one(tmp_path: Path) -> None:
    models = Models({"gone": 8, "new": 16})
    models.down.add("gone")
    memory = models.memory(tmp_path)
    memory.add(["one", "two", "refuse me"])
    assert memory.flush() == 3
    done = memory.reindex("new")
    assert (done.done, done.messages) == (2, 1)
    assert len(memory.search("one", 10, "vector")) == 2
    memory.close()


def test_two_kernels_do_not_reindex_at_once(memory: Memory) -> None:
    memory.add("x")
    with filelock.FileLock(memory.path / "reindex.lock"), pytest.raises(MemoryStoreError, match="Another kernel"):
        memory.reindex("m")


@pytest.mark.parametrize("model", ["unknown", "", 7, None])
def test_a_model_that_nobody_serves_is_an_error_that_names_those_there_are(memory: Memory, model: Any) -> None:
    for dry_run in (True, False):
        with pytest.raises(InvalidInput) as error:
            memory.reindex(model, dry_run=dry_run)
        assert error.value.hint


def test_the_price_is_that_of_the_model_and_is_what_is_paid() -> None:
    with registry(scripted("first"), scripted("second", dimension=32)) as reg:
        reg.memory.add([f"note number {n} about the sea" for n in range(300)])
        assert reg.memory.flush() == 0
        planned = reg.memory.reindex("second", dry_run=True)
        assert planned.messages == 300 and planned.price_usd and planned.price_usd > 0
        assert "second" not in set(reg.ledger.decisions()["model_id"])
        assert reg.memory.reindex("second").done == 300
        costs = reg.ledger.calls().query("model_id == 'second'")["cost_usd"].sum()
        assert Decimal("0.5") < costs / planned.price_usd < 2
        free = {**scripted("third"), "models": [{"model_id": "third", "tasks": ["embedding"], "dimension": 8}]}
        reg.register_provider(free)
        assert reg.memory.reindex("third", dry_run=True).price_usd in (None, 0)
