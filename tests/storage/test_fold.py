"""Folding tables of any room, rows nobody understands, and what a fold leaves behind."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import filelock
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics.errors import LedgerError
from sekha_magics.storage.fold import fold
from sekha_magics.storage.migrations import Migration
from sekha_magics.storage.queue import Queue, QueuedRow
from sekha_magics.storage.tables import Tables
from sekha_magics.storage.union import reading

THINGS = Tables(
    room="things",
    steps=(
        Migration(
            "001_things",
            'CREATE TABLE IF NOT EXISTS "odd ""name" (id VARCHAR, n BIGINT, said VARCHAR, tags VARCHAR[], more JSON);'
            "CREATE TABLE IF NOT EXISTS pairs (a VARCHAR, b BIGINT);",
        ),
    ),
    keys={'odd "name': ("id",), "pairs": ("a", "b")},
    views='CREATE OR REPLACE VIEW counted AS SELECT count(*) AS n FROM "odd ""name"',
)
ODD = 'odd "name'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "it's" / "things.duckdb"


@pytest.fixture
def queue(path: Path):
    queue = Queue(path.with_name("queue.sqlite"))
    yield queue
    queue.close()


def put(queue: Queue, event_id: str, payload: object) -> None:
    queue.append([QueuedRow(event_id, payload if isinstance(payload, str) else json.dumps(payload))])


def read(path: Path, queue: Queue, query: str = 'SELECT id, n FROM "odd ""name" ORDER BY id') -> list[tuple]:
    with reading(path, queue.read, THINGS) as connection:
        return connection.execute(query).fetchall()


def test_an_empty_queue_makes_no_file(path: Path, queue: Queue) -> None:
    assert fold(path, queue, THINGS, wait=1).rows == 0
    assert not path.exists() and read(path, queue) == [] and read(path, queue, "FROM counted") == [(0,)]


def test_rows_are_the_same_before_and_after(path: Path, queue: Queue) -> None:
    put(queue, "1", {ODD: {"id": ["x", "y"], "n": [1, None]}, "pairs": {"a": ["x", "x"], "b": [1, 2]}})
    put(queue, "2", {ODD: {"id": ["z"], "said": ["hello"], "tags": [["p", "q"]], "more": ['{"a": 1}']}})
    everything = 'SELECT * FROM "odd ""name" ORDER BY id'
    before = read(path, queue, everything)
    assert before == [
        ("x", 1, None, None, None),
        ("y", None, None, None, None),
        ("z", None, "hello", ["p", "q"], '{"a": 1}'),
    ]
    assert fold(path, queue, THINGS, wait=1)[:2] == (2, "")
    assert len(queue) == 0 and read(path, queue, everything) == before
    assert read(path, queue, "SELECT * FROM pairs ORDER BY b") == [("x", 1), ("x", 2)]
    assert read(path, queue, "FROM counted") == [(3,)]


def test_of_two_rows_with_one_key_the_first_stays(path: Path, queue: Queue) -> None:
    put(queue, "1", {ODD: {"id": ["x", "x"], "n": [1, 2]}})
    put(queue, "2", {ODD: {"id": ["x", "y"], "n": [3, 4]}})
    assert read(path, queue) == [("x", 1), ("y", 4)]
    fold(path, queue, THINGS, wait=1)
    put(queue, "3", {ODD: {"id": ["x", "z"], "n": [5, 6]}})
    assert read(path, queue) == [("x", 1), ("y", 4), ("z", 6)]
    fold(path, queue, THINGS, wait=1)
    assert read(path, queue) == [("x", 1), ("y", 4), ("z", 6)]


def test_a_row_still_queued_after_it_was_folded_is_met_once(path: Path, queue: Queue) -> None:
    put(queue, "1", {ODD: {"id": ["x"], "n": [1]}})
    still = queue.read()
    fold(path, queue, THINGS, wait=1)
    queue.append(still)
    assert read(path, queue) == [("x", 1)]
    fold(path, queue, THINGS, wait=1)
    assert read(path, queue) == [("x", 1)] and len(queue) == 0


NOT_UNDERSTOOD = [
    "not json",
    "[1]",
    "[" * 100_000,
    {"unknown": {"id": ["x"]}},
    {ODD: {"id": ["x"], "colour": ["red"]}},
    {ODD: {"n": [1]}},
    {ODD: {"id": ["x"], "n": []}},
    {ODD: {"id": [None]}},
    {ODD: {"id": [["x"]]}},
    {ODD: {"id": "x"}},
    {ODD: ["x"]},
    {"counted": {"n": [1]}},
]


@pytest.mark.parametrize("payload", NOT_UNDERSTOOD, ids=lambda payload: str(payload)[:30])
def test_a_row_of_a_newer_version_stays_queued_and_stops_nobody(path: Path, queue: Queue, payload: object) -> None:
    put(queue, "1", payload if isinstance(payload, str) else json.dumps(payload))
    assert fold(path, queue, THINGS, wait=1).rows == 0 and not path.exists()
    put(queue, "2", {ODD: {"id": ["y"], "n": [1]}})
    assert read(path, queue) == [("y", 1)]
    assert fold(path, queue, THINGS, wait=1).rows == 1
    assert [row.event_id for row in queue.read()] == ["1"] and read(path, queue) == [("y", 1)]


def test_a_value_of_another_type_becomes_missing(path: Path, queue: Queue) -> None:
    put(queue, "1", '{"odd \\"name": {"id": ["a", "b", "c", "d"], "n": ["many", NaN, 1e999, 99999999999999999999]}}')
    put(queue, "2", {ODD: {"id": ["e", "f"], "n": [True, [1]], "tags": ["x", 3], "more": ["{", 1]}})
    put(queue, "3", {ODD: {"id": ["g"], "said": ["half \ud800 pair"]}})
    fold(path, queue, THINGS, wait=1)
    assert len(queue) == 0
    assert read(path, queue) == [
        ("a", None),
        ("b", None),
        ("c", None),
        ("d", None),
        ("e", None),
        ("f", None),
        ("g", None),
    ]
    assert read(path, queue, 'SELECT said FROM "odd ""name" WHERE id = \'g\'') == [("half ? pair",)]


values = st.fixed_dictionaries(
    {},
    optional={
        "n": st.none() | st.integers(-(2**63), 2**63 - 1),
        "said": st.none() | st.text(),
        "tags": st.none() | st.lists(st.text()),
    },
)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.none() | st.tuples(st.sampled_from("abcdef"), values), max_size=12))
def test_any_order_of_appends_and_folds_reads_the_same(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, dict] | None]
) -> None:
    """None is a fold; anything else a row. What is read is what a dictionary that keeps the first would hold."""
    path = tmp_path_factory.mktemp("steps") / "things.duckdb"
    queue = Queue(path.with_name("queue.sqlite"))
    expected: dict[str, tuple] = {}
    for number, step in enumerate(steps):
        if step is None:
            fold(path, queue, THINGS, wait=1)
        else:
            key, row = step
            put(queue, str(number), {ODD: {"id": [key], **{column: [value] for column, value in row.items()}}})
            expected.setdefault(key, (key, row.get("n"), row.get("said"), row.get("tags")))
    found = read(path, queue, 'SELECT id, n, said, tags FROM "odd ""name" ORDER BY id')
    queue.close()
    assert found == [expected[key] for key in sorted(expected)]


def test_a_column_a_newer_version_added_is_kept_and_one_it_lacks_is_missing(path: Path, queue: Queue) -> None:
    newer = replace(THINGS, steps=(*THINGS.steps, Migration("002_c", "ALTER TABLE pairs ADD COLUMN c BIGINT;")))
    put(queue, "1", {"pairs": {"a": ["x"], "b": [1], "c": [9]}})
    fold(path, queue, newer, wait=1)
    put(queue, "2", {"pairs": {"a": ["y"], "b": [2]}})
    fold(path, queue, THINGS, wait=1)
    assert read(path, queue, "SELECT * FROM pairs ORDER BY a") == [("x", 1), ("y", 2)] and read(path, queue) == []
    with reading(path, queue.read, newer) as connection:
        assert connection.execute("SELECT * FROM pairs ORDER BY a").fetchall() == [("x", 1, 9), ("y", 2, None)]
    older = Tables("things", (Migration("000_a", "CREATE TABLE pairs (a VARCHAR)"),), {"pairs": ("a",)})
    other = path.with_name("older.duckdb")
    put(queue, "3", {"pairs": {"a": ["z"]}})
    fold(other, queue, older, wait=1)
    assert read(other, queue, "SELECT * FROM pairs") == [("z", None)]


def test_a_file_of_another_room_is_refused(path: Path, queue: Queue) -> None:
    put(queue, "1", {"pairs": {"a": ["x"], "b": [1]}})
    fold(path, queue, THINGS, wait=1)
    put(queue, "2", {"pairs": {"a": ["y"], "b": [1]}})
    others = replace(THINGS, room="others")
    with pytest.raises(LedgerError, match="not a others of this package"):
        fold(path, queue, others, wait=1)
    assert len(queue) == 1


def test_while_another_folds_this_one_waits_no_longer_than_asked(path: Path, queue: Queue) -> None:
    put(queue, "1", {"pairs": {"a": ["x"], "b": [1]}})
    with filelock.FileLock(f"{path}.lock"):
        assert fold(path, queue, THINGS, wait=0.05)[:2] == (0, "another process is folding")
    assert len(queue) == 1 and fold(path, queue, THINGS, wait=1).rows == 1


def test_what_killed_folds_left_is_removed_and_nothing_else(path: Path, queue: Queue) -> None:
    put(queue, "1", {"pairs": {"a": ["x"], "b": [1]}})
    left = path.with_name("things.duckdb.fold-abc")
    left.mkdir()
    (left / "copy.duckdb").write_bytes(b"half a file")
    mine = path.with_name("things.duckdb.backup")
    mine.write_bytes(b"mine")
    fold(path, queue, THINGS, wait=1)
    assert not left.exists() and mine.exists()
    assert sorted(file.name for file in path.parent.iterdir() if "fold" in file.name) == []


def test_a_reader_keeps_what_it_opened_while_the_file_is_replaced(path: Path, queue: Queue) -> None:
    put(queue, "1", {ODD: {"id": ["x"], "n": [1]}})
    fold(path, queue, THINGS, wait=1)
    with reading(path, queue.read, THINGS) as connection:
        put(queue, "2", {ODD: {"id": ["y"], "n": [2]}})
        if os.name != "nt":
            assert fold(path, queue, THINGS, wait=1).rows == 1
        assert connection.execute("FROM counted").fetchall() == [(1,)]
        assert read(path, queue, "FROM counted") == [(2,)]
        with duckdb.connect(str(path), read_only=True) as other:
            assert other.execute("FROM counted").fetchall() == [(2 if os.name != "nt" else 1,)]


def test_folds_of_many_threads_do_not_disturb_each_other(path: Path, queue: Queue) -> None:
    def work(thread: int) -> None:
        for n in range(5):
            put(queue, f"{thread}-{n}", {ODD: {"id": [f"{thread}-{n}"], "n": [n]}})
            fold(path, queue, THINGS, wait=30)
            found = [row[0] for row in read(path, queue)]
            assert f"{thread}-{n}" in found and len(found) == len(set(found))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(read(path, queue)) == 20


def test_a_long_queue_is_folded_whole(path: Path, queue: Queue) -> None:
    queue.append(QueuedRow(str(n), json.dumps({"pairs": {"a": ["x"], "b": [n]}})) for n in range(12_000))
    assert fold(path, queue, THINGS, wait=1)[:2] == (12_000, "")
    assert read(path, queue, "SELECT count(*), count(DISTINCT b) FROM pairs") == [(12_000, 12_000)]


def test_a_file_that_grows_by_folds_stays_in_proportion(path: Path, queue: Queue) -> None:
    """Every fold rewrites what it touches; blocks it lets go of must be used again."""
    for n in range(40):
        put(queue, str(n), {"pairs": {"a": [f"{n}-{m}" for m in range(20)], "b": list(range(20))}})
        fold(path, queue, THINGS, wait=1)
    assert read(path, queue, "SELECT count(*) FROM pairs") == [(800,)]
    assert path.stat().st_size < 6_000_000


def test_gathered_rows_need_no_queue() -> None:
    gathered = THINGS.gather([QueuedRow("7", "null"), QueuedRow("8", "{}")])
    assert [row.event_id for row in gathered.taken] == ["8"] and gathered.left == 1
