"""A file system where SQLite can have no log (many network ones): events go to a spool of lines, and none is lost.

A folder in the place of the memory that processes share makes SQLite refuse in earnest.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sekha_magics.core.traces import Traces
from sekha_magics.errors import LedgerError
from sekha_magics.ledger.store import Ledger
from sekha_magics.storage.budgets import BudgetFile, Demand, Lease, Refused
from sekha_magics.storage.queue import QueuedRow
from sekha_magics.storage.spool import Spool

from .events import event
from .test_many_at_once import ids, running

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows keeps the memory elsewhere")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("queue", "content", "budgets"):
        (tmp_path / f"{name}.sqlite-shm").mkdir()
    return tmp_path


def spooled(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "spool").iterdir())


def test_events_are_kept_read_by_others_and_folded(folder: Path) -> None:
    ledger, other = Ledger(folder / "ledger.duckdb"), Ledger(folder / "ledger.duckdb")
    with pytest.warns(RuntimeWarning, match=r"writes to .*spool instead of its queue: .* can have no log") as caught:
        for n in range(3):
            ledger.append(event(decision_id=f"d{n}", prompt=f"ask {n}", answer=f"say {n}", second=n))
    assert len(caught) == 1 and ledger.unwritten == 0
    for reader in (ledger, other):
        assert ids(reader) == ["d0", "d1", "d2"]
        assert list(reader.calls(content=True)["prompt"]) == ["ask 0", "ask 1", "ask 2"]
        assert reader.verify().ok
    ledger.flush()
    assert spooled(folder) == [] and ids(other) == ["d0", "d1", "d2"]
    assert list(other.calls(content=True)["response"]) == ["say 0", "say 1", "say 2"]
    ledger.append(event(decision_id="d3", second=3))
    assert ids(other) == ["d0", "d1", "d2", "d3"] and other.verify().ok
    ledger.close()
    assert ids(other) == ["d0", "d1", "d2", "d3"]


def test_kernels_that_are_killed_lose_nothing_that_returned(folder: Path) -> None:
    path = folder / "ledger.duckdb"
    said: set[str] = set()
    with running("append_until_killed", path, "fold") as one, running("append_until_killed", path) as two:
        for writer in (one, two):
            said |= {writer.stdout.readline().strip() for _ in range(60)}
        assert {line for line in said if len(line) == 32} <= set(ids(Ledger(path)))
        for writer in (one, two):
            writer.kill()
            said |= {line for line in writer.stdout.read().split("\n")[:-1] if len(line) == 32}
    reader = Ledger(path)
    found = ids(reader)
    assert said <= set(found) and len(found) == len(set(found))
    reader.flush()
    assert sorted(ids(reader)) == sorted(found) and spooled(folder) == []
    assert reader.verify().ok, str(reader.verify())


def test_a_file_of_a_kernel_that_lives_is_read_and_left_alone(folder: Path) -> None:
    path = folder / "ledger.duckdb"
    with running("append_some", path, 3, "and wait") as writer:
        written = [writer.stdout.readline().strip() for _ in range(3)]
        reader = Ledger(path)
        assert sorted(ids(reader)) == sorted(written)
        reader.flush()
        assert len(spooled(folder)) == 2 and sorted(ids(reader)) == sorted(written)
    reader.flush()
    assert spooled(folder) == [] and sorted(ids(reader)) == sorted(written)


def test_a_line_without_its_end_and_lines_nobody_understands_hide_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.append([QueuedRow("a", "{}"), QueuedRow("b", "{}", '{"x":"y"}')])
    spool.seal()
    (file,) = tmp_path.glob("*.jsonl")
    with file.open("a") as lines:
        lines.write('null\n[1, 2, 3]\n["c"]\nnot json\n' + json.dumps(["d", "{}", ""]) + '\n["torn", "{')
    assert [row.event_id for row in Spool(tmp_path).everything()] == ["a", "b", "d"]
    assert spool.read(after="a", limit=1) == [QueuedRow("b", "{}", '{"x":"y"}')] and len(spool) == 3
    spool.delete(["a", "b"])
    assert [row.event_id for row in spool.everything()] == ["d"]
    spool.delete(["d"])
    assert spool.everything() == [] and file.read_text() == 'null\n[1, 2, 3]\n["c"]\nnot json\n'


def test_a_spool_that_somebody_deleted_begins_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    assert spool.everything() == [] and not (tmp_path / "spool").exists()
    spool.append([QueuedRow("a", "{}")])
    for file in (tmp_path / "spool").iterdir():
        file.unlink()
    spool.append([QueuedRow("b", "{}")])
    assert [row.event_id for row in Spool(tmp_path / "spool").everything()] == ["b"]


def test_budgets_hold_for_each_kernel_alone_and_a_warning_says_so(folder: Path) -> None:
    one, two = BudgetFile(folder / "budgets.sqlite"), BudgetFile(folder / "budgets.sqlite")
    for file in (one, two):
        with pytest.warns(RuntimeWarning, match="Budgets hold for this kernel alone") as caught:
            assert isinstance(file.reserve(60, [Demand("day", 100)]), Lease)
            assert isinstance(file.reserve(60, [Demand("day", 100)]), Refused)
        assert len(caught) == 1 and file.figures(["day"])["day"].reserved == 60
        assert file.per_kernel
        file.close()


def test_a_file_of_budgets_knows_before_anything_is_spent_whether_it_is_shared(folder: Path, tmp_path: Path) -> None:
    (folder / "budgets.sqlite").touch()
    assert BudgetFile(folder / "budgets.sqlite").per_kernel
    sound = tmp_path / "sound"
    assert not BudgetFile(sound / "budgets.sqlite").per_kernel
    sound.mkdir()
    shared = BudgetFile(sound / "budgets.sqlite")
    assert not shared.per_kernel and list(sound.iterdir()) == []
    assert isinstance(shared.reserve(60, [Demand("day", 100)]), Lease)
    assert not shared.per_kernel
    shared.close()
    (sound / "budgets.sqlite").write_bytes(b"no database at all, and long enough to be one" * 50)
    assert not BudgetFile(sound / "budgets.sqlite").per_kernel


def test_what_is_forgotten_leaves_the_spool_too_or_an_error_says_who_has_it(folder: Path) -> None:
    secret = "the umbrella of the lighthouse keeper is green"
    ledger, other = Ledger(folder / "ledger.duckdb"), Ledger(folder / "ledger.duckdb")
    for writer in (ledger, other):
        with pytest.warns(RuntimeWarning, match="instead of its queue"):
            writer.append(event(decision_id=f"d{writer is other}", prompt=secret, answer=secret))
    with pytest.raises(LedgerError, match="still at work") as refused:
        ledger.forget(Traces([secret]))
    assert "close the other kernels" in str(refused.value.hint)
    other.close()
    assert ledger.forget(Traces([secret])) > 0
    assert not [file for file in folder.rglob("*") if file.is_file() and secret.encode() in file.read_bytes()]
    assert ledger.verify().ok
