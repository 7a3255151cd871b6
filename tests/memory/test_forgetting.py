"""Forgetting: afterwards no byte under the data directory tells what was said, also while other kernels are at work."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import duckdb
import pytest

from sekha_magics import Registry
from sekha_magics.core.traces import Traces
from sekha_magics.errors import InvalidInput

from .registries import registry, scripted
from .test_many_at_once import process

SECRET = 'Zorblaxian "recipe":\nmix quivvering umberfluss, twelve glintworms and naïve wumplestone at dawn. ☂'
LONG = "Prologue. " + " ".join(f"hushword{n}" for n in range(1500))
WORDS = ("zorblaxian", "quivvering", "umberfluss", "glintworm", "wumplestone", "hushword700", "hushword1499")
KEPT = "The museum opens at nine."


def found(folder: Path, words: tuple[str, ...]) -> dict[str, list[str]]:
    """Which of the words stand in which file, in whatever case and form."""
    told: dict[str, list[str]] = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes().lower()
            forms = [(word, form) for word in words for form in (word.encode(), word.encode("utf-16-le"))]
            if there := sorted({word for word, form in forms if form in data}):
                told[str(path.relative_to(folder))] = there
    return told


@pytest.fixture
def reg() -> Iterator[Registry]:
    with registry(scripted()) as reg:
        yield reg


def test_no_byte_under_the_data_directory_tells_it_while_another_kernel_has_all_open(
    reg: Registry, own_directories: Path
) -> None:
    # So much else that pages split, segments of the index merge, and old ones are used again.
    reg.memory.add([f"Page {n} of a novel about nothing much at all, told slowly." for n in range(400)], "novel")
    reg.chat(SECRET, conversation="kitchen", system="Be brief.")
    reg.chat(f"Please shorten: {SECRET}", conversation="kitchen")
    reg.chat(KEPT, conversation="kitchen")
    reg.chat(LONG, conversation="kitchen")
    reg.memory.add(f"He said again: {SECRET}", conversation="letters")
    assert reg.memory.flush() == 0
    assert "Zorblaxian" in reg.chat("How is the recipe made?", memory=2000).text
    assert "Zorblaxian" in reg.chat("quivvering glintworms", memory=300).text
    list(reg.map([SECRET, KEPT, "quivvering umberfluss"]))
    reg.memory.search("twelve glintworms and naïve wumplestone")
    kept = reg.memory.add("Bring an umbrella.", conversation="letters")
    assert reg.memory.flush() == 0
    assert reg.memory.fold()
    reg.ledger.flush()
    reg.chat(f"And once more, not folded: {SECRET}")
    before = found(own_directories, WORDS)
    assert {"content.sqlite", "map.sqlite", "memory/memory.sqlite"} <= {name.removesuffix("-wal") for name in before}
    with ExitStack() as stack:
        other = process(stack, "hold_open")
        assert other.stdout.readline() == "once\n"
        planned = reg.memory.forget(conversation="kitchen", dry_run=True)
        assert found(own_directories, WORDS) == before
        forgotten = reg.memory.forget(conversation="kitchen")
        assert list(forgotten["message_id"]) == list(planned["message_id"])
        assert list(forgotten["why"]).count("repeats it") == 1 and forgotten.attrs["texts in the ledger"] > 5
        other.stdin.write("again\n")
        other.stdin.flush()
        assert other.stdout.readline() == "once\n"
        # Two words of it were asked for by themselves: that is no passage of it, and stays.
        asked_by_themselves = ("quivvering", "umberfluss", "glintworm", "wumplestone")
        left = found(own_directories, tuple(word for word in WORDS if word not in asked_by_themselves))
        assert left == {}
        other.stdin.close()
        assert other.wait() == 0
    reg.close()
    assert found(own_directories, ("zorblaxian", "hushword700", "hushword1499")) == {}
    with registry(scripted()) as again:
        assert "kitchen" not in again.memory.names()
        assert kept in set(again.memory.messages()["message_id"])
        assert again.memory.search("Zorblaxian recipe", mode="text").empty
        assert len(again.memory.search("a novel", 1000, "vector")) == len(again.memory.messages())
        prompts = set(again.ledger.calls(content=True)["prompt"].dropna())
        assert "still here" in " ".join(prompts)
        verified = again.ledger.verify()
        assert verified.ok, verified
        assert any("texts were forgotten" in note for note in verified.notes)
        # What was asked, and what it cost, is still known.
        assert (again.ledger.calls()["operation"] == "chat").sum() >= 7


def test_a_single_message_leaves_the_rest_and_takes_its_vectors(reg: Registry, own_directories: Path) -> None:
    ids = reg.memory.add(["The xylokrand is in the cellar.", "The key is under the mat.", "ok"], conversation="house")
    assert reg.memory.flush() == 0 and reg.memory.fold()
    reg.chat("Where is the key?", memory=600)
    forgotten = reg.memory.forget(message=[ids[0], ids[2]])
    assert list(forgotten["message_id"]) == [ids[0], ids[2]]
    assert list(reg.memory.messages("house")["message_id"]) == [ids[1]]
    assert found(own_directories, ("xylokrand",)) == {}
    with duckdb.connect(str(own_directories / "memory" / "embeddings_64_hashed.duckdb"), read_only=True) as file:
        assert file.execute("SELECT message_id FROM embeddings_64_hashed").fetchall() == [(ids[1],)]
    assert [message.text for message in reg.conversation("house")] == []


def test_summaries_of_what_goes_go_too(reg: Registry) -> None:
    first, second = reg.memory.add(["The wumple is red.", "The sky is blue."], conversation="c")
    rows = [
        ("s1", "daily", "About a wumple.", json.dumps([first])),
        ("s2", "weekly", "About colours.", json.dumps(["s1"])),
        ("s3", "daily", "About the sky.", json.dumps([second])),
    ]
    connection = sqlite3.connect(reg.memory.path / "memory.sqlite")
    with connection:
        for summary_id, level, content, sources in rows:
            connection.execute(
                "INSERT INTO summaries (summary_id, conversation, level, content, sources, created_at)"
                " SELECT ?, seq, ?, ?, ?, '2026-11-20T00:00:00+00:00' FROM conversations",
                (summary_id, level, content, sources),
            )
    connection.close()
    assert reg.memory.forget(message=first).attrs["summaries"] == 2
    assert list(reg.memory.sql("SELECT summary_id FROM summaries")["summary_id"]) == ["s3"]


def test_what_a_kernel_says_next_does_not_bring_it_back(reg: Registry, own_directories: Path) -> None:
    reg.chat("The gribblefax hides in the attic, behind the boxes.", conversation="c")
    reg.chat("And the weather?", conversation="c")
    assert reg.memory.flush() == 0
    gone = reg.memory.messages("c")["message_id"][0]
    reg.memory.forget(message=gone)
    assert [message.text for message in reg.conversation("c")] == ["And the weather?"] * 2
    reg.chat("Tell me more.", conversation="c")
    reg.close()
    assert found(own_directories, ("gribblefax",)) == {}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "Name a conversation or a message"),
        ({"conversation": "c", "message": "m"}, "Name a conversation or a message"),
        ({"conversation": "nobody"}, "no conversation 'nobody'"),
        ({"message": "0000"}, "no message '0000'"),
        ({"message": 7}, "text is a int"),
        ({"conversation": "c", "dry_run": "no"}, "dry_run is 'no'"),
    ],
)
def test_what_makes_no_sense_changes_nothing(reg: Registry, arguments: dict[str, object], says: str) -> None:
    reg.memory.add("stays", conversation="c")
    with pytest.raises(InvalidInput, match=says):
        reg.memory.forget(**arguments)
    assert len(reg.memory.messages()) == 1


def test_a_trace_is_a_passage_a_whole_line_or_a_quotation_and_not_a_word() -> None:
    long = " ".join(f"word{n}" for n in range(200))
    traces = Traces(["The red fox ran.", long, "ok"], ["0123456789abcdef"])
    touched = (long, f"before {long} after", long[130:300], f"> {long[:300]}", json.dumps({"a": [long[500:800]]}), "ok",
               "yes\n> ok\nno", 'x {"id": "0123456789ab", "text": "y"}', "The red fox\nran.",
               "> The red\\u0020fox ran.")  # fmt: skip
    for text in touched:
        assert traces.touched_by(text), text
    for text in ("word7 word8", "it is ok", "The red fox", '{"id": "ffffffffffff"}', "", "[", "{", long[130:190]):
        assert not traces.touched_by(text), text
    many = Traces([" ".join(f"{kind}{n}" for n in range(200)) for kind in ("a", "b", "word", *map(str, range(30)))])
    assert many.touched_by(f"before {long[130:300]} after") and not many.touched_by(long[130:190])
    assert not traces.repeated_in(long[130:300]) and traces.repeated_in(f"> {long}")
