"""Files that an earlier version left, part of their rows folded and part still queued: every row stays, and reads."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from sekha_magics.ledger.store import Ledger

from .events import event

EARLIER = Path(__file__).with_name("earlier")
FOLDED, QUEUED = range(30), range(40, 45)
ANSWERED = [f"{n:032x}" for n in (*FOLDED, *QUEUED)]
UNFINISHED, REFUSED = "f" * 32, "d" * 32


@pytest.fixture(params=sorted(path.name for path in EARLIER.glob("*.zip")))
def ledger(request: pytest.FixtureRequest, tmp_path: Path):
    with zipfile.ZipFile(EARLIER / request.param) as files:
        files.extractall(tmp_path)
    ledger = Ledger(tmp_path / "ledger.duckdb")
    yield ledger
    ledger.close()


def has_every_row(ledger: Ledger) -> None:
    decisions, calls, costs = ledger.decisions(), ledger.calls(content=True), ledger.costs()
    assert sorted(decisions["decision_id"]) == sorted([*ANSWERED, REFUSED])
    assert sorted(calls["call_id"]) == sorted([*ANSWERED, "e" * 32])
    assert sorted(costs["decision_id"]) == sorted([*ANSWERED, REFUSED, UNFINISHED])
    answered = calls[calls["status"] == "ok"].set_index("call_id")
    for n in (*FOLDED, *QUEUED):
        row = answered.loc[f"{n:032x}"]
        assert (row["prompt"], row["response"]) == (f"question {n}", f"answer {n}")
        assert row["cost_usd"] == Decimal(n + 1) / 10**6
    assert len(ledger.candidates()) == 2 * len(decisions)
    for snapshot_id in decisions["snapshot_id"].unique():
        assert [entry.model_id for entry in ledger.snapshot(snapshot_id).catalogue.entries] == ["gpt", "llama:8b"]
    assert ledger.decision(f"{QUEUED[0]:032x}").request == ledger.decision(f"{FOLDED[0]:032x}").request


def test_it_reads_before_anything_is_folded(ledger: Ledger) -> None:
    has_every_row(ledger)


def test_it_folds_and_goes_on(ledger: Ledger) -> None:
    ledger.flush()
    has_every_row(ledger)
    ledger.append(one := event(second=100))
    assert one.decision.decision_id in set(ledger.decisions()["decision_id"])
    ledger.flush()
    assert len(ledger.decisions()) == len(ANSWERED) + 2 and len(ledger.calls()) == len(ANSWERED) + 2


def test_a_new_event_and_the_old_ones_fold_together(ledger: Ledger) -> None:
    ledger.append(event(second=100))
    ledger.flush()
    assert len(ledger.decisions()) == len(ANSWERED) + 2
    assert ledger.costs()["cost_usd"].dropna().sum() == sum(
        Decimal(n + 1) for n in (*FOLDED, *QUEUED)
    ) / 10**6 + Decimal("3.75e-8")


def test_once_folded_any_program_reads_it(ledger: Ledger) -> None:
    ledger.flush()
    program = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True)\n"
        "for t in ('decisions', 'calls', 'costs'): print(c.sql(f'SELECT count(*) FROM {t}').fetchone()[0])"
    )
    done = subprocess.run([sys.executable, "-c", program, str(ledger.path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["36", "36", "37"]


def test_a_fold_brings_it_to_todays_form_once(ledger: Ledger) -> None:
    before = ledger.verify()
    assert before.ok and "have no receipt" in before.notes[0]
    ledger.append(event(second=100))
    for _ in range(2):
        ledger.flush()
        with duckdb.connect(str(ledger.path), read_only=True) as connection:
            steps = [name for (name,) in connection.sql("SELECT name FROM sekha_applied ORDER BY name").fetchall()]
            assert steps == ["001_log", "002_receipts"]
            assert connection.sql("SELECT count(*) FROM receipts").fetchone() == (1,)
    assert ledger.verify().ok


def test_a_kernel_that_has_the_earlier_version_loaded_goes_on_writing(ledger: Ledger) -> None:
    ledger.append(event(second=100))
    row = ("f" * 64, "decision", json.dumps({"decisions": {"decision_id": ["late"], "outcome": ["refused"]}}))
    with closing(sqlite3.connect(ledger.path.with_name("queue.sqlite"))) as older:
        older.execute("INSERT INTO queue (event_id, kind, payload) VALUES (?, ?, ?)", row)
        older.commit()
    assert "late" in set(ledger.decisions()["decision_id"])
    ledger.flush()
    assert len(ledger.decisions()) == len(ANSWERED) + 3 and "late" in set(ledger.decisions()["decision_id"])
