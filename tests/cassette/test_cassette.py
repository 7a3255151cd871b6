"""A cassette plays what was recorded, exactly; says what is missing; and never loses or leaks anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.cassette import (
    OPTIONS,
    Cassette,
    Choice,
    Recording,
    Rendered,
    Vectors,
    from_environment,
    render,
)
from sekha_magics.core.catalogue import Catalogue, Entry, Price, Rate
from sekha_magics.core.content import Audio, Image, Message, Text
from sekha_magics.core.types import Cost, Usage
from sekha_magics.errors import CassetteMiss, ConfigError, InvalidInput, SekhaError

CATALOGUE = Catalogue(
    (
        Entry(0, "home", "ollama", "tiny", ("chat_small",), local=True),
        Entry(
            1,
            "cloud",
            "openai",
            "large",
            ("chat_smart",),
            price=Price("table", Rate(Decimal("2.50")), Rate(Decimal(10)), as_of=date(2026, 1, 2)),
        ),
    )
)
OTHER_CATALOGUE = Catalogue((Entry(0, "work", "ollama", "huge", ("chat_large",)),))
CHOICE = Choice("chat_small", "priority", "home", "ollama", "tiny", "priority 1", Decimal(0))
RECORDING = Recording(CHOICE, "home", "ollama", "tiny", Cost(Decimal(0), "free"), Usage(7, 3), "tiny", "stop", "4")


def asked(*texts: str, **options: Any) -> Rendered:
    roles = ("user", "assistant")
    return render("chat", [Message(roles[i % 2], (Text(t),)) for i, t in enumerate(texts)], options)  # type: ignore[arg-type]


def answer(text: str) -> Recording:
    return replace(RECORDING, text=text)


def recorded(path: Path, *pairs: tuple[Rendered, Recording]) -> Path:
    cassette = Cassette.open(path, "record")
    for request, recording in pairs:
        cassette.record(request, recording, CATALOGUE)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "notebook.jsonl"


# --- what a request is ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "option",
    [
        {"task": "chat_smart"},
        {"model": "tiny"},
        {"preferred_model": "tiny"},
        {"policy": "cheapest"},
        {"require_vision": False},
        {"require_vision": True},
        {"temperature": 0},
        {"max_tokens": 10},
        {"context_size": 4096},
        {"seed": 1},
        {"schema": {"type": "object"}},
        {"params": {"top_p": 0.5}},
        {"max_cost": Decimal("0.01")},
        {"local_only": True},
        {"memory": 500},
        {"memory_exclude": ("/private",)},
    ],
)
def test_every_option_that_can_change_the_answer_makes_another_request(option: Mapping[str, Any]) -> None:
    assert asked("hello", **option).key != asked("hello").key


def test_the_options_tried_above_are_all_there_are() -> None:
    assert set(OPTIONS) == {
        "task", "model", "preferred_model", "policy", "require_vision", "temperature", "max_tokens", "context_size",
        "seed", "schema", "params", "max_cost", "local_only", "memory", "memory_exclude",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"temperature": 1}, {"temperature": 1.0}),
        ({"temperature": np.float64(0.5)}, {"temperature": 0.5}),
        ({"seed": np.int64(3)}, {"seed": 3}),
        ({"max_cost": Decimal("0.10")}, {"max_cost": Decimal("0.1")}),
        ({"params": {"a": 1, "b": (2, 3)}}, {"params": {"b": [2, 3], "a": 1}}),
        ({"params": {}, "local_only": False, "model": None}, {}),
    ],
)
def test_two_spellings_of_one_option_are_one_request(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert asked("hello", **one).key == asked("hello", **other).key


def test_who_says_a_text_and_how_it_is_cut_into_messages_matters() -> None:
    requests = [
        asked("a", "b"),
        asked("ab"),
        render("chat", [Message("user", (Text("a"), Text("b")))], {}),
        render("chat", [Message("system", (Text("ab"),))], {}),
        render("embed", ["ab"], {}),
        render("embed", ["a", "b"], {}),
        render("embed", [], {}),
    ]
    assert len({r.key for r in requests}) == len(requests)


def test_images_count_by_their_bytes_and_stand_in_the_file_without_them() -> None:
    def shown(*images: Image | Audio) -> Rendered:
        return render("chat", [Message("user", (Text("what is it?"), *images))], {})

    one, same = Image("png", b"PIXELS", origin="a.png"), Image("png", b"PIXELS", origin="elsewhere/b.png")
    assert shown(one).key == shown(same).key
    others = [Image("png", b"OTHERS"), Image("jpeg", b"PIXELS"), Image("png", url="http://localhost/x.png")]
    keys = {shown(x).key for x in [one, *others, Audio("wav", b"PIXELS")]}
    assert len(keys) == 5
    written = json.dumps(shown(one).to_json())
    assert "PIXELS" not in written
    assert '"size": 6' in written
    assert one.sha256 in written


@pytest.mark.parametrize(
    "options",
    [
        {"stream": True},
        {"temprature": 1},
        {"temperature": float("nan")},
        {"temperature": float("inf")},
        {"max_cost": Decimal("NaN")},
        {"params": {"f": print}},
        {"params": {1: "a", "1": "b"}},
        {"params": {"s": {1, 2}}},
    ],
)
def test_what_cannot_be_recorded_faithfully_is_refused_by_name(options: dict[str, Any]) -> None:
    name = next(iter(options))
    with pytest.raises(InvalidInput, match=name):
        asked("hello", **options)


# --- playing -------------------------------------------------------------------------------------


def test_a_recorded_answer_is_played_without_anything_lost(path: Path) -> None:
    whole = Recording(
        choice=replace(CHOICE, estimated_cost=Decimal("0.000000012345")),
        provider_id="cloud",
        provider_type="openai",
        model_id="large",
        cost=Cost(Decimal("0.00001"), "computed", price_as_of=date(2026, 1, 2)),
        usage=Usage(10, 20, 3, 4, 5),
        served_model="large-2026",
        finish_reason="length",
        text="# Title\r\n\tüñí 😀\u2028\x1b[31m\x00 }}{{ \\ \"'",
        notes=("home did not answer",),
    )
    recorded(path, (asked("hello"), whole))
    cassette = Cassette.open(path, "replay")
    assert cassette.play(asked("hello")) == whole
    assert cassette.catalogue == CATALOGUE
    assert cassette.recordings == 1


def test_a_replayed_cost_keeps_the_amount_and_its_first_source() -> None:
    cost = replace(RECORDING, cost=Cost(Decimal("0.5"), "reported")).replayed_cost
    assert (cost.usd, cost.source, cost.recorded_source) == (Decimal("0.5"), "replayed", "reported")
    assert replace(RECORDING, cost=Cost(None, "unpriced")).replayed_cost.usd is None


def test_embeddings_come_back_as_the_same_numbers(path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(3, 8)).astype(np.float32)
    request = render("embed", ["a", "b", "c"], {"model": "small"})
    embedded = replace(RECORDING, text=None, vectors=Vectors.of(vectors))
    recorded(path, (request, embedded))
    played = Cassette.open(path, "replay").play(request)
    assert played is not None
    assert played.vectors is not None
    array = played.vectors.to_array()
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, vectors)
    array[0, 0] = 1.0


def test_no_texts_have_no_vectors_and_keep_their_dimension(path: Path) -> None:
    request = render("embed", [], {})
    recorded(path, (request, replace(RECORDING, text=None, vectors=Vectors.of(np.zeros((0, 5))))))
    played = Cassette.open(path, "replay").play(request)
    assert played is not None
    assert played.vectors is not None
    assert played.vectors.to_array().shape == (0, 5)


def test_the_nth_repeat_plays_the_nth_recording_and_one_more_says_that_it_is_over(path: Path) -> None:
    recorded(path, (asked("roll"), answer("1")), (asked("flip"), answer("heads")), (asked("roll"), answer("2")))
    cassette = Cassette.open(path, "replay")
    texts = [r.text for _ in range(2) if (r := cassette.play(asked("roll")))]
    assert texts == ["1", "2"]
    with pytest.raises(CassetteMiss, match=r"'roll' 2 times \(line 4 last\).*played"):
        cassette.play(asked("roll"))
    flipped = cassette.play(asked("flip"))
    assert flipped is not None
    assert flipped.text == "heads"
    cassette.rewind()
    again = cassette.play(asked("roll"))
    assert again is not None
    assert again.text == "1"


def test_repeats_played_by_many_threads_are_each_played_once(path: Path) -> None:
    recorded(path, *((asked("roll"), answer(str(i))) for i in range(200)))
    cassette = Cassette.open(path, "replay")
    with ThreadPoolExecutor(8) as pool:
        played = list(pool.map(lambda _: cassette.play(asked("roll")), range(200)))
    assert sorted(int(r.text or "") for r in played if r) == list(range(200))


@pytest.mark.parametrize(
    ("request_", "differs"),
    [
        (asked("What is the capital of Spain?", temperature=0), r"message 1 \(user\), character 24.*France.*Spain"),
        (asked("What is the capital of France?", temperature=0.5), r"temperature \(recorded: 0; now: 0.5\)"),
        (asked("What is the capital of France?"), r"temperature \(recorded: 0; now: not given\)"),
        (asked("What is the capital of France?", temperature=0, seed=1), r"seed \(recorded: not given; now: 1\)"),
        (
            asked("What is the capital of France?", "Paris.", temperature=0),
            r"number of messages \(recorded: 1; now: 2\)",
        ),
        (render("embed", ["What is the capital of France?"], {"temperature": 0}), r"operation"),
        (
            render("chat", [Message("system", (Text("What is the capital of France?"),))], {"temperature": 0}),
            r"role of message 1 \(recorded: user; now: system\)",
        ),
        (
            render(
                "chat",
                [Message("user", (Text("What is the capital of France?"), Image("png", b"x")))],
                {"temperature": 0},
            ),
            r"image or another part of message 1",
        ),
    ],
)
def test_a_miss_names_the_closest_recording_and_the_first_difference(
    path: Path, request_: Rendered, differs: str
) -> None:
    recorded(
        path,
        (asked("Write a poem about rivers and the sea, in four lines."), answer("...")),
        (asked("What is the capital of France?", temperature=0), answer("Paris")),
        (render("embed", ["some other text"], {}), replace(RECORDING, text=None, vectors=Vectors(1, b"0000"))),
    )
    with pytest.raises(CassetteMiss, match=f"line 3, 'What is the capital of France\\?'.*{differs}") as missed:
        Cassette.open(path, "replay").play(request_)
    assert "SEKHA_MODE=record" in missed.value.hint


def test_a_miss_with_the_same_words_prefers_the_fewest_other_options(path: Path) -> None:
    recorded(
        path,
        (asked("hi", temperature=1, seed=2, model="a"), answer("1")),
        (asked("hi", temperature=1, seed=3), answer("2")),
    )
    with pytest.raises(CassetteMiss, match=r"line 3.*seed \(recorded: 3; now: 4\)"):
        Cassette.open(path, "replay").play(asked("hi", temperature=1, seed=4))


@pytest.mark.parametrize("content", ["", "x" * 100_000, "\x1b[2J\n<script>", "{}{{ }}"])
def test_a_miss_is_one_short_line_whatever_was_asked(path: Path, content: str) -> None:
    recorded(path, (asked("hello\n\x1b[31m"), answer("hi")))
    with pytest.raises(CassetteMiss) as missed:
        Cassette.open(path, "replay").play(asked(content))
    assert len(missed.value.message) < 500
    assert missed.value.message.isprintable()


# --- the modes -----------------------------------------------------------------------------------


def test_auto_plays_what_there_is_and_appends_what_there_is_not(path: Path) -> None:
    recorded(path, (asked("a"), answer("1")))
    before = path.read_bytes()
    cassette = Cassette.open(path, "auto")
    assert cassette.play(asked("a")) == answer("1")
    assert cassette.play(asked("b")) is None
    assert path.read_bytes() == before
    cassette.record(asked("b"), answer("2"), CATALOGUE)
    assert path.read_bytes().startswith(before)
    assert cassette.play(asked("b")) is None, "the second time in one session is a second recording"
    cassette.record(asked("b"), answer("3"), CATALOGUE)
    replayed = Cassette.open(path, "replay")
    assert [r.text for x in "abb" if (r := replayed.play(asked(x)))] == ["1", "2", "3"]


def test_a_live_answer_that_never_came_leaves_the_order_of_recordings_alone(path: Path) -> None:
    cassette = Cassette.open(path, "auto")
    assert cassette.play(asked("a")) is None
    assert cassette.play(asked("a")) is None
    cassette.record(asked("a"), answer("1"), CATALOGUE)
    again = Cassette.open(path, "replay").play(asked("a"))
    assert again is not None
    assert again.text == "1"


def test_recording_begins_anew_with_the_first_answer_and_not_before(path: Path) -> None:
    recorded(path, (asked("old"), answer("old")))
    before = path.read_bytes()
    cassette = Cassette.open(path, "record")
    assert cassette.play(asked("old")) is None
    assert path.read_bytes() == before
    cassette.record(asked("new"), answer("1"), CATALOGUE)
    cassette.record(asked("new"), answer("2"), CATALOGUE)
    replayed = Cassette.open(path, "replay")
    assert [r.text for _ in "12" if (r := replayed.play(asked("new")))] == ["1", "2"]
    with pytest.raises(CassetteMiss):
        replayed.play(asked("old"))


def test_recording_the_same_answers_again_changes_no_byte(path: Path) -> None:
    pairs = [(asked("a", seed=1), answer("1")), (asked("b"), answer("2"))]
    first = recorded(path, *pairs).read_bytes()
    assert recorded(path, *pairs).read_bytes() == first


def test_one_changed_answer_changes_one_line(path: Path) -> None:
    before = recorded(path, (asked("a"), answer("1")), (asked("b"), answer("2"))).read_text().split("\n")
    after = recorded(path, (asked("a"), answer("1")), (asked("b"), answer("3"))).read_text().split("\n")
    assert [i for i, (x, y) in enumerate(zip(before, after, strict=True)) if x != y] == [2]


def test_two_kernels_that_record_at_once_do_not_begin_over_each_other(path: Path) -> None:
    recorded(path, (asked("old"), answer("old")))
    one, other = Cassette.open(path, "record"), Cassette.open(path, "record")
    one.record(asked("a"), answer("1"), CATALOGUE)
    other.record(asked("b"), answer("2"), CATALOGUE)
    one.record(asked("c"), answer("3"), CATALOGUE)
    replayed = Cassette.open(path, "replay")
    assert [r.text for x in "abc" if (r := replayed.play(asked(x)))] == ["1", "2", "3"]
    assert replayed.recordings == 3


def test_another_catalogue_adds_a_header_and_the_last_one_counts(path: Path) -> None:
    cassette = Cassette.open(path, "auto")
    cassette.record(asked("a"), answer("1"), CATALOGUE)
    cassette.record(asked("b"), answer("2"), OTHER_CATALOGUE)
    cassette.record(asked("c"), answer("3"), OTHER_CATALOGUE)
    kinds = ["catalogue" in json.loads(line) for line in path.read_text().splitlines()]
    assert kinds == [True, False, True, False, False]
    replayed = Cassette.open(path, "replay")
    assert replayed.catalogue == OTHER_CATALOGUE
    assert [r.text for x in "abc" if (r := replayed.play(asked(x)))] == ["1", "2", "3"]


def test_live_neither_reads_nor_writes(path: Path) -> None:
    path.write_text("this is my diary")
    cassette = Cassette.open(path, "live")
    assert cassette.play(asked("a")) is None
    cassette.record(asked("a"), RECORDING, CATALOGUE)
    assert path.read_text() == "this is my diary"
    assert cassette.catalogue is None


def test_replay_is_never_written(path: Path) -> None:
    cassette = Cassette.open(recorded(path, (asked("a"), RECORDING)), "replay")
    before = path.read_bytes()
    with pytest.raises(InvalidInput):
        cassette.record(asked("b"), RECORDING, CATALOGUE)
    assert path.read_bytes() == before


def test_answers_recorded_by_many_threads_are_whole_lines(path: Path) -> None:
    cassette = Cassette.open(path, "auto")
    texts = [f"{i} " + "x" * (i * 97 % 5000) for i in range(120)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda t: cassette.record(asked(t), answer(t), CATALOGUE), texts))
    replayed = Cassette.open(path, "replay")
    assert [r.text for t in texts if (r := replayed.play(asked(t)))] == texts


def test_answers_recorded_by_several_processes_are_whole_lines(path: Path) -> None:
    recorded(path, (asked("seed"), RECORDING))
    script = Path(__file__).with_name("record_many.py")
    children = [
        subprocess.Popen([sys.executable, str(script), str(path), name], cwd=path.parent) for name in ("x", "y")
    ]
    assert [child.wait(120) for child in children] == [0, 0]
    assert Cassette.open(path, "replay").recordings == 1 + 2 * 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_plays_and_records_though_a_thread_held_the_lock(path: Path) -> None:
    script = Path(__file__).with_name("fork_while_locked.py")
    done = subprocess.run([sys.executable, str(script), str(path)], timeout=120, check=False)
    assert done.returncode == 0
    assert Cassette.open(path, "replay").recordings == 2


# --- what stands in the file ---------------------------------------------------------------------


def test_keys_are_removed_from_everything_people_or_models_wrote(path: Path) -> None:
    secret = "sk-very-secret"
    request = asked(f"my key is {secret}", params={"header": {secret: [secret]}}, schema={"title": secret})
    leaky = replace(
        RECORDING,
        choice=replace(CHOICE, reason=secret),
        text=f"you said {secret}",
        served_model=secret,
        finish_reason=secret,
        notes=(secret,),
    )
    cassette = Cassette.open(path, "record", redact=lambda text: text.replace(secret, "***"))
    cassette.record(request, leaky, CATALOGUE)
    assert secret not in path.read_text()
    played = Cassette.open(path, "replay").play(request)
    assert played is not None, "a request is found again although its text is not in the file"
    assert played.text == "you said ***"


def test_no_miss_shows_a_key(path: Path) -> None:
    def redact(text: str) -> str:
        return text.replace("SECRET", "***")

    cassette = Cassette.open(path, "record", redact=redact)
    cassette.record(asked("use SECRET"), RECORDING, CATALOGUE)
    replayed = Cassette.open(path, "replay", redact=redact)
    for request in (asked("SECRET", model="SECRET"), asked("use SECRET!")):
        with pytest.raises(CassetteMiss) as missed:
            replayed.play(request)
        assert "SECRET" not in str(missed.value)


def test_a_request_that_differs_only_in_a_removed_key_is_told_so(path: Path) -> None:
    cassette = Cassette.open(path, "record", redact=lambda text: text.replace("SECRET", "***"))
    cassette.record(asked("use SECRET"), RECORDING, CATALOGUE)
    with pytest.raises(CassetteMiss, match="removed from the recording because it was a key"):
        Cassette.open(path, "replay").play(asked("use ***"))


def test_the_file_is_read_by_people_one_line_a_recording(path: Path) -> None:
    recorded(path, (asked("Wie heißt die Hauptstadt?", temperature=0.5, model="tiny"), answer("Größe 😀")))
    header, line, end = path.read_text("utf-8").split("\n")
    assert end == ""
    assert list(json.loads(header)) == ["cassette", "catalogue"]
    value = json.loads(line)
    assert list(value) == ["key", "request", "decision", "answer"]
    assert list(value["request"]) == ["operation", "messages", "model", "temperature"]
    assert "Wie heißt die Hauptstadt?" in line
    assert "Größe 😀" in line


@pytest.mark.parametrize("text", ["\x1b[2J", "\u202egnp.exe", "\x9b31m", "a\u2028b\u0085c\x0cd", "\ud800", "\x00"])
def test_no_character_in_the_file_can_deceive_its_reader(path: Path, text: str) -> None:
    recorded(path, (asked(text), answer(text)))
    content = path.read_text("utf-8")
    assert all(c.isprintable() or c == "\n" for c in content)
    assert len(content.splitlines()) == 2
    played = Cassette.open(path, "replay").play(asked(text))
    assert played is not None
    assert played.text == text


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
money = st.none() | st.decimals(0, 1000, places=12, allow_nan=False)
options = st.fixed_dictionaries(
    {},
    optional={
        "task": texts,
        "model": texts,
        "temperature": st.floats(0, 2),
        "seed": st.integers(0, 2**63),
        "params": st.dictionaries(texts, json_values, max_size=3),
        "max_cost": st.decimals(0, 100, allow_nan=False),
        "local_only": st.booleans(),
    },
)
sources = st.sampled_from(["reported", "computed", "free", "unpriced", "estimated"])
recordings = st.builds(
    Recording,
    choice=st.builds(Choice, texts, texts, texts, texts, texts, texts, money),
    provider_id=texts,
    provider_type=texts,
    model_id=texts,
    cost=st.builds(Cost, money, sources, st.none(), st.none() | st.dates()),
    usage=st.none() | st.builds(Usage, *[st.integers(0, 10**9)] * 5),
    served_model=st.none() | texts,
    finish_reason=st.none() | texts,
    text=texts,
    notes=st.lists(texts, max_size=2).map(tuple),
)  # fmt: skip


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.lists(texts, min_size=1, max_size=3), options, recordings), min_size=1, max_size=6))
def test_whatever_is_recorded_is_played_in_order(
    tmp_path: Path, session: Sequence[tuple[list[str], dict[str, Any], Recording]]
) -> None:
    path = tmp_path / "any.jsonl"
    recorded(path, *((asked(*said, **given_), recording) for said, given_, recording in session))
    replayed = Cassette.open(path, "replay")
    for said, given_, recording in session:
        assert replayed.play(asked(*said, **given_)) == recording


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_file_is_read_or_refused_but_never_crashes(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "damaged.jsonl"
    recorded(path, (asked("a", seed=3), answer("1")), (asked("b"), answer("2")))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    target: Any = data.draw(st.sampled_from(lines))
    while isinstance(target, dict | list) and target:
        step = data.draw(st.sampled_from(sorted(target) if isinstance(target, dict) else range(len(target))))
        if data.draw(st.booleans()) or not isinstance(target[step], dict | list) or not target[step]:
            target[step] = data.draw(json_values)
            break
        target = target[step]
    path.write_text("\n".join(map(json.dumps, lines)))
    try:
        Cassette.open(path, "replay").play(asked("a", seed=3))
    except SekhaError as error:
        assert "damaged.jsonl" in str(error)


# --- files that are not as they should be --------------------------------------------------------

HEADER = json.dumps({"cassette": 1, "catalogue": CATALOGUE.to_json()})
BODY = json.dumps({"key": "k", "request": {}, **RECORDING.to_json(str)})


def changed(**changes: Any) -> str:
    value = json.loads(BODY)
    for name, new in changes.items():
        section, _, field = name.partition("__")
        if field:
            value[section][field] = new
        else:
            value[section] = new
    return json.dumps(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not a cassette\n", "not a cassette"),
        (b"\xff\xfe\x00binary", "not a cassette"),
        ('{"cells": [], "nbformat": 4}', "not a cassette"),
        ("[1, 2]", "not a cassette"),
        ("[" * 100_000, "not a cassette"),
        ('{"cassette": 2, "catalogue": {}}', "line 1: .*version 2; version 1 can be read"),
        ('{"cassette": 1}', "line 1 is damaged"),
        ('{"cassette": 1, "catalogue": {"entries": [{"price": 3}], "rules": {}}}', "line 1 is damaged"),
        (f"{HEADER}\n{BODY}\n{BODY[:100]}", "line 3 is damaged.*cut short"),
        (f"{HEADER}\n<<<<<<< HEAD\n{BODY}\n", "line 2 is damaged"),
        (f"{HEADER}\n17\n", "line 2 is damaged"),
        (f"{HEADER}\n{{}}\n", "line 2 is damaged"),
        (f"{HEADER}\n{changed(key=3)}", "`key`"),
        (f"{HEADER}\n{changed(answer=None)}", "`answer`"),
        (f"{HEADER}\n{changed(answer__text=None)}", "either `text` or `vectors`"),
        (f"{HEADER}\n{changed(answer__text=['<b>'])}", "`text`"),
        (f"{HEADER}\n{changed(answer__notes=[1])}", "`notes`"),
        (f"{HEADER}\n{changed(answer__usage={'input_tokens': -1})}", "`input_tokens`"),
        (f"{HEADER}\n{changed(answer__cost={'source': 'stolen'})}", "'stolen'"),
        (f"{HEADER}\n{changed(answer__cost={'source': 'free', 'price_as_of': 'once'})}", "line 2 is damaged"),
        (f"{HEADER}\n{changed(decision__estimated_cost='cheap')}", "`estimated_cost`"),
        (f"{HEADER}\n{changed(decision__estimated_cost='1E-999999999')}", "`estimated_cost`"),
        (f"{HEADER}\n{changed(decision__estimated_cost='-1')}", "`estimated_cost`"),
        (f"{HEADER}\n{changed(answer__text=None, answer__dimension=2, answer__vectors=['AAAA'])}", "not 2 numbers"),
        (f"{HEADER}\n{changed(answer__text=None, answer__dimension=1, answer__vectors=['*'])}", "not base64"),
        (f"{HEADER}\n{changed(answer__text=None, answer__vectors=['AAAA'])}", "`dimension`"),
    ],
)
@pytest.mark.parametrize("mode", ["replay", "auto"])
def test_a_file_that_cannot_be_used_is_refused_with_line_and_hint(
    path: Path, mode: str, content: str | bytes, message: str
) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError, match=message) as refused:
        Cassette.open(path, mode)
    assert str(path) in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("prefix", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\n\n"])
def test_what_editors_and_version_control_do_to_a_text_file_does_no_harm(path: Path, prefix: bytes, end: bytes) -> None:
    path.write_bytes(prefix + end.join([HEADER.encode(), BODY.encode()]))
    cassette = Cassette.open(path, "auto")
    assert cassette.recordings == 1
    cassette.record(asked("more"), answer("2"), CATALOGUE)
    assert Cassette.open(path, "replay").recordings == 2, "a line is not glued to one that has no line feed"


@pytest.mark.parametrize("content", ["dear diary", '{"cells": []}', "[]"])
def test_recording_refuses_to_overwrite_what_is_no_cassette(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ConfigError, match="not a cassette"):
        Cassette.open(path, "record")
    assert path.read_text() == content


@pytest.mark.parametrize("mode", ["record", "auto"])
def test_an_empty_file_is_a_cassette_without_recordings(path: Path, mode: str) -> None:
    path.touch()
    cassette = Cassette.open(path, mode)
    assert cassette.catalogue is None
    cassette.record(asked("a"), RECORDING, CATALOGUE)
    assert Cassette.open(path, "replay").recordings == 1


def test_a_cassette_without_recordings_is_still_a_cassette(path: Path) -> None:
    assert Cassette.open(path, "auto")
    assert "0 recordings" in repr(Cassette.open(path, "record"))


@pytest.mark.parametrize("content", [None, "", HEADER])
def test_replaying_nothing_is_an_error_at_once(path: Path, content: str | None) -> None:
    if content is not None:
        path.write_text(content)
    with pytest.raises(CassetteMiss, match=path.name) as missed:
        Cassette.open(path, "replay")
    assert "record" in missed.value.hint


def test_a_file_that_cannot_be_written_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()
    with pytest.raises(ConfigError, match="cannot be used"):
        Cassette.open(blocker / "cassette.jsonl", "record")
    with pytest.raises(ConfigError, match="is no file"):
        Cassette.open(tmp_path, "record")
    cassette = Cassette.open(blocker / "cassette.jsonl", "auto")
    with pytest.raises(ConfigError, match="cannot be used"):
        cassette.play(asked("a"))
    with pytest.raises(ConfigError, match="cannot be used"):
        cassette.record(asked("a"), RECORDING, CATALOGUE)


def test_folders_on_the_way_are_made_and_nothing_else_is_left_there(tmp_path: Path) -> None:
    path = tmp_path / "notebooks" / "cassettes" / "a.jsonl"
    recorded(path, (asked("a"), RECORDING))
    assert [p.name for p in path.parent.iterdir()] == ["a.jsonl"]


def test_an_unknown_mode_names_those_there_are(path: Path) -> None:
    with pytest.raises(ConfigError, match="'rewind'") as refused:
        Cassette.open(path, "rewind")
    assert "record, replay, auto or live" in refused.value.hint


# --- the environment -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, None),
        ({"SEKHA_CASSETTE": "", "SEKHA_MODE": ""}, None),
        ({"SEKHA_MODE": "live"}, None),
        ({"SEKHA_CASSETTE": "a.jsonl"}, (Path("a.jsonl"), "auto")),
        ({"SEKHA_CASSETTE": " a.jsonl ", "SEKHA_MODE": " REPLAY "}, (Path("a.jsonl"), "replay")),
        ({"SEKHA_CASSETTE": "a.jsonl", "SEKHA_MODE": "live"}, (Path("a.jsonl"), "live")),
    ],
)
def test_the_environment_names_file_and_mode(environ: dict[str, str], expected: object) -> None:
    assert from_environment(environ) == expected


@pytest.mark.parametrize("environ", [{"SEKHA_MODE": "replay"}, {"SEKHA_CASSETTE": "a", "SEKHA_MODE": "reply"}])
def test_half_a_setting_or_a_wrong_one_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="SEKHA_MODE"):
        from_environment(environ)
