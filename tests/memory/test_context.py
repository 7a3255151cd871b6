"""What of the memory is chosen for a question, in which order, and what is never chosen."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekha_magics.errors import InvalidInput
from sekha_magics.memory.store import Memory

from .models import Models


@pytest.fixture
def models() -> Models:
    return Models({"m": 32})


@pytest.fixture
def memory(models: Models, tmp_path: Path) -> Iterator[Memory]:
    memory = models.memory(tmp_path / "memory")
    yield memory
    memory.close()


def said(context: Any) -> list[str]:
    return [json.loads(line)["text"] for line in context.text.splitlines()[1:-2]]


def date_of(memory: Memory, message: str, ts: str) -> None:
    """As if it had been said then; an import is the other way to get there."""
    with sqlite3.connect(memory.path / "memory.sqlite") as connection:
        connection.execute("UPDATE messages SET ts = ? WHERE message_id = ?", (ts, message))
    connection.close()


def test_similarity_importance_and_recency_make_the_order_and_are_shown(memory: Memory) -> None:
    old = memory.add("the exam is in May", conversation="old")
    memory.add("the exam is in June", conversation="dear", importance=10)
    memory.add("the exam is in July", conversation="new")
    date_of(memory, old, "2020-01-01T00:00:00+00:00")
    frame = memory.context("when is the exam", 2000).to_frame()
    assert list(frame.columns) == [
        "message_id", "conversation", "folder", "role", "ts", "pinned", "score", "similarity", "importance",
        "recency", "tokens", "cut",
    ]  # fmt: skip
    row = frame.set_index("conversation")
    assert row.loc["old", "recency"] == 0 and row.loc["new", "recency"] == 1
    assert row.loc["dear", "importance"] == 1.0 and row.loc["old", "importance"] == 0.5
    sums = 0.5 * frame["similarity"] + 0.25 * frame["importance"] + 0.25 * frame["recency"]
    assert (abs(sums - frame["score"]) < 1e-3).all()
    assert list(frame["score"]) == sorted(frame["score"], reverse=True)


def test_pinned_is_first_even_where_no_word_fits(memory: Memory) -> None:
    memory.add("the exam is in May", conversation="exam")
    memory.add("call me Ada", conversation="me")
    memory.set_conversation("me", pinned=True)
    context = memory.context("when is the exam", 2000)
    assert said(context) == ["call me Ada", "the exam is in May"]
    assert context.quoted[0].pinned


@pytest.mark.parametrize("exclude", ["/private", ["/elsewhere", "/private/"], ["/"]])
def test_an_excluded_folder_gives_nothing_not_even_what_is_pinned(memory: Memory, exclude: Any) -> None:
    memory.add("the exam is in May", conversation="a", folder="/private")
    memory.add("the exam is in June", conversation="b", folder="/private/deep")
    memory.set_conversation("b", pinned=True)
    memory.add("the exam is in July", conversation="c", folder="/privateer")
    memory.add("the exam is in August", conversation="c", folder="/private")
    kept = [] if exclude == ["/"] else ["the exam is in July"]
    assert said(memory.context("the exam", 2000, exclude)) == kept


def test_what_is_archived_or_deleted_is_not_quoted(memory: Memory) -> None:
    memory.add("the exam is in May", conversation="a")
    memory.set_conversation("a", archived=True, pinned=True)
    memory.delete(message=memory.add("the exam is in June", conversation="b"))
    assert memory.context("the exam", 2000).text == ""


def test_what_the_model_sees_already_is_not_said_again(memory: Memory) -> None:
    memory.add(["The exam is in May.", "the EXAM  is in june", "It is hard."])
    assert memory.flush() == 0
    seen = "You said: the exam is in May. And\nthe exam is in June?"
    context = memory.context("the exam", 2000, seen=seen)
    assert said(context) == ["It is hard."]


def test_a_model_out_of_reach_is_named_and_words_are_found(memory: Memory, models: Models) -> None:
    memory.add("the exam is in May")
    assert memory.flush() == 0
    models.down.add("m")
    context = memory.context("exam", 2000)
    assert said(context) == ["the exam is in May"] and "cannot be reached" in context.skipped["m"]


def test_an_empty_memory_gives_nothing_and_makes_no_file(models: Models, tmp_path: Path) -> None:
    memory = models.memory(tmp_path / "none")
    context = memory.context("exam", 2000)
    assert (str(context), context.quoted, len(context.to_frame())) == ("", (), 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", 100), "query"),
        ((7, 100), "query"),
        (("x", 0), "token_budget"),
        (("x", -1), "token_budget"),
        (("x", True), "token_budget"),
        (("x", 1.5), "token_budget"),
        (("x", 10**9), "token_budget"),
        (("x", 100, "private"), "exclude"),
        (("x", 100, 7), "exclude"),
        (("x", 100, ["/a", "/b/../c"]), "exclude"),
    ],
)
def test_arguments_that_make_no_sense_say_what_would(memory: Memory, arguments: tuple[Any, ...], says: str) -> None:
    with pytest.raises(InvalidInput, match=says) as error:
        memory.context(*arguments)
    assert error.value.hint


def test_a_huge_text_and_a_strange_query_are_quoted_in_bounds(memory: Memory) -> None:
    memory.add("exam " * 100_000)
    for query in ("exam", "\ud800 exam", 'exam" OR 1', "exam " * 10_000):
        context = memory.context(query, 400)
        assert len(context.quoted) == 1 and context.quoted[0].cut
        assert sum(q.tokens for q in context.quoted) < 400
