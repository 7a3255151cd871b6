"""Several embedding models on one memory, some out of reach: each ranks its own vectors, and none waits for another."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

from sekha_magics import InvalidInput, MemoryStoreError
from sekha_magics.memory.archive import content_hash
from sekha_magics.memory.search import fuse
from sekha_magics.memory.store import Memory

from .models import Models, vector


@pytest.fixture
def models() -> Models:
    return Models({"one": 64, "two": 64, "three": 32})


@pytest.fixture
def memory(tmp_path: Path, models: Models) -> Iterator[Memory]:
    memory = models.memory(tmp_path)
    yield memory
    memory.close()


def filled(memory: Memory, each: int = 20) -> None:
    for model in ("one", "two", "three"):
        memory.add([f"{model} {i}" for i in range(each)], conversation=model, model=model)
    assert memory.flush() == 0


def test_every_model_and_dimension_has_a_table_of_its_own(memory: Memory) -> None:
    filled(memory)
    tables = memory.stats()["what"].tolist()[4:]
    assert tables == ["embeddings_64_one", "embeddings_64_two", "embeddings_32_three"]
    assert memory.fold()
    assert sorted(p.name for p in memory.path.glob("*.duckdb")) == sorted(f"{name}.duckdb" for name in tables)


def test_two_models_of_one_dimension_never_share_a_ranking(memory: Memory, models: Models) -> None:
    filled(memory)
    models.asked.clear()
    found = memory.search("a question", 60, "vector")
    assert sorted(model for model, _ in models.asked) == ["one", "three", "two"], "the query is embedded once for each"
    assert len(found) == 60
    for model in ("one", "two", "three"):
        name = f"embeddings_{models.dimensions[model]}_{model}"
        mine = found[found["conversation"] == model]
        assert all(set(ranks) == {name} for ranks in mine["ranks"])
        texts = [f"{model} {i}" for i in range(20)]
        best = np.argsort(-models.cosines("a question", texts, model), kind="stable")
        order = sorted(mine.itertuples(), key=lambda row: row.ranks[name])
        assert [row.content for row in order] == [texts[i] for i in best]
        np.testing.assert_allclose([row.score for row in order], [1 / (60 + rank) for rank in range(1, 21)])
    alone = memory.search("a question", 60, "vector", models="two")
    assert set(alone["conversation"]) == {"two"} and alone.attrs["skipped"] == {}


def test_a_model_out_of_reach_is_named_and_the_others_answer(memory: Memory, models: Models) -> None:
    filled(memory)
    models.down.add("two")
    for mode in ("vector", "hybrid"):
        found = memory.search("anything at all", 60, mode)
        assert set(found["conversation"]) == {"one", "three"}
        assert found.attrs["skipped"] == {"two": "two cannot be reached"}
    models.down |= {"one", "three"}
    found = memory.search("two", 60)
    assert set(found["conversation"]) == {"two"}, "words need no model"
    assert sorted(found.attrs["skipped"]) == ["one", "three", "two"]
    nothing = memory.search("two", 60, "vector")
    assert nothing.empty and len(nothing.attrs["skipped"]) == 3


def test_a_model_that_is_configured_no_more_is_skipped_unasked(tmp_path: Path, models: Models) -> None:
    memory = models.memory(tmp_path)
    filled(memory)
    memory.close()
    fewer = Models({"one": 64})
    memory = fewer.memory(tmp_path)
    found = memory.search("anything at all", 60, "vector")
    assert set(found["conversation"]) == {"one"}
    assert found.attrs["skipped"] == dict.fromkeys(("two", "three"), "it is not configured here")
    assert {model for model, _ in fewer.asked} == {"one"}
    memory.close()


def test_a_model_whose_dimension_changed_is_skipped_by_the_name_of_its_table(memory: Memory, models: Models) -> None:
    filled(memory)
    models.dimensions["one"] = 16
    skipped = memory.search("anything", 60, "vector").attrs["skipped"]
    assert skipped == {"one": "it gives vectors of dimension 16, and embeddings_64_one has 64"}
    memory.add("newer", conversation="one")
    assert memory.flush() == 0
    assert "embeddings_16_one" in memory.stats()["what"].tolist()
    assert "newer" in memory.search("anything", 60, "vector")["content"].tolist()


def test_one_message_found_by_meaning_and_by_words_is_one_hit(memory: Memory) -> None:
    filled(memory)
    found = memory.search("three 7", 60)
    assert found["message_id"].is_unique
    both = found[[len(ranks) == 2 for ranks in found["ranks"]]]
    assert "three 7" in both["content"].tolist()
    for row in found.itertuples():
        counted = [rank for rank in row.ranks.values() if rank <= 10] or [min(row.ranks.values())]
        assert row.score == pytest.approx(sum(1 / (60 + rank) for rank in counted))
    assert found["score"].is_monotonic_decreasing


def test_the_first_hits_are_the_same_however_many_are_asked_for(memory: Memory) -> None:
    filled(memory)
    many = memory.search("two 1", 50)["message_id"].tolist()
    for k in (1, 3, 10, 11, 30):
        assert memory.search("two 1", k)["message_id"].tolist() == many[:k]


def test_equal_scores_are_in_the_order_of_the_messages(memory: Memory) -> None:
    memory.add(["the very same"] * 30, conversation="c", model="one")
    ids = memory.messages()["message_id"].tolist()
    assert memory.flush() == 0
    for _ in range(3):
        assert memory.search("whatever", 30, "vector")["message_id"].tolist() == ids
        assert memory.search("same", 30, "text")["message_id"].tolist() == ids
        memory.fold()


def test_the_best_of_one_list_comes_before_what_is_far_down_in_all() -> None:
    far = list(range(100, 140))
    hits = fuse({"a": [1, *range(10, 19), *far], "b": [*range(20, 30), *far]}, {})
    assert [hit.seq for hit in hits][:3] == [1, 20, 10]
    assert [hit.seq for hit in hits][19:] == [29, *far]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_ranks_are_fused_as_in_the_paper() -> None:
    hits = fuse({"a": [1, 2, 3], "b": [3, 1]}, {"a": {1: 0.9}})
    assert [hit.seq for hit in hits] == [1, 3, 2]
    assert hits[0].score == pytest.approx(1 / 61 + 1 / 62)
    assert hits[0].ranks == {"a": 1, "b": 2} and hits[0].cosines == {"a": 0.9}


# --- in the background ----------------------------------------------------------------------------


def test_a_text_waits_for_a_model_and_is_found_by_its_words_until_then(memory: Memory, models: Models) -> None:
    models.down |= set(models.dimensions)
    memory.add("about the weather")
    assert memory.flush() == 1
    waiting = memory.stats().set_index("what").loc["waiting for a vector"]
    assert (waiting["count"], waiting["detail"]) == (1, "one cannot be reached")
    assert len(memory.search("weather")) == 1
    models.down.clear()
    assert memory.flush() == 0
    assert len(memory.search("weather", mode="vector")) == 1


def test_a_model_out_of_reach_keeps_no_other_from_embedding(memory: Memory, models: Models) -> None:
    models.down.add("one")
    memory.add("first", model="one")
    memory.add("second", model="nobody has this")
    memory.add("third", model="two")
    assert memory.flush() == 2
    assert memory.search("x", mode="vector")["content"].tolist() == ["third"]


def test_without_any_model_nothing_is_asked_and_nothing_is_lost(tmp_path: Path) -> None:
    nobody = Models({})
    memory = nobody.memory(tmp_path)
    memory.add(["a", "b"])
    assert memory.flush() == 2
    assert nobody.asked == []
    assert "no embedding model is configured" in memory.stats()["detail"].tolist()
    memory.close()
    later = Models({"m": 8})
    memory = later.memory(tmp_path)
    assert memory.flush() == 0
    assert len(memory.search("x", mode="vector")) == 2
    memory.close()


def test_a_text_no_model_takes_keeps_no_other_waiting(memory: Memory, models: Models) -> None:
    models.strange = {"nothing": [0.0] * 64, "broken": [float("nan")] * 64}
    memory.add(["good", "refuse me", "nothing", "broken", "better"])
    for _ in range(4):
        memory.flush()
    assert memory.flush() == 3
    assert sorted(memory.search("x", mode="vector")["content"]) == ["better", "good"]
    before = len(models.asked)
    memory.flush()
    assert len(models.asked) == before, "it is not tried for ever"


def test_texts_are_embedded_in_the_background_and_together(tmp_path: Path, models: Models) -> None:
    done = threading.Event()
    gate = threading.Event()
    plain = models.embed

    def slow(texts, model):
        gate.wait(30)
        vectors = plain(texts, model)
        if "last" in texts:
            done.set()
        return vectors

    models.embed = slow  # type: ignore[method-assign]
    memory = models.memory(tmp_path)
    for i in range(50):
        memory.add(f"text {i}")
    memory.add("last")
    assert len(memory.messages()) == 51, "nobody waits for a vector"
    gate.set()
    assert done.wait(30)
    assert memory.flush() == 0
    assert len(models.asked) < 10
    memory.close()


def test_with_a_cassette_each_call_is_embedded_by_itself(memory: Memory, models: Models) -> None:
    models.mixes = False
    models.down |= set(models.dimensions)
    memory.add(["a", "b"])
    memory.add("c")
    memory.flush()
    models.down.clear()
    models.asked.clear()
    assert memory.flush() == 0
    assert [texts for _, texts in models.asked] == [("a", "b"), ("c",)]


def test_a_kernel_leaves_to_others_what_they_will_see_to(tmp_path: Path) -> None:
    offline, online = Models({"m": 8}, down={"m"}), Models({"m": 8})
    first, second = offline.memory(tmp_path), online.memory(tmp_path)
    first.add("mine")
    assert first.flush() == 1
    assert second.flush() == 0
    assert online.asked == []
    first.close()
    assert second.flush() == 0
    assert online.asked == [("m", ("mine",))]
    second.close()


def test_equal_texts_are_paid_for_once(memory: Memory, models: Models) -> None:
    models.down |= set(models.dimensions)
    memory.add(["same", "same", "other"])
    memory.flush()
    models.down.clear()
    models.asked.clear()
    assert memory.flush() == 0
    assert models.asked == [("one", ("same", "other"))]
    assert len(memory.search("x", mode="vector")) == 3


# --- files ----------------------------------------------------------------------------------------


def test_a_file_of_vectors_can_be_read_by_anybody_while_it_is_folded(memory: Memory) -> None:
    filled(memory)
    assert memory.fold()
    file = memory.path / "embeddings_64_one.duckdb"
    if os.name == "posix":
        assert file.stat().st_mode & 0o777 == 0o600
    with duckdb.connect(str(file), read_only=True) as held:
        memory.add("another", model="one")
        assert memory.flush() == 0 and memory.fold()
        (kind,) = held.execute("SELECT DISTINCT typeof(vector) FROM embeddings_64_one").fetchall()
        assert kind == ("FLOAT[64]",)
        row = held.execute("SELECT message_id, vector FROM embeddings_64_one ORDER BY id LIMIT 1").fetchone()
        assert held.execute("SELECT count(*) FROM embeddings_64_one").fetchone() == (20,)
    assert memory.messages()["message_id"][0] == row[0]
    np.testing.assert_array_equal(np.float32(row[1]), vector("one 0", "one", 64))
    assert len(memory.search("x", 30, "vector", models="one")) == 21


def test_a_file_that_was_deleted_is_made_again_by_embedding_anew(memory: Memory, models: Models) -> None:
    filled(memory)
    assert memory.fold()
    memory.close()
    (memory.path / "embeddings_64_two.duckdb").unlink()
    memory.add("something new", model="two")
    assert memory.flush() == 0
    models.asked.clear()
    assert memory.fold()
    assert memory.flush() == 0
    assert {model for model, _ in models.asked} == {"two"}
    assert len(memory.search("x", 60, "vector", models="two")) == 21


def test_a_file_of_another_memory_or_program_is_never_taken_for_ours(tmp_path: Path) -> None:
    models = Models({"m": 16})
    one, two = models.memory(tmp_path / "one"), models.memory(tmp_path / "two")
    for memory, count in ((one, 5), (two, 7)):
        memory.add([f"text {i}" for i in range(count)])
        assert memory.flush() == 0 and memory.fold()
    ours, theirs = (memory.path / "embeddings_16_m.duckdb" for memory in (one, two))
    ours.write_bytes(theirs.read_bytes())
    one.close()
    assert one.search("x", mode="vector").empty
    assert one.fold() and one.flush() == 0
    assert len(one.search("x", mode="vector")) == 5
    ours.write_bytes(b"not a database")
    one.close()
    with pytest.raises(MemoryStoreError, match="cannot be read"):
        one.search("x", mode="vector")
    assert len(one.search("text", mode="text")) == 5
    ours.unlink()
    assert one.fold() and one.flush() == 0
    assert len(one.search("x", mode="vector")) == 5
    one.close()
    two.close()


def test_vectors_made_elsewhere_are_kept_many_at_once_and_few(memory: Memory, models: Models) -> None:
    models.down |= set(models.dimensions)
    ids = memory.add([f"text {i}" for i in range(3000)], model="three")
    random = np.random.default_rng(0).standard_normal((3000, 32))
    assert memory.add_vectors("three", ids[:2500], random[:2500]) == 2500
    assert not memory.sql("SELECT 1 FROM embeddings_32 LIMIT 1").empty
    with duckdb.connect(str(memory.path / "embeddings_32_three.duckdb"), read_only=True) as file:
        assert file.execute("SELECT count(*) FROM embeddings_32_three").fetchone() == (2500,), "straight to the file"
    assert memory.add_vectors("three", [*ids[2500:], "gone"], np.vstack([random[2500:], np.ones(32)])) == 500
    assert memory.flush() == 0, "nothing waits any more"
    models.down.clear()
    assert len(memory.search("x", 3000, "vector")) == 3000
    with pytest.raises(MemoryStoreError, match="do not fit the table embeddings_32_three"):
        memory.add_vectors("three", ids[:2], np.ones((2, 31)))
    with pytest.raises(MemoryStoreError, match="takes 1 vectors"):
        memory.add_vectors("three", ids[:1], np.ones((2, 32)))
    with pytest.raises(InvalidInput, match="vectors is of shape"):
        memory.add_vectors("new", ids[:2], np.ones(2))


def test_a_bulk_load_that_was_killed_is_embedded_again(tmp_path: Path) -> None:
    models = Models({"m": 8})
    memory = models.memory(tmp_path)
    memory.add("one")
    assert memory.flush() == 0 and memory.fold()
    # What a death between the two steps of such a load leaves: a row whose vector is nowhere.
    with sqlite3.connect(tmp_path / "memory.sqlite") as left:
        left.execute("INSERT INTO messages (message_id, conversation, role, content, sha256, ts)"
                     " SELECT 'x', seq, 'user', 'two', '', '2026-01-01' FROM conversations")  # fmt: skip
        left.execute("INSERT INTO vectors (table_id, message, content_hash) SELECT 1, max(seq), 0 FROM messages")
        left.execute("UPDATE messages SET sha256 = ? WHERE message_id = 'x'", (content_hash("two")[0],))
    assert len(memory.search("x", mode="vector")) == 1
    assert memory.fold() and memory.flush() == 0
    assert len(memory.search("x", mode="vector")) == 2
    memory.close()


# --- sql ------------------------------------------------------------------------------------------


def test_sql_sees_messages_vectors_and_frames_and_nothing_else(memory: Memory) -> None:
    filled(memory)
    memory.fold()
    memory.add("not folded", conversation="one", model="one")
    memory.flush()
    memory.delete(message=memory.messages("two")["message_id"][0])
    counts = memory.sql("SELECT model, count(*) AS n, min(len(vector)) AS d FROM embeddings_64 GROUP BY 1 ORDER BY 1")
    assert counts.to_numpy().tolist() == [["one", 21, 64], ["two", 19, 64]]
    joined = memory.sql(
        "SELECT conversation, count(*) AS n FROM embeddings_32_three JOIN messages USING (message_id)"
        " JOIN wanted USING (conversation) GROUP BY ALL",
        {"wanted": pd.DataFrame({"conversation": ["three", "one"]}), "messages": pd.DataFrame()},
    )
    assert joined.to_numpy().tolist() == [["three", 20]]
    assert memory.sql("SELECT * FROM summaries").empty
    assert memory.sql("SELECT folder, archived FROM conversations")["archived"].tolist() == [False] * 3
    for query in ("SELECT * FROM read_text('/etc/hostname')", "SELECT * FROM elsewhere", "SELEC 1", "ATTACH 'x' AS y"):
        with pytest.raises(MemoryStoreError, match="refuses") as caught:
            memory.sql(query)
        assert "embeddings_64" in caught.value.hint
    memory.sql("DELETE FROM messages")
    assert len(memory.messages()) == 60
