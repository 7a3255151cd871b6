"""Exports and imports: out and in again loses nothing, twice in changes nothing, and odd files break nothing."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics.errors import InvalidInput, MemoryStoreError, SekhaError
from sekha_magics.memory.store import Memory
from sekha_magics.memory.transfer import take

from .models import Models

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
TEXTS = st.text(min_size=1, max_size=60).filter(str.strip)
FOLDERS = st.sampled_from(["/", "/uni", "/uni/notes", "/übung"])
SAID = st.tuples(st.sampled_from(["user", "assistant", "system", "tool"]), TEXTS, st.none() | FOLDERS,
                 st.none() | NAMES, st.none() | st.integers(1, 10))  # fmt: skip


def whole(memory: Memory) -> list[dict[str, Any]]:
    return [asdict(one) for one in take(memory._archive)]


def fresh(folder: Path) -> Memory:
    return Models({"m": 8}).memory(folder)


def summarized(memory: Memory) -> None:
    connection = sqlite3.connect(memory.path / "memory.sqlite")
    with connection:
        connection.execute(
            "INSERT INTO summaries (summary_id, conversation, level, content, sources, created_at, starts_at, model_id)"
            " SELECT 's' || seq, seq, 'daily', 'A summary.', '[\"m\"]', '2026-11-20T00:00:00+00:00',"
            " '2026-11-19T00:00:00+00:00', 'small' FROM conversations"
        )
    connection.close()


@settings(max_examples=25)
@given(st.dictionaries(NAMES, st.tuples(st.lists(SAID, min_size=1, max_size=4), FOLDERS, st.booleans()), max_size=4))
def test_out_and_in_again_loses_nothing(said: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        memory = fresh(root / "one")
        for name, (messages, where, flag) in said.items():
            memory.add("first", conversation=name, folder=where)
            for role, text, own, label, importance in messages:
                memory.add(text, name, role, folder=own, label=label, importance=importance)
            memory.set_conversation(name, pinned=flag, archived=not flag)
        if said:
            summarized(memory)
        before = whole(memory)
        for target in ("out.json", "parquet"):
            memory.export(root / target)
            again = fresh(root / f"from {target}")
            brought = again.import_from(root / target)
            assert whole(again) == before
            assert brought.messages == sum(len(one["messages"]) for one in before) and brought.skipped == 0
            assert again.import_from(root / target).messages == 0
            assert whole(again) == before
            if said:
                assert again.flush() == 0 and len(again.search("x", 100, "vector", archived=True)) == brought.messages
            again.close()
        memory.close()


def test_markdown_is_for_people_and_holds_what_was_said(tmp_path: Path) -> None:
    memory = fresh(tmp_path / "m")
    memory.add("# not a heading\n```\nnot the end\n```", conversation="a *b* [c](d)", label="l", importance=9)
    memory.add("other", conversation="other")
    (path,) = memory.export(tmp_path / "deep" / "out.md", conversation="a *b* [c](d)")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# a \\*b\\* \\[c\\](d)\n\n/ · importance 9 · l\n")
    assert "````text\n# not a heading\n```\nnot the end\n```\n````" in text and "other" not in text
    memory.close()


def test_one_conversation_and_a_taken_name(tmp_path: Path) -> None:
    one, two = fresh(tmp_path / "one"), fresh(tmp_path / "two")
    one.add("from one", conversation="plans")
    one.add("other", conversation="other")
    two.add("from two", conversation="plans")
    one.export(tmp_path / "plans.json", conversation="plans")
    assert two.import_from(tmp_path / "plans.json").conversations == 1
    assert two.names() == ["plans", "plans (2)"]
    one.add("later", conversation="plans")
    two.set_conversation("plans (2)", folder="/moved")
    one.export(tmp_path / "plans.json", conversation="plans")
    brought = two.import_from(tmp_path / "plans.json")
    assert (brought.conversations, brought.messages, brought.known) == (0, 1, 1)
    assert list(two.messages("plans (2)")["content"]) == ["from one", "later"]
    assert two.folders() == ["/", "/moved"]
    one.close()
    two.close()


def node(name: str, parent: str | None, role: str | None, *parts: Any, **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": list(parts)}
    said = {"author": {"role": role}, "create_time": 1.7e9, "content": content, **more} if role else None
    return {"id": name, "parent": parent, "children": [], "message": said}


CHATGPT = [
    {
        "title": "A trip to\nParis", "create_time": 1_700_000_000.5, "conversation_id": "c-1", "current_node": "e",
        "mapping": {
            "r": node("r", None, None),
            "s": node("s", "r", "system", "hidden rules"),
            "a": node("a", "s", "user", "Where to?", {"content_type": "image_asset_pointer"}),
            "b": node("b", "a", "assistant", "A first answer, replaced."),
            "d": node("d", "a", "assistant", "To Paris.", create_time=None),
            "x": node("x", "d", "tool", "tool output"),
            "y": node("y", "x", "assistant", "thinking", metadata={"is_visually_hidden_from_conversation": True}),
            "e": node("e", "y", "user", "And when? \ud800"),
        },
    },
    {"title": None, "mapping": {"only": node("only", None, "user", "No current node.")}},
    {"title": "a loop", "mapping": {"p": node("p", "q", "user", "p"), "q": node("q", "p", "user", "q")},
     "current_node": "p", "id": "loop"},
    {"title": "empty", "mapping": {}}, {"title": "none"}, None, 7, "text", [], {"mapping": []},
    {"mapping": {"z": 7, "w": {"message": {"author": 3, "content": []}}}},
]  # fmt: skip
CLAUDE = [
    {
        "uuid": "u-1", "name": "Notes", "created_at": "2026-01-02T03:04:05.678Z",
        "chat_messages": [
            {"uuid": "m1", "sender": "human", "text": "old field", "created_at": "2026-01-02T03:04:06Z",
             "content": [{"type": "text", "text": "Read this."}, {"type": "tool_use"}],
             "attachments": [{"file_name": "a.txt", "extracted_content": "The text of a document."}, None]},
            {"uuid": "m2", "sender": "assistant", "text": "It is short.", "created_at": "not a time"},
            {"uuid": "m3", "sender": "assistant", "text": ""},
            {"sender": "robot", "text": "?"}, None,
        ],
    },
    {"uuid": "u-2", "name": "", "chat_messages": []}, {"chat_messages": None}, 3,
]  # fmt: skip


def test_what_chatgpt_gives_is_taken_as_its_user_saw_it(tmp_path: Path) -> None:
    memory = fresh(tmp_path / "m")
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("user.json", "{}")
        archive.writestr("conversations.json", json.dumps(CHATGPT))
    brought = memory.import_from(tmp_path / "export.zip")
    assert (brought.conversations, brought.messages) == (3, 6) and brought.skipped == 9
    trip = memory.messages("A trip to Paris")
    assert list(trip["content"]) == ["Where to?", "To Paris.", "And when? \ufffd"]
    assert list(trip["role"]) == ["user", "assistant", "user"]
    assert set(trip["folder"]) == {"/imported/chatgpt"} and trip["ts"].dt.year.eq(2023).all()
    assert list(memory.messages("a loop")["content"]) == ["q", "p"]
    assert memory.import_from(tmp_path / "export.zip").messages == 0
    assert len(memory.messages()) == 6
    memory.close()


def test_what_claude_gives_is_taken_with_its_documents(tmp_path: Path) -> None:
    memory = fresh(tmp_path / "m")
    (tmp_path / "conversations.json").write_text(json.dumps(CLAUDE), encoding="utf-8")
    brought = memory.import_from(tmp_path, folder="/old/claude")
    assert (brought.conversations, brought.messages, brought.skipped) == (1, 2, 5)
    notes = memory.messages("Notes")
    assert list(notes["content"]) == ["Read this.\n\nThe text of a document.", "It is short."]
    assert list(notes["ts"].dt.second) == [6, 6] and set(notes["folder"]) == {"/old/claude"}
    grown = json.loads(json.dumps(CLAUDE))
    grown[0]["chat_messages"].append({"uuid": "m4", "sender": "human", "text": "One more."})
    (tmp_path / "conversations.json").write_text(json.dumps(grown), encoding="utf-8")
    assert memory.import_from(tmp_path).messages == 1
    memory.close()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["mapping", "message", "author", "role", "content", "parts", "parent", "current_node", "title",
                         "chat_messages", "sender", "text", "uuid", "create_time", "created_at", "x"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=150)
@given(JSON)
def test_whatever_a_file_holds_it_is_taken_or_refused_with_words(value: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        memory = fresh(Path(folder) / "m")
        (Path(folder) / "x.json").write_text(json.dumps([value]), encoding="utf-8")
        try:
            memory.import_from(Path(folder) / "x.json")
            assert memory.import_from(Path(folder) / "x.json").messages == 0
        except SekhaError as error:
            assert error.hint
        memory.close()


def ours(**more: Any) -> str:
    said = {"message_id": "m", "role": "user", "content": "x", "ts": "2026-01-01T00:00:00+00:00"}
    times = {"created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00"}
    one = {"conversation_id": "c", "name": "n", **times, "messages": [said | more.pop("message", {})], **more}
    return json.dumps({"format": "sekha memory 1", "conversations": [one]})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("{}", "no conversations"),
        ("[]", "no conversations"),
        ('{"format": "sekha memory 1"}', "no list of conversations"),
        ('{"format": "sekha memory 1", "conversations": [7]}', "conversation 0 is a int"),
        (ours(name=None), "conversation 0: name is None"),
        (ours(folder="uni"), "conversation 0: folder is 'uni'"),
        (ours(importance=11), "importance is 11"),
        (ours(folder=None), "no folder"),
        (ours(pinned="yes"), "pinned is 'yes'"),
        (ours(messages="m"), "messages is a str"),
        (ours(message={"role": "god"}), "conversation 0, message 0: role is 'god'"),
        (ours(message={"content": " "}), "Text 0 is empty"),
        (ours(message={"ts": "today"}), "ts is 'today'"),
        (ours(message={"message_id": 7}), "message_id is 7"),
        (ours(summaries=[{}]), "conversation 0, summary 0 has no summary_id"),
    ],
)
def test_a_file_that_is_not_as_it_should_be_says_where(tmp_path: Path, text: str, says: str) -> None:
    memory = fresh(tmp_path / "m")
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=says):
        memory.import_from(tmp_path / "x.json")
    assert memory.names() == []
    memory.close()


def test_a_place_that_cannot_be_used_says_so(tmp_path: Path) -> None:
    memory = fresh(tmp_path / "m")
    memory.add("x")
    (tmp_path / "file").write_text("")
    with pytest.raises(MemoryStoreError, match="cannot be read"):
        memory.import_from(tmp_path / "none.json")
    with pytest.raises(MemoryStoreError, match="cannot be written"):
        memory.export(tmp_path / "file" / "x.json")
    with pytest.raises(InvalidInput, match="no conversation 'nobody'"):
        memory.export(tmp_path / "x.json", conversation="nobody")
    with pytest.raises(InvalidInput, match="format is 'xml'"):
        memory.export(tmp_path / "x.json", format="xml")
    for path in (7, "", None):
        with pytest.raises(InvalidInput, match="path is"):
            memory.export(path)  # type: ignore[arg-type]
    memory.close()
