"""Several kernels on one ledger, folds in between, deaths at any moment: every row is seen, and seen once."""

from __future__ import annotations

import multiprocessing
import os
import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from sekha_magics.ledger.store import Ledger

from .events import event

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


@contextmanager
def running(script: str, *arguments: object):
    """A script of this folder in a process of its own, killed at the end at the latest."""
    command = [sys.executable, "-m", f"tests.ledger.{script}", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ids(ledger: Ledger) -> list[str]:
    return list(ledger.decisions()["decision_id"])


def test_two_writers_a_program_that_holds_the_file_and_folds_in_between(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    ours = Ledger(path)
    ours.append(event())
    ours.flush()
    written = {ids(ours)[0]}
    seen: set[str] = set()
    with running("hold_open", path) as holder:
        assert holder.stdout.readline().strip() == "1"
        with running("append_some", path, 150) as one, running("append_some", path, 150) as two:
            while one.poll() is None or two.poll() is None:
                now = ids(ours)
                assert len(now) == len(set(now)) and seen <= set(now), "a row was seen twice, or no longer"
                seen = set(now)
                mine = event()
                ours.append(mine)
                written.add(mine.decision.decision_id)
                assert mine.decision.decision_id in ids(ours), "its own event is not seen at once"
                ours.flush()
            for writer in (one, two):
                assert writer.returncode == 0
                written |= set(writer.stdout.read().split())
        assert sorted(ids(ours)) == sorted(written) and len(written) > 301
        assert len(ours.calls()) == len(written)
        ours.flush()
        assert sorted(ids(ours)) == sorted(written)
        holder.stdin.close()
        assert holder.stdout.readline().strip() == "1", "whoever holds the file keeps what they opened"


@pytest.mark.parametrize("seed", range(4))
def test_a_kill_at_any_moment_loses_no_row_that_was_acknowledged(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "ledger.duckdb"
    chance = random.Random(seed)
    acknowledged: set[str] = set()
    for _ in range(2):
        with running("append_until_killed", path, "fold") as writer:
            for _ in range(chance.randint(1, 400)):
                acknowledged.add(writer.stdout.readline().strip())
            writer.kill()
            # What was said between the last line read and the death was acknowledged as well.
            acknowledged |= {line for line in writer.stdout.read().split("\n")[:-1] if len(line) == 32}
    reader = Ledger(path)
    found = ids(reader)
    assert acknowledged <= set(found) and len(found) == len(set(found))
    calls = reader.calls(content=True)
    assert len(calls) == len(found) and set(calls["prompt"]) == {"the same every time"}
    reader.flush()
    assert sorted(ids(reader)) == sorted(found)
    reader.close()
    assert list(tmp_path.glob("*.fold-*")) == [], "what the killed fold left is cleaned by the next"


def test_many_threads_append_at_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")

    def write(_thread: int) -> list[str]:
        events = [event() for _ in range(12)]
        for one in events:
            ledger.append(one)
            assert one.decision.decision_id in ids(ledger)
        return [one.decision.decision_id for one in events]

    with ThreadPoolExecutor(6) as pool:
        written = pool.map(write, range(6))
        ledger.flush()
    expected = sorted(each for some in written for each in some)
    assert sorted(ids(ledger)) == expected and len(expected) == 72
    ledger.close()
    assert sorted(ids(ledger)) == expected


def append_in_child(path: Path, together: multiprocessing.synchronize.Barrier, count: int) -> None:
    ledger = Ledger(path)
    together.wait()
    for _ in range(count):
        ledger.append(event())
    ledger.close()


def test_processes_that_begin_a_ledger_together_share_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "new" / "ledger.duckdb"
    together = context.Barrier(3)
    children = [context.Process(target=append_in_child, args=(path, together, 40)) for _ in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0
    assert len(set(ids(Ledger(path)))) == 120


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_writes_to_the_ledger_it_inherited(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.append(event())
    busy = threading.Event()
    stop = threading.Event()

    def write_on() -> None:
        while not stop.is_set():
            ledger.append(event())
            busy.set()

    writer = threading.Thread(target=write_on)
    writer.start()
    busy.wait()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                for _ in range(10):
                    ledger.append(event(reason="from a child"))
                ledger.close()
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    stop.set()
    writer.join()
    # The parent goes first: what the children write later must not land in files it has swept away.
    ledger.close()
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 6
    frame = ledger.decisions()
    assert (frame["reason"] == "from a child").sum() == 60 and frame["decision_id"].is_unique


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_child_that_outlives_its_parent_loses_nothing(tmp_path: Path) -> None:
    with running("fork_and_leave", tmp_path / "ledger.duckdb") as parent:
        parent.wait()
        said = parent.stdout.read().split()
    ledger = Ledger(tmp_path / "ledger.duckdb")
    assert said[-1] == "done"
    assert sorted(said[:-1]) == sorted(ids(ledger)) and len(said) == 42


def test_a_process_that_ends_without_close_has_folded_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    with running("append_some", path, 3) as writer:
        assert writer.wait() == 0
    assert path.exists() and ids_by_duckdb_alone(path) == 3


def ids_by_duckdb_alone(path: Path) -> int:
    import duckdb

    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM costs").fetchone() is not None
        return int(connection.sql("SELECT count(*) FROM decisions").fetchone()[0])
