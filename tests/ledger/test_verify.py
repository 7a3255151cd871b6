"""`verify` calls a sound ledger whole, whatever it went through, and names what was taken away, added or changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from sekha_magics.errors import LedgerError
from sekha_magics.ledger.store import Ledger

from .events import event
from .test_many_at_once import running

Faults = set[tuple[str, str]]


@pytest.fixture
def ledger(tmp_path: Path):
    """Ten answered requests: seven folded, three queued."""
    ledger = Ledger(tmp_path / "ledger.duckdb")
    for n in range(10):
        if n == 7:
            ledger.flush()
        ledger.append(event(decision_id=f"d{n}", calls=[{"call_id": f"c{n}"}], prompt=f"ask {n}", answer=f"say {n}"))
    yield ledger
    ledger.close()


def faults(ledger: Ledger) -> Faults:
    found = ledger.verify()
    assert found.ok == found.findings.empty
    return set(zip(found.findings["fault"], found.findings["table"], strict=True))


def change(ledger: Ledger, *statements: str) -> None:
    """As any program with DuckDB could."""
    with duckdb.connect(str(ledger.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("CHECKPOINT")


def change_texts(ledger: Ledger, statement: str) -> None:
    with closing(sqlite3.connect(ledger.path.with_name("content.sqlite"))) as connection:
        connection.execute(statement)
        connection.commit()


def test_a_sound_ledger_is_whole_queued_and_folded(ledger: Ledger) -> None:
    for settle in (lambda: None, ledger.flush, ledger.close):
        settle()
        found = ledger.verify()
        assert found.ok and found.findings.empty and found.notes == ()
        assert list(found.findings.columns) == ["fault", "table", "id", "detail"]
        assert found.counts["decisions"] == found.counts["calls"] == found.counts["receipts"] == 10
        assert found.counts["candidates"] == 20 and found.counts["texts"] == 30
        assert str(found).splitlines()[0] == f"{ledger.path}: whole"


def test_a_ledger_nobody_wrote_to_is_whole(tmp_path: Path) -> None:
    found = Ledger(tmp_path / "new" / "ledger.duckdb").verify()
    assert found.ok and found.counts["decisions"] == 0 and not (tmp_path / "new").exists()


@pytest.mark.parametrize("content", ["hash", "none"])
def test_texts_that_were_never_kept_are_not_missed(tmp_path: Path, content: str) -> None:
    ledger = Ledger(tmp_path / "l.duckdb", content=content)
    ledger.append(event())
    assert ledger.verify().ok
    ledger.flush()
    assert ledger.verify().ok


def test_all_that_the_engine_logs_is_whole(ledger: Ledger) -> None:
    ledger.append(event(outcome=None, decision_id="under way", calls=[{"status": "error", "attempt": 1}]))
    ledger.append(event(outcome="refused", calls=[], candidates=(), answer=None))
    ledger.append(event(decision_id="two", outcome=None, calls=[{"status": "error", "attempt": 1}]))
    ledger.append(event(decision_id="two", calls=[{"attempt": 2}]))
    one = event(decision_id="twice")
    ledger.append(one)
    ledger.append(one)
    found = ledger.verify()
    assert found.ok and found.notes == (
        "1 requests have calls and no end: they are under way, or their kernels were killed.",
    )


PLANTED: dict[str, tuple[Callable[[Ledger], None], Faults]] = {
    "a call deleted": (lambda li: change(li, "DELETE FROM calls WHERE call_id = 'c3'"), {("missing", "calls")}),
    "a candidate deleted": (
        lambda li: change(li, "DELETE FROM candidates WHERE decision_id = 'd3' AND position = 1"),
        {("missing", "candidates")},
    ),
    "a decision deleted": (
        lambda li: change(li, "DELETE FROM decisions WHERE decision_id = 'd3'"),
        {("missing", "decisions"), ("orphan", "candidates")},
    ),
    "an append deleted whole": (
        lambda li: change(
            li, *(f"DELETE FROM {t} WHERE decision_id = 'd3'" for t in ("receipts", "decisions", "candidates", "calls"))
        ),
        {("gap", "receipts")},
    ),
    "a call added": (
        lambda li: change(li, "INSERT INTO calls BY NAME SELECT 'x' AS call_id, 'd3' AS decision_id"),
        {("added", "calls")},
    ),
    "a row doubled": (
        lambda li: change(li, "INSERT INTO calls SELECT * FROM calls WHERE call_id = 'c3'"),
        {("doubled", "calls")},
    ),
    "snapshots deleted": (
        lambda li: change(li, "DELETE FROM snapshots WHERE kind = 'state'"),
        {("missing", "snapshots")},
    ),
    "catalogues deleted": (
        lambda li: change(li, "DELETE FROM snapshots WHERE kind = 'catalogue'"),
        {("missing", "snapshots")},
    ),
    "an answer changed": (
        lambda li: change_texts(li, "UPDATE contents SET body = 'no' WHERE body = 'say 3'"),
        {("changed", "contents")},
    ),
    "an answer deleted": (
        lambda li: change_texts(li, "DELETE FROM contents WHERE body = 'say 3'"),
        {("missing", "contents")},
    ),
    "a message of a prompt deleted": (
        lambda li: change_texts(li, "DELETE FROM contents WHERE body LIKE '%ask 3%'"),
        {("missing", "contents")},
    ),
    "all texts deleted": (lambda li: change_texts(li, "DELETE FROM contents"), {("missing", "contents")}),
    "an answer made a number": (
        lambda li: change_texts(li, "UPDATE contents SET body = x'00ff' WHERE body = 'say 3'"),
        {("changed", "contents")},
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found_and_nothing_else(ledger: Ledger, name: str) -> None:
    plant, expected = PLANTED[name]
    ledger.flush()
    plant(ledger)
    assert faults(ledger) == expected
    said = str(ledger.verify())
    assert "NOT whole" in said.splitlines()[0] and len(said.splitlines()) < 20


def test_a_gap_is_named_by_its_numbers_and_a_pruned_one_is_none(ledger: Ledger) -> None:
    ledger.flush()
    numbers = "(SELECT decision_id FROM receipts WHERE number BETWEEN 4 AND 6)"
    change(
        ledger,
        *(f"DELETE FROM {table} WHERE decision_id IN {numbers}" for table in ("decisions", "candidates", "calls")),
        "DELETE FROM receipts WHERE number BETWEEN 4 AND 6",
    )
    assert list(ledger.verify().findings["detail"]) == ["appends 4 to 6 of this writer are missing"]
    change(ledger, "INSERT INTO pruned SELECT DISTINCT writer, 4, 6, now() FROM receipts")
    found = ledger.verify()
    assert found.ok and found.notes == ("3 appends were pruned.",)


def test_queued_rows_that_were_deleted_are_a_gap_and_the_last_is_missed_by_its_own_process(ledger: Ledger) -> None:
    with closing(sqlite3.connect(ledger.path.with_name("queue.sqlite"))) as connection:
        last = connection.execute("SELECT max(event_id) FROM events").fetchone()[0]
        connection.execute("DELETE FROM events WHERE event_id = ?", (last,))
        connection.commit()
    assert list(ledger.verify().findings["detail"]) == ["append 10 of this writer is missing"]


def test_what_crashed_kernels_left_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "ledger.duckdb"
    for _ in range(2):
        with running("append_until_killed", path, "fold") as writer:
            for _ in range(40):
                writer.stdout.readline()
            writer.kill()
    found = Ledger(path).verify()
    assert found.ok, str(found)
    assert found.counts["receipts"] >= 80


def test_many_findings_are_told_in_one_screen(ledger: Ledger) -> None:
    ledger.flush()
    change(ledger, "DELETE FROM candidates")
    found = ledger.verify()
    assert len(found.findings) == 10 and "10 missing" in str(found)
    change(ledger, "DELETE FROM calls")
    assert len(str(ledger.verify()).splitlines()) <= 14


def test_rows_of_an_earlier_version_are_told_apart(ledger: Ledger) -> None:
    ledger.flush()
    change(ledger, "DELETE FROM receipts")
    found = ledger.verify()
    assert [fault for fault, *_ in found.findings.itertuples(index=False)] == ["gap"], "its own numbers are gone"
    ledger.close()
    other = Ledger(ledger.path).verify()
    assert other.ok and "10 decisions have no receipt" in other.notes[0]


def test_a_file_that_cannot_be_read_is_an_error_and_texts_that_cannot_are_a_finding(ledger: Ledger) -> None:
    ledger.close()
    texts = ledger.path.with_name("content.sqlite")
    with texts.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * (texts.stat().st_size - 4096))
    assert ("unreadable", "contents") in faults(Ledger(ledger.path))
    with ledger.path.open("r+b") as file:
        file.seek(12_300)
        file.write(b"x" * 64)
    with pytest.raises(LedgerError):
        Ledger(ledger.path).verify()
