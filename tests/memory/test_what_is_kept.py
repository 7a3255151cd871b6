"""What may be put into a memory, how it comes back, and what is refused with a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics import InvalidInput, MemoryStoreError
from sekha_magics.core.folders import inside
from sekha_magics.memory.checks import check_folder
from sekha_magics.memory.store import Memory
from sekha_magics.memory.vector_tables import VectorTable, check_vectors, table_name

from .models import Models

HOSTILE = (
    "with a NUL \x00 in it",
    "half a surrogate \ud800 pair",
    "<script>alert(1)</script> \x1b[31m",
    "'; DROP TABLE messages; --",
    '"quoted" AND (OR NEAR NOT * ^ : -',
    "line\r\nends\u2028everywhere",
    "\N{GRINNING FACE} e\u0301 \u05d0\u05d1",
)


@pytest.fixture
def models() -> Models:
    return Models({"m": 8})


@pytest.fixture
def memory(tmp_path: Path, models: Models) -> Iterator[Memory]:
    memory = models.memory(tmp_path / "memory")
    yield memory
    memory.close()


def test_a_text_gives_an_id_and_texts_a_list_of_them(memory: Memory) -> None:
    one = memory.add("one")
    two = memory.add(pd.Series(["two", "three"]), conversation="talk", role="assistant")
    assert isinstance(one, str) and len({one, *two}) == 3
    kept = memory.messages()
    assert list(kept["message_id"]) == [one, *two]
    assert list(kept["content"]) == ["one", "two", "three"]
    assert list(kept["conversation"]) == ["notes", "talk", "talk"]
    assert list(kept["role"]) == ["user", "assistant", "assistant"]
    assert str(kept["ts"].dtype).endswith("UTC]")
    assert list(memory.messages("talk")["message_id"]) == two
    assert list(memory.conversations()["messages"]) == [1, 2]
    assert memory.add([]) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back_as_it_was_and_is_found(memory: Memory, text: str) -> None:
    memory.add("something else")
    memory.add([text], conversation="talk")
    (kept,) = memory.messages("talk")["content"]
    assert kept == text.replace("\ud800", "\ufffd")
    assert memory.flush() == 0
    found = memory.search(text, 1)
    assert list(found["content"]) == [kept]
    assert "\n" not in found["snippet"].iloc[0]
    memory.delete(conversation="talk")
    assert memory.search(text, mode="text").empty


def test_a_text_of_five_megabytes_is_kept_whole_and_found(memory: Memory, models: Models) -> None:
    text = "needle " + "hay " * 1_250_000
    memory.add(text)
    assert memory.flush() == 0
    assert memory.messages()["content"][0] == text
    assert len(memory.search("needle")) == 1
    assert len(memory.search(text)) == 1
    assert max(len(text) for _, texts in models.asked for text in texts) < 10_000


WORDS = st.text(st.characters(codec=None), max_size=60)


@settings(max_examples=60, deadline=None)
@given(texts=st.lists(WORDS.filter(str.strip), min_size=1, max_size=4), query=WORDS.filter(str.strip))
def test_any_text_is_kept_and_any_query_is_answered(tmp_path_factory: Any, texts: list[str], query: str) -> None:
    memory = Models({"m": 8}).memory(tmp_path_factory.mktemp("any"))
    memory.add(texts)
    assert memory.flush() == 0
    assert len(memory.search(query, 10)) == len(texts)
    memory.search(query, 10, "text")
    assert memory.delete(conversation="notes") == len(texts)
    memory.close()


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"text": ""}, "Text 0 is empty"),
        ({"text": ["good", " \n"]}, "Text 1 is empty"),
        ({"text": ["good", None]}, "Text 1 is a NoneType"),
        ({"text": 3}, "text is a int"),
        ({"text": b"bytes"}, "text is a bytes"),
        ({"text": {"a": "b"}}, "text is a dict"),
        ({"conversation": ""}, "conversation is ''"),
        ({"conversation": 3}, "conversation is 3"),
        ({"conversation": "two\nlines"}, "conversation is"),
        ({"conversation": "x" * 301}, "conversation is"),
        ({"role": "wizard"}, "role is 'wizard'"),
        ({"role": None}, "role is None"),
        ({"folder": "no/slash"}, "folder is 'no/slash'"),
        ({"folder": "/a/../b"}, "folder is '/a/../b'"),
        ({"folder": "/a//b"}, "folder is '/a//b'"),
        ({"folder": "/a/./b"}, "folder is"),
        ({"folder": "/a\x00"}, "folder is"),
        ({"folder": 3}, "folder is 3"),
        ({"label": ""}, "label is ''"),
        ({"label": ["a"]}, "label is"),
        ({"importance": 0}, "importance is 0"),
        ({"importance": 11}, "importance is 11"),
        ({"importance": True}, "importance is True"),
        ({"importance": 5.5}, "importance is 5.5"),
        ({"model": ""}, "model is ''"),
    ],
)
def test_what_cannot_be_kept_is_refused_and_nothing_of_it_is_kept(
    memory: Memory, given: dict[str, Any], names: str
) -> None:
    with pytest.raises(InvalidInput, match=names) as caught:
        memory.add(**{"text": "good", **given})
    assert caught.value.hint
    assert memory.messages().empty and memory.conversations().empty


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"query": ""}, "query is ''"),
        ({"query": None}, "query is None"),
        ({"query": 3}, "query is 3"),
        ({"k": 0}, "k is 0"),
        ({"k": -1}, "k is -1"),
        ({"k": True}, "k is True"),
        ({"k": 2.0}, "k is 2.0"),
        ({"k": 10**30}, "k is 1000"),
        ({"mode": "telepathy"}, "mode is 'telepathy'"),
        ({"mode": ["text"]}, "mode is"),
        ({"folder": "work"}, "folder is 'work'"),
        ({"exclude": ["/uni", "../x"]}, "exclude is '../x'"),
        ({"exclude": 3}, "exclude is 3"),
        ({"exclude": b"/a"}, "exclude is"),
        ({"label": 3}, "label is 3"),
        ({"models": "nobody"}, "There are no vectors of 'nobody'"),
        ({"models": [3]}, "Text 0 is a int"),
        ({"archived": 1}, "archived is 1"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(memory: Memory, given: dict[str, Any], names: str) -> None:
    memory.add("something")
    memory.flush()
    with pytest.raises(InvalidInput, match=names) as caught:
        memory.search(**{"query": "good", **given})
    assert caught.value.hint


def test_an_empty_memory_answers_everything_with_nothing_and_makes_no_file(memory: Memory) -> None:
    for mode in ("hybrid", "vector", "text"):
        found = memory.search("anything", mode=mode)
        assert found.empty and found.attrs["skipped"] == {}
        assert {"score", "ranks", "snippet", "content", "age", "message_id"} <= set(found.columns)
    assert memory.messages().empty and memory.conversations().empty and memory.folders() == []
    assert memory.sql("SELECT count(*) AS n FROM messages")["n"][0] == 0
    assert memory.stats()["count"].sum() == 0
    assert memory.fold()
    assert not memory.path.exists()


def test_a_message_inherits_from_its_conversation_unless_it_has_its_own(memory: Memory) -> None:
    memory.add("first", conversation="c", folder="/a/b/", label="x", importance=8)
    memory.add("same", conversation="c", folder="/a/b", label="x")
    memory.add("own", conversation="c", folder="/c", importance=2)

    def rows() -> list[tuple[Any, ...]]:
        return list(memory.messages()[["content", "folder", "label", "importance"]].itertuples(index=False, name=None))

    assert rows() == [("first", "/a/b", "x", 8), ("same", "/a/b", "x", 8), ("own", "/c", "x", 2)]
    memory.set_conversation("c", folder="/z", label=None, importance=1, pinned=True)
    assert rows() == [("first", "/z", None, 1), ("same", "/z", None, 1), ("own", "/c", None, 2)]
    assert list(memory.conversations()["pinned"]) == [True]
    assert memory.folders() == ["/c", "/z"]
    memory.set_message(memory.messages()["message_id"][2], folder=None, label="mine")
    assert rows()[2] == ("own", "/z", "mine", 2)
    found = memory.search("own", mode="text")
    assert (found["folder"][0], found["label"][0], found["pinned"][0]) == ("/z", "mine", True)
    assert memory.search("own", mode="text", label="mine")["content"].tolist() == ["own"]


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({}, "nothing to set"),
        ({"colour": "red"}, "'colour' cannot be set"),
        ({"name; DROP TABLE messages": 1}, "cannot be set"),
        ({"pinned": "yes"}, "pinned is 'yes'"),
        ({"folder": "x"}, "folder is 'x'"),
        ({"content": "x"}, "'content' cannot be set"),
        ({"folder": None}, "folder is None"),
        ({"importance": None}, "importance is None"),
    ],
)
def test_what_cannot_be_set_of_a_conversation_is_refused(memory: Memory, fields: dict[str, Any], names: str) -> None:
    memory.add("something")
    with pytest.raises(InvalidInput, match=names):
        memory.set_conversation("notes", **fields)


def test_what_is_not_there_cannot_be_changed_or_deleted(memory: Memory) -> None:
    kept = memory.add("something")
    with pytest.raises(InvalidInput, match="no conversation 'plans'"):
        memory.set_conversation("plans", label="x")
    with pytest.raises(InvalidInput, match="no conversation 'plans'"):
        memory.delete(conversation="plans")
    with pytest.raises(InvalidInput, match="no message 'x'"):
        memory.delete(message=[kept, "x"])
    with pytest.raises(InvalidInput, match="no message 'x'"):
        memory.set_message("x", content="y")
    with pytest.raises(InvalidInput, match="Name a conversation or a message"):
        memory.delete()
    assert list(memory.messages()["message_id"]) == [kept]


@given(
    st.lists(st.sampled_from(["a", "b", "ab", "a b"]), max_size=4), st.lists(st.sampled_from(["a", "ab"]), max_size=3)
)
def test_folders_match_by_whole_segments(path: list[str], parent: list[str]) -> None:
    one, other = (check_folder("/" + "/".join(parts)) for parts in (path, parent))
    assert inside(one, other) == (path[: len(parent)] == parent)


def test_keys_are_removed_from_what_is_kept(tmp_path: Path, models: Models) -> None:
    memory = models.memory(tmp_path, redact=lambda text: text.replace("hunter2", "***"))
    kept = memory.add("my password is hunter2", conversation="about hunter2")
    memory.set_message(kept, content="still hunter2")
    assert memory.messages()[["content", "conversation"]].to_numpy().tolist() == [["still ***", "about ***"]]
    memory.close()


def test_a_disk_that_refuses_is_an_error_with_a_way_out(tmp_path: Path, models: Models) -> None:
    (tmp_path / "file").write_text("not a folder")
    memory = models.memory(tmp_path / "file")
    with pytest.raises(MemoryStoreError, match=r"memory\.path"):
        memory.add("x")
    with pytest.warns(UserWarning, match="not in the memory"):
        memory.keep_turn("c", (), "an answer that was paid for")


# --- tables of vectors ------------------------------------------------------------------------------


def test_names_of_tables_say_dimension_and_model_and_never_collide() -> None:
    assert table_name(768, "nomic-embed-text", set()) == "embeddings_768_nomic_embed_text"
    first = table_name(8, "a/b:c", set())
    second = table_name(8, "a.b.c", {first})
    assert first == "embeddings_8_a_b_c" and second.startswith("embeddings_8_a_b_c_") and first != second
    for odd in ("", "中文", "..", "x" * 500, "'; DROP TABLE x"):
        assert table_name(8, odd, set()).replace("_", "").isalnum()
    assert table_name(8, "中", set()) != table_name(8, "文", set())


@pytest.mark.parametrize(
    ("vectors", "says"),
    [
        (np.ones((2, 7)), r"\[2, 7\] do not fit the table embeddings_8_m, which takes 2 vectors of dimension 8"),
        (np.ones((1, 8)), r"\[1, 8\] do not fit"),
        (np.ones(8), r"\[8\] do not fit"),
        (np.array([[1.0] * 8, [np.nan] * 8]), "NaN"),
        (np.array([[1.0] * 8, [np.inf] * 8]), "infinite"),
        (np.array([[1.0] * 8, [0.0] * 8]), "zero throughout"),
    ],
)
def test_vectors_that_cannot_be_compared_are_refused(vectors: Any, says: str) -> None:
    with pytest.raises(MemoryStoreError, match=says):
        check_vectors(VectorTable(1, 8, "m", "embeddings_8_m"), vectors, 2)
