"""What is forgotten is gone from every file, what is not stays whole, and what is written meanwhile is not touched."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from sekha_magics.core.types import Origin
from sekha_magics.errors import InvalidInput, LedgerError
from sekha_magics.ledger.store import Ledger

from .events import START, event
from .test_files_of_earlier_versions import EARLIER

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.duckdb")
    yield ledger
    ledger.close()


def moment(second: float) -> datetime:
    return START + timedelta(seconds=second)


def files_with(ledger: Ledger, text: str) -> list[str]:
    return [
        file.name for file in ledger.path.parent.rglob("*") if file.is_file() and text.encode() in file.read_bytes()
    ]


def test_a_dry_run_says_what_would_go_and_changes_nothing(ledger: Ledger) -> None:
    for second in range(4):
        ledger.append(event(prompt=f"question {second}", answer=f"answer {second}", second=second))
    before = ledger.calls(content=True)
    pruned = ledger.prune(before=moment(2))
    assert not pruned.done
    assert pruned.rows == {
        "decisions": (2, 4), "candidates": (4, 8), "calls": (2, 4), "ratings": (0, 0), "snapshots": (0, 2)
    }  # fmt: skip
    # An answer, a message and the list it stands in, for each decision.
    assert pruned.texts == (6, 12) and pruned.text_bytes > 0
    assert (pruned.oldest, pruned.newest) == (moment(0), moment(1))
    assert pruned.disk_bytes[0] > 0 and pruned.disk_bytes[1] is None
    frame = pruned.to_frame().set_index("table")
    assert frame.loc["decisions", "pruned"] == 2 and frame.loc["texts", "bytes"] == pruned.text_bytes
    assert ledger.calls(content=True).equals(before)
    assert ledger.verify().ok


@pytest.mark.parametrize("folded", [True, False], ids=["folded", "queued"])
def test_what_is_pruned_stands_in_no_file_any_more(ledger: Ledger, folded: bool) -> None:
    secret = "recognisable-text-" * 40
    failed = {"status": "error", "error_type": "RateLimited", "error_message": secret}
    ledger.append(event(prompt=secret, answer=secret.upper(), calls=[failed, {"attempt": 2}], second=1))
    ledger.append(kept := event(prompt="stays", answer="too", second=9))
    if folded:
        ledger.flush()
    assert files_with(ledger, "recognisable-text")
    expected = ledger.prune(before=moment(5))
    pruned = ledger.prune(before=moment(5), dry_run=False)
    assert pruned.done and pruned.scrubbed and (pruned.rows, pruned.texts) == (expected.rows, expected.texts)
    assert not files_with(ledger, "recognisable-text") and not files_with(ledger, "RECOGNISABLE-TEXT")
    (row,) = ledger.calls(content=True).to_dict("records")
    assert (row["decision_id"], row["prompt"], row["response"]) == (kept.decision.decision_id, "stays", "too")
    # Nobody takes it for lost.
    assert ledger.verify().ok
    # Other programs find the same.
    with duckdb.connect(str(ledger.path), read_only=True) as connection:
        assert connection.sql("SELECT count(*) FROM decisions").fetchone() == (1,)


def test_a_text_that_something_else_refers_to_stays(ledger: Ledger) -> None:
    ledger.append(event(prompt="shared", answer="gone", second=1))
    ledger.append(event(prompt="shared", answer="kept", second=9))
    ledger.prune(before=moment(5), dry_run=False)
    (row,) = ledger.calls(content=True).to_dict("records")
    assert (row["prompt"], row["response"]) == ("shared", "kept")
    assert ledger.search("gone").empty and not files_with(ledger, "gone")


def test_snapshots_go_with_the_last_decision_and_come_back_with_the_next(ledger: Ledger) -> None:
    ledger.append(one := event(second=1))
    ledger.append(event(second=2))
    ledger.prune(before=moment(1.5), dry_run=False)
    assert ledger.snapshot(one.decision.snapshot.snapshot_id) == one.decision.snapshot
    ledger.prune(before=moment(5), dry_run=False)
    with pytest.raises(LedgerError, match="no snapshot"):
        ledger.snapshot(one.decision.snapshot.snapshot_id)
    ledger.append(event(second=6))
    assert ledger.snapshot(one.decision.snapshot.snapshot_id) == one.decision.snapshot


def test_a_notebook_goes_by_its_path_or_name_and_a_session_by_its_id(ledger: Ledger) -> None:
    for session, notebook in (("s1", "/a/one.ipynb"), ("s2", "C:\\b\\one.ipynb"), ("s2", "/a/two.ipynb"), ("s3", None)):
        ledger.append(event(origin=Origin(session, notebook=notebook)))
    assert ledger.prune(notebook="/a/one.ipynb").rows["decisions"] == (1, 4)
    assert ledger.prune(notebook="one.ipynb").rows["decisions"] == (2, 4)
    assert ledger.prune(session="s2").rows["decisions"] == (2, 4)
    assert ledger.prune(session="s2", notebook="two.ipynb").rows["decisions"] == (1, 4)
    assert ledger.prune(session="s2", before=moment(0)).rows["decisions"] == (0, 4)
    with pytest.raises(InvalidInput, match=r"no notebook 'ne.ipynb'") as refused:
        ledger.prune(notebook="ne.ipynb")
    assert "one.ipynb" in refused.value.hint
    with pytest.raises(InvalidInput, match="no session"):
        ledger.prune(session="nobody", dry_run=False)


def test_a_request_under_way_keeps_the_calls_it_has_made(ledger: Ledger) -> None:
    under_way = event(outcome=None, second=1)
    ledger.append(under_way)
    now = datetime.now(START.tzinfo)
    young = event(outcome=None, calls=[{"ts": now.isoformat()}])
    ledger.append(young)
    ledger.prune(before=timedelta(0), dry_run=False)
    assert list(ledger.calls()["decision_id"]) == [young.decision.decision_id]


def test_kernels_that_write_meanwhile_lose_nothing(ledger: Ledger) -> None:
    """What they write is what was pruned a moment ago: equal texts and snapshots."""
    command = [sys.executable, "-m", "tests.ledger.append_the_same", str(ledger.path)]
    writers = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    young = []
    try:
        for writer in writers:
            assert writer.stdout.readline() == "ready\n"
        for number in range(6):
            ledger.prune(before=moment(60 if number % 2 else 7200), session="session-1", dry_run=False)
    finally:
        for writer in writers:
            writer.stdin.close()
        for writer in writers:
            young.append(writer.stdout.read().split())
            writer.wait(timeout=60)
    calls = ledger.calls(content=True)
    assert (calls["prompt"] == "always the same").all() and (calls["response"] == "as ever").all()
    decisions = ledger.decisions()
    assert len(decisions) == len(calls) == decisions["decision_id"].nunique()
    for snapshot_id in decisions["snapshot_id"].unique():
        assert ledger.snapshot(snapshot_id)
    assert ledger.verify().ok
    # The last prune spared the young: of each kernel's, those behind the first that is left are all there.
    left = set(decisions["decision_id"])
    for ids in young:
        there = [one in left for one in ids]
        assert there[-1] and there == sorted(there)


def test_an_answer_a_job_keeps_for_its_next_run_is_forgotten_too(tmp_path: Path) -> None:
    told: list[str] = []
    ledger = Ledger(tmp_path / "ledger.duckdb", forget=told.extend)
    ledger.append(one := event())
    ledger.prune(before=timedelta(0))
    assert told == []
    ledger.prune(before=timedelta(0), dry_run=False)
    assert told == [one.decision.decision_id]
    ledger.close()


@pytest.mark.parametrize("name", sorted(path.name for path in EARLIER.glob("*.zip")))
def test_a_file_of_an_earlier_version_is_pruned(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(EARLIER / name) as files:
        files.extractall(tmp_path)
    ledger = Ledger(tmp_path / "ledger.duckdb")
    total = len(ledger.decisions())
    assert total
    assert ledger.prune(before=timedelta(0), dry_run=False).rows["decisions"] == (total, total)
    assert ledger.decisions().empty and ledger.candidates().empty
    ledger.close()


def test_what_a_newer_version_added_is_not_thrown_away(ledger: Ledger) -> None:
    ledger.append(event())
    ledger.flush()
    with duckdb.connect(str(ledger.path)) as connection:
        connection.execute("ALTER TABLE calls ADD COLUMN mood VARCHAR")
    with pytest.raises(LedgerError, match=r"calls\.mood"):
        ledger.prune(before=timedelta(0), dry_run=False)
    assert len(ledger.decisions()) == 1


def test_texts_without_rows_are_taken_by_the_next_prune(ledger: Ledger) -> None:
    """As a kernel that was killed between the two leaves them."""
    ledger.append(event(prompt="left behind", second=1))
    ledger.flush()
    ledger.close()
    for name in ("ledger.duckdb", "queue.sqlite"):
        ledger.path.with_name(name).unlink()
    ledger.append(event(prompt="new", answer="new answer", second=9))
    ledger.prune(before=moment(5), dry_run=False)
    assert not files_with(ledger, "left behind")
    assert list(ledger.calls(content=True)["prompt"]) == ["new"]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"before": "90d"},
        {"before": datetime(2026, 1, 1)},
        {"notebook": ""},
        {"session": 3},
    ],
    ids=str,
)
def test_what_says_nothing_is_refused(ledger: Ledger, wrong: dict) -> None:
    with pytest.raises(InvalidInput):
        ledger.prune(**wrong)
