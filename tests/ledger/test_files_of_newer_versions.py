"""Files a newer version changed: read as far as they are understood, never damaged, and no append is lost."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from sekha_magics.errors import LedgerError
from sekha_magics.ledger.store import Ledger
from sekha_magics.storage.budgets import BudgetFile, Demand

from .events import event
from .test_many_at_once import ids


@pytest.fixture
def ledger(tmp_path: Path):
    """One request folded, one queued."""
    ledger = Ledger(tmp_path / "ledger.duckdb")
    ledger.append(event(decision_id="folded", second=1))
    ledger.flush()
    ledger.append(event(decision_id="queued", second=2))
    yield ledger
    ledger.close()


def in_duckdb(path: Path, *statements: str) -> None:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.execute("CHECKPOINT")


def in_sqlite(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


NEWER = (
    "ALTER TABLE calls ADD COLUMN mood VARCHAR",
    "CREATE TABLE moods (mood VARCHAR)",
    "UPDATE calls SET mood = 'fine'",
)


def test_what_it_added_to_the_ledger_is_kept_by_a_fold_of_this_version(ledger: Ledger) -> None:
    view = "CREATE OR REPLACE VIEW costs AS SELECT decision_id, 'newer' AS form FROM decisions"
    in_duckdb(ledger.path, *NEWER, view, "INSERT INTO sekha_applied VALUES ('900_moods')")
    assert ids(ledger) == ["folded", "queued"]
    ledger.flush()
    assert ids(ledger) == ["folded", "queued"] and ledger.verify().ok
    with duckdb.connect(str(ledger.path), read_only=True) as connection:
        assert connection.sql("SELECT count(*), count(mood) FROM calls").fetchone() == (2, 1)
        assert connection.sql("SELECT form FROM costs").fetchall() == [("newer",)] * 2, "an older view takes its place"
        assert ("900_moods",) in connection.sql("FROM sekha_applied").fetchall()


def test_a_ledger_this_version_would_damage_is_read_and_left_as_it_is(ledger: Ledger) -> None:
    in_duckdb(ledger.path, *NEWER, "INSERT INTO sekha_applied VALUES ('900_moods.breaking')")
    before = ledger.path.read_bytes()
    with pytest.raises(LedgerError, match="A newer version of sekha_magics made this ledger") as raised:
        ledger.flush()
    assert "Update sekha_magics" in raised.value.hint
    ledger.append(event(decision_id="after", second=3))
    assert ids(ledger) == ["folded", "queued", "after"] and ledger.unwritten == 0
    with pytest.warns(RuntimeWarning, match="newer version"):
        ledger.close()
    assert ledger.path.read_bytes() == before and ids(Ledger(ledger.path)) == ["folded", "queued", "after"]
    in_duckdb(ledger.path, "DELETE FROM sekha_applied WHERE name = '900_moods.breaking'")
    ledger.flush()
    assert ids(ledger) == ["folded", "queued", "after"] and ledger.verify().ok


def test_a_queue_it_added_to_is_used(ledger: Ledger) -> None:
    in_sqlite(
        ledger.path.with_name("queue.sqlite"),
        "ALTER TABLE events ADD COLUMN mood TEXT",
        "INSERT INTO sekha_applied VALUES ('900_moods')",
    )
    ledger.close()
    ledger.append(event(decision_id="after", second=3))
    assert ledger.unwritten == 0 and ids(Ledger(ledger.path)) == ["folded", "queued", "after"]


def test_events_that_a_newer_queue_may_not_get_go_beside_it_and_are_not_lost(ledger: Ledger) -> None:
    queue = ledger.path.with_name("queue.sqlite")
    other = Ledger(ledger.path)
    in_sqlite(queue, "INSERT INTO sekha_applied VALUES ('900_moods.breaking')")
    with pytest.warns(RuntimeWarning, match="newer version of sekha_magics .*; update this one"):
        other.append(event(decision_id="after", second=3))
    assert other.unwritten == 0 and ids(Ledger(ledger.path)) == ["folded", "queued", "after"]
    assert Ledger(ledger.path).verify().ok


def test_budgets_a_newer_version_changed_are_not_written(tmp_path: Path) -> None:
    path = tmp_path / "budgets.sqlite"
    file = BudgetFile(path)
    file.count(5, ["day"])
    file.close()
    in_sqlite(path, "INSERT INTO sekha_applied VALUES ('900_amounts.breaking')")
    with pytest.raises(sqlite3.DatabaseError, match="newer version"):
        BudgetFile(path).reserve(1, [Demand("day", 100)])
    in_sqlite(path, "UPDATE sekha_applied SET name = '900_amounts' WHERE name = '900_amounts.breaking'")
    assert BudgetFile(path).figures(["day"])["day"].spent == 5
