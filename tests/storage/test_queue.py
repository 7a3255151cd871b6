"""The queue: all of a batch or none, in order, once, from any process and thread."""

from __future__ import annotations

import os
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sekha_magics.storage.queue import Queue, QueuedRow, payload_of


def rows(*ids: str) -> list[QueuedRow]:
    return [QueuedRow(i, payload_of({"t": [{"id": i}]}), f'{{"text of {i}":"body"}}') for i in ids]


@pytest.fixture
def queue(tmp_path: Path):
    queue = Queue(tmp_path / "new" / "queue.sqlite")
    yield queue
    queue.close()


def test_reading_makes_no_file(queue: Queue) -> None:
    assert queue.read() == [] and len(queue) == 0 and not queue.path.parent.exists()


def test_rows_come_back_in_the_order_of_their_ids(queue: Queue) -> None:
    queue.append(rows("b", "c"))
    queue.append(rows("a"))
    assert queue.read()[0] == QueuedRow("a", '{"t":{"id":["a"]}}', '{"text of a":"body"}')
    assert [row.event_id for row in queue.read()] == ["a", "b", "c"] and len(queue) == 3
    assert queue.read(after="a", limit=1, texts=False) == [QueuedRow("b", '{"t":{"id":["b"]}}')]


def test_a_row_appended_again_is_there_once(queue: Queue) -> None:
    queue.append(rows("a"))
    queue.append(rows("a", "b"))
    assert [row.event_id for row in queue.read()] == ["a", "b"]


def test_a_row_that_was_deleted_is_gone_and_no_other(queue: Queue) -> None:
    queue.append(rows("a", "b"))
    queue.delete(["a", "never there"])
    assert [row.event_id for row in queue.read()] == ["b"]


def test_a_batch_that_breaks_leaves_nothing(queue: Queue) -> None:
    queue.append(rows("a"))

    def broken():
        yield rows("b")[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        queue.append(broken())
    with pytest.raises(sqlite3.IntegrityError):
        queue.append([*rows("b"), QueuedRow("c", None)])
    assert [row.event_id for row in queue.read()] == ["a"]
    queue.append(rows("b"))
    assert len(queue) == 2


def test_it_can_be_used_again_after_close(queue: Queue) -> None:
    queue.append(rows("a"))
    queue.close()
    queue.append(rows("b"))
    assert len(queue) == 2


def test_two_queues_on_one_file_see_each_other(queue: Queue) -> None:
    other = Queue(queue.path)
    queue.append(rows("a"))
    other.append(rows("b"))
    assert queue.read() == other.read() and len(queue) == 2
    other.close()
    queue.append(rows("c"))
    assert len(queue) == 3


def test_many_threads_share_one(queue: Queue) -> None:
    def write(thread: int) -> None:
        for n in range(50):
            queue.append(rows(f"{thread}-{n}"))

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert len({row.event_id for row in queue.read()}) == 300


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_file_deleted_by_somebody_is_made_anew_and_known_for_another(queue: Queue) -> None:
    queue.append(rows("a"))
    before = queue.generation
    for file in queue.path.parent.iterdir():
        file.unlink()
    queue.append(rows("b"))
    assert [row.event_id for row in Queue(queue.path).read()] == ["b"]
    assert queue.generation > before


def test_a_writer_that_stays_busy_is_waited_for_and_then_reported(queue: Queue) -> None:
    queue.append(rows("a"))
    other = sqlite3.connect(queue.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    release = threading.Timer(0.3, lambda: other.execute("COMMIT"))
    release.start()
    queue.append(rows("b"))
    release.join()
    assert len(queue) == 2
    other.execute("BEGIN IMMEDIATE")
    assert len(queue) == 2, "reading waits for nobody"
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        queue.append(rows("c"))
    other.execute("COMMIT")
    other.close()
    queue.append(rows("c"))
    assert len(queue) == 3


def test_a_file_locked_from_the_start_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "queue.sqlite"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE t (a)")
    other.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.3, lambda: (other.execute("COMMIT"), other.close()))
    release.start()
    queue = Queue(path)
    queue.append(rows("a"))
    release.join()
    assert len(queue) == 1
