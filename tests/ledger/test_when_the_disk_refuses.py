"""A ledger that cannot be written costs no answer, and one that cannot be read says why."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import duckdb
import pytest

from sekha_magics.errors import LedgerError
from sekha_magics.ledger.store import Ledger

from .events import event
from .test_many_at_once import ROOT, ids, running

posix = pytest.mark.skipif(os.name == "nt", reason="modes and limits of POSIX")


def test_rows_wait_in_memory_until_the_disk_takes_them(tmp_path: Path) -> None:
    obstacle = tmp_path / "logs"
    obstacle.write_text("a file where the folder should be")
    ledger = Ledger(obstacle / "ledger.duckdb")
    first, second, third = event(prompt="one", second=1), event(prompt="two", second=2), event(prompt="three", second=3)
    with pytest.warns(RuntimeWarning, match="cannot be written; its rows wait in memory") as caught:
        ledger.append(first)
        ledger.append(second)
    assert len(caught) == 1, "it warns once"
    assert ledger.unwritten == 2
    assert list(ledger.calls(content=True)["prompt"]) == ["one", "two"], "its own events are seen all the same"
    with pytest.raises(LedgerError, match="2 events are in memory only"):
        ledger.flush()
    obstacle.unlink()
    ledger.append(third)
    assert ledger.unwritten == 0
    assert list(Ledger(ledger.path).calls(content=True)["prompt"]) == ["one", "two", "three"]
    obstacle.rename(tmp_path / "away")
    obstacle.write_text("again")
    with pytest.warns(RuntimeWarning, match="cannot be written"):
        ledger.append(event())
    with pytest.warns(RuntimeWarning) as caught:
        ledger.close()
    assert any("1 events of the ledger" in str(w.message) and "never written" in str(w.message) for w in caught)


def test_warnings_made_errors_do_not_cost_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "logs").write_text("")
    ledger = Ledger(tmp_path / "logs" / "ledger.duckdb")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ledger.append(event())
    assert ledger.unwritten == 1 and "cannot be written" in caplog.text
    (tmp_path / "logs").unlink()
    ledger.close()
    assert len(ids(ledger)) == 1


@posix
def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with running("fill_the_disk", tmp_path / "ledger.duckdb") as process:
        said = process.stdout.read().split("\n")
    assert said[:3] == ["warned", "some wait", "all seen"], said
    ledger = Ledger(tmp_path / "ledger.duckdb")
    assert len(ids(ledger)) == int(said[3])


def leave_by_closing(path: Path) -> None:
    """Two rows, one of them in a queue that was closed in order but could not be folded."""
    ledger = Ledger(path)
    ledger.append(event())
    ledger.flush()
    ledger.append(event())
    with running("hold_open", path, "for writing") as holder:
        holder.stdout.readline()
        with pytest.warns(RuntimeWarning, match="cannot be folded"):
            ledger.close()


def leave_by_dying(path: Path) -> None:
    """Two rows, both in the log of a queue that nobody closed."""
    with running("append_some", path, 2, "and wait") as process:
        assert len([process.stdout.readline() for _ in range(2)]) == 2


@posix
@pytest.mark.parametrize("leave", [leave_by_closing, leave_by_dying])
def test_in_a_folder_that_may_only_be_read_the_ledger_is_read(leave) -> None:
    # Not below the tests' own folder: a user without rights does not get there.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "logs"
        leave(folder / "ledger.duckdb")
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        Path(name).chmod(0o755)
        command = [sys.executable, "-m", "tests.ledger.read_without_rights", str(folder / "ledger.duckdb")]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        folder.chmod(0o755)
    assert done.stdout.split("\n")[:4] == ["2 with text", "warned", "3", "cannot be written"], done


@posix
def test_every_file_belongs_to_its_user_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        ledger = Ledger(tmp_path / "logs" / "ledger.duckdb")
        ledger.append(event())
        ledger.flush()
        ledger.append(event())
    finally:
        os.umask(old)
    folder = ledger.path.parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert {"ledger.duckdb", "queue.sqlite", "queue.sqlite-wal", "content.sqlite"} <= modes.keys()
    assert set(modes.values()) == {0o600}, modes


def foreign_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE calls (call_id TEXT)")
    connection.close()


def foreign_duckdb(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE calls (call_id VARCHAR)")


def cut_short(path: Path) -> None:
    ledger = Ledger(path)
    ledger.append(event())
    ledger.close()
    path.write_bytes(path.read_bytes()[:10_000])


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda path: path.write_text("my notes"), id="text"),
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(foreign_sqlite, id="sqlite"),
        pytest.param(foreign_duckdb, id="another duckdb"),
    ],
)
def test_a_file_that_is_no_ledger_is_left_alone_and_the_queue_serves(tmp_path: Path, make) -> None:
    path = tmp_path / "mine.duckdb"
    make(path)
    before = path.read_bytes()
    ledger = Ledger(path)
    ledger.append(event())
    for read in (ledger.decisions, ledger.flush, lambda: ledger.sql("SELECT 1")):
        with pytest.raises(LedgerError, match="not a ledger of this package, or it is damaged") as raised:
            read()
        assert "Move the file away" in raised.value.hint
    with pytest.warns(RuntimeWarning, match="cannot be folded"):
        ledger.close()
    assert path.read_bytes() == before
    path.unlink()
    assert len(ids(ledger)) == 1


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="is a folder"):
        Ledger(tmp_path)


def test_a_program_that_writes_the_file_is_named_as_the_reason(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.append(event())
    ledger.flush()
    ledger.append(event())
    with running("hold_open", ledger.path, "for writing") as holder:
        assert holder.stdout.readline().strip() == "1"
        for use in (ledger.flush, ledger.decisions):
            with pytest.raises(LedgerError, match="open for writing in another program") as raised:
                use()
            assert "nothing is lost" in raised.value.hint
        holder.stdin.close()
        holder.wait()
    ledger.flush()
    assert len(ids(ledger)) == 2


def test_connections_of_the_same_kernel_read_beside_it_and_are_named_when_they_write(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.append(event())
    ledger.flush()
    with duckdb.connect(str(ledger.path), read_only=True) as mine:
        for count in (2, 3):
            ledger.append(event())
            assert len(ids(ledger)) == count
            if os.name != "nt":
                ledger.flush()
            assert len(ids(ledger)) == count
        assert mine.sql("SELECT count(*) FROM decisions").fetchone() == (1,), "it keeps what it opened"
    with duckdb.connect(str(ledger.path)):
        ledger.append(event())
        for use in (ledger.flush, ledger.decisions):
            with pytest.raises(LedgerError, match="open for writing by a DuckDB connection of this program"):
                use()
    ledger.flush()
    assert len(ids(ledger)) == 4


def test_changes_another_program_left_beside_the_file_are_not_folded_away(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.append(event())
    ledger.flush()
    wal = tmp_path / "ledger.duckdb.wal"
    wal.write_bytes(b"")
    ledger.append(event())
    with pytest.raises(LedgerError, match=r"ledger\.duckdb\.wal"):
        ledger.flush()
    wal.unlink()
    ledger.flush()
    assert len(ids(ledger)) == 2


@pytest.mark.parametrize("name", ["queue.sqlite", "content.sqlite"])
def test_a_damaged_file_beside_the_ledger_is_set_aside_and_appends_go_on(tmp_path: Path, name: str) -> None:
    rubbish = "not a database, but long enough to be taken for one" * 100
    (tmp_path / name).write_text(rubbish)
    ledger = Ledger(tmp_path / "ledger.duckdb")
    with pytest.warns(RuntimeWarning, match=rf"{name} is damaged\. It was set aside as {name}\.damaged-1") as caught:
        ledger.append(event())
        ledger.flush()
    assert len(caught) == 1 and ledger.unwritten == 0
    assert (tmp_path / f"{name}.damaged-1").read_text() == rubbish, "somebody may still save what is in it"
    assert list(Ledger(ledger.path).calls(content=True)["prompt"]) == ["What is in the picture?"]


def test_a_queue_damaged_under_running_kernels_is_set_aside_once(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path / "ledger.duckdb"), Ledger(tmp_path / "ledger.duckdb")
    one.append(event())
    two.append(event())
    one.close()
    two.close()
    with (tmp_path / "queue.sqlite").open("r+b") as file:
        file.write(b"x" * 5000)
    with pytest.warns(RuntimeWarning, match="is damaged") as caught:
        for ledger in (one, two):
            ledger.append(event())
    assert len(caught) == 1 and len(ids(one)) == 4
    assert sorted(file.name for file in tmp_path.glob("*.damaged-*")) == ["queue.sqlite.damaged-1"]


def test_a_ledger_too_damaged_to_be_opened_is_set_aside_by_the_next_fold(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    cut_short(path)
    before = path.read_bytes()
    ledger = Ledger(path)
    ledger.append(event())
    with pytest.raises(LedgerError, match="damaged") as raised:
        ledger.decisions()
    assert "sets it aside" in raised.value.hint
    with pytest.warns(RuntimeWarning, match=r"set aside as ledger\.duckdb\.damaged-1"):
        ledger.flush()
    assert (tmp_path / "ledger.duckdb.damaged-1").read_bytes() == before
    ledger.append(event())
    assert len(ids(ledger)) == 2


@posix
def test_files_deleted_under_a_running_kernel_are_made_anew(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "logs" / "ledger.duckdb")
    ledger.append(event())
    ledger.flush()
    for file in ledger.path.parent.iterdir():
        file.unlink()
    for _ in range(2):
        ledger.append(event())
    assert len(ids(Ledger(ledger.path))) == 2
    ledger.append(last := event())
    assert ledger.snapshot(last.decision.snapshot.snapshot_id) == last.decision.snapshot


def test_two_ledgers_in_one_folder_keep_to_themselves(tmp_path: Path) -> None:
    one, two = Ledger(tmp_path / "ledger.duckdb"), Ledger(tmp_path / "other.duckdb")
    one.append(event())
    two.append(event())
    one.flush()
    two.flush()
    assert len(ids(one)) == len(ids(two)) == 1 and ids(one) != ids(two)


def test_a_relative_path_stays_where_it_was_when_the_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger(Path("ledger.duckdb"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    ledger.append(event())
    ledger.flush()
    assert ledger.path == tmp_path / "ledger.duckdb" and ledger.path.exists()


@posix
def test_a_link_to_the_ledger_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link = tmp_path / "ledger.duckdb"
    link.symlink_to(tmp_path / "disk" / "real.duckdb")
    ledger = Ledger(link)
    for _ in range(2):
        ledger.append(event())
        ledger.flush()
    assert link.is_symlink() and (tmp_path / "disk" / "real.duckdb").is_file() and len(ids(ledger)) == 2


def test_the_default_place_is_the_data_directory(own_directories: Path) -> None:
    ledger = Ledger()
    ledger.append(event())
    ledger.close()
    assert ledger.path == own_directories / "ledger.duckdb" and ledger.path.exists()
