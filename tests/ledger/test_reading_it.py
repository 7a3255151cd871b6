"""What can be asked of the ledger: its views, SQL with the caller's frames, exports; and what a query cannot do."""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.core.types import Cost, Usage
from sekha_magics.errors import InvalidInput, LedgerError
from sekha_magics.ledger.store import Ledger
from sekha_magics.ledger.views import VIEWS

from .events import at, event


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.duckdb")
    yield ledger
    ledger.close()


def costs_of(ledger: Ledger, one) -> dict:
    return ledger.costs().set_index("decision_id").loc[one.decision.decision_id].to_dict()


def test_a_decision_costs_what_its_calls_cost(ledger: Ledger) -> None:
    failed = {"status": "error", "cost": Cost(Decimal("0.001"), "computed"), "attempt": 1, "usage": None}
    answered = {"attempt": 2, "provider_id": "attic", "provider_type": "ollama", "model_id": "llama:8b"}
    ledger.append(one := event(calls=[failed, answered | {"cost": Cost(Decimal("0.0000000375"), "computed")}]))
    row = costs_of(ledger, one)
    assert row["cost_usd"] == Decimal("0.0010000375") and row["calls"] == 2 and row["unpriced_calls"] == 0
    assert (row["provider_id"], row["provider_type"], row["model_id"]) == ("attic", "ollama", "llama:8b")
    assert (row["input_tokens"], row["output_tokens"]) == (100, 20)
    assert row["est_cost_usd"] == Decimal("3.75e-8") and row["session_id"] == "session-1"


UNPRICED = Cost(None, "unpriced")


@pytest.mark.parametrize(
    ("calls", "usd", "unpriced"),
    [
        ([], Decimal(0), 0),
        ([{"cost": Cost(Decimal(0), "free")}], Decimal(0), 0),
        ([{"cost": UNPRICED}], None, 1),
        ([{"cost": UNPRICED}, {"cost": Cost(Decimal("0.5"), "reported")}], Decimal("0.5"), 1),
        ([{"cost": UNPRICED, "status": "error", "ttft_ms": None}], Decimal(0), 0),
        ([{"cost": UNPRICED, "status": "error", "ttft_ms": 12.0}], None, 1),
        ([{"cost": Cost(Decimal("0.5"), "estimated"), "status": "interrupted"}], Decimal("0.5"), 0),
        ([{"cost": Cost(Decimal("0.5"), "computed"), "simulated": True}], Decimal("0.5"), 0),
    ],
    ids=["no call", "free", "unpriced", "partly", "refused", "broke off", "interrupted", "simulated"],
)
def test_unknown_is_not_zero(ledger: Ledger, calls: list[dict], usd: Decimal | None, unpriced: int) -> None:
    ledger.append(one := event(calls=calls))
    row = costs_of(ledger, one)
    assert (row["cost_usd"], row["unpriced_calls"]) == (usd, unpriced)


def test_a_replayed_answer_shows_its_recorded_cost_and_costs_nothing(ledger: Ledger) -> None:
    replayed = Cost(Decimal("0.25"), "replayed", "computed")
    ledger.append(one := event(outcome="replayed", calls=[{"status": "replayed", "cost": replayed}]))
    row = costs_of(ledger, one)
    assert (row["cost_usd"], row["replayed_usd"], row["unpriced_calls"]) == (Decimal(0), Decimal("0.25"), 0)
    assert ledger.stats().empty


def test_calls_whose_decision_was_never_finished_are_paid_for_too(ledger: Ledger) -> None:
    ledger.append(one := event(outcome=None))
    row = costs_of(ledger, one)
    assert row["cost_usd"] == Decimal("3.75e-8") and row["ts"] == pd.Timestamp(at(1))
    assert (row["provider_id"], row["model_id"]) == ("openai", "gpt")


calls = st.fixed_dictionaries(
    {
        "provider_id": st.sampled_from(["a", "b"]),
        "model_id": st.sampled_from(["m", "n"]),
        "status": st.sampled_from(["ok", "ok", "error", "interrupted", "replayed"]),
        "simulated": st.sampled_from([False, False, False, True]),
        "latency_ms": st.floats(0.1, 1e5),
        "ttft_ms": st.none() | st.floats(0.1, 1e4),
        "usage": st.none() | st.builds(Usage, st.integers(0, 10_000), st.integers(0, 10_000)),
        "cost": st.none().map(lambda _: UNPRICED)
        | st.decimals("0", "1000", places=12).map(lambda usd: Cost(usd, "computed")),
    }
)


def percentile(values: list[float], share: float) -> float:
    return float(np.percentile(values, share * 100)) if values else float("nan")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(made=st.lists(calls, min_size=1, max_size=30))
def test_statistics_agree_with_plain_arithmetic(tmp_path_factory: pytest.TempPathFactory, made: list[dict]) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("stats") / "ledger.duckdb")
    ledger.append(event(calls=made))
    rows = {(row["provider_id"], row["model_id"]): row for row in ledger.stats().to_dict("records")}
    ledger.close()
    groups: dict[tuple[str, str], list[dict]] = {}
    for one in made:
        if one["status"] != "replayed" and not one["simulated"]:
            groups.setdefault((one["provider_id"], one["model_id"]), []).append(one)
    assert rows.keys() == groups.keys()
    for key, group in groups.items():
        row, ok = rows[key], [one for one in group if one["status"] == "ok"]
        errors = sum(one["status"] == "error" for one in group)
        assert (row["calls"], row["errors"]) == (len(group), errors)
        assert row["error_rate"] == pytest.approx(errors / len(group))
        waits = {"latency": [one["latency_ms"] for one in ok], "ttft": [one["ttft_ms"] for one in ok if one["ttft_ms"]]}
        for name, values in waits.items():
            assert row[f"{name}_p50_ms"] == pytest.approx(
                statistics.median(values) if values else float("nan"), nan_ok=True
            )
            assert row[f"{name}_p95_ms"] == pytest.approx(percentile(values, 0.95), nan_ok=True)
        told = [one for one in ok if one["usage"] and one["usage"].output_tokens]
        speed = (
            1000 * sum(one["usage"].output_tokens for one in told) / sum(one["latency_ms"] for one in told)
            if told
            else float("nan")
        )
        assert row["tokens_per_second"] == pytest.approx(speed, nan_ok=True)
        known = [one["cost"].usd for one in group if one["cost"].usd is not None]
        unknown = sum(
            one["cost"].usd is None and (one["status"] != "error" or one["ttft_ms"] is not None) for one in group
        )
        assert row["unpriced_calls"] == unknown
        assert row["cost_usd"] == (None if unknown and not known else sum(known, Decimal(0)))


def test_sql_sees_the_ledger_and_the_callers_frames(ledger: Ledger) -> None:
    ledger.append(event())
    ledger.flush()
    ledger.append(event())
    mine = pd.DataFrame({"model_id": ["gpt"], "team": ["ours"]})
    frame = ledger.sql(
        "SELECT team, count(*) AS n, sum(cost_usd) AS usd FROM calls JOIN Mine USING (model_id) GROUP BY team",
        {"Mine": mine, "unused": pd.DataFrame({"x": [object()]})},
    )
    assert frame.to_dict("records") == [{"team": "ours", "n": 2, "usd": Decimal("7.5e-8")}]
    for name in ("decisions", "candidates", "calls", "ratings", "snapshots", *VIEWS):
        assert len(ledger.sql(f"SELECT * FROM {name}").columns) > 4


def test_a_frame_does_not_stand_in_for_a_table_of_the_ledger(ledger: Ledger) -> None:
    ledger.append(event())
    assert len(ledger.sql("SELECT * FROM Calls", {"Calls": pd.DataFrame({"x": [1, 2, 3]})})) == 1


def test_types_of_a_query_are_kept(ledger: Ledger) -> None:
    frame = ledger.sql(
        "SELECT unnest([1, NULL]) AS i, sum(2) OVER () AS s, 0.1::DECIMAL(4, 2) AS m, [1, 2] AS l, {'a': 1} AS st,"
        " true AS b, 1 AS twice, 2 AS twice, TIMESTAMPTZ '2026-11-23 06:00:00+02' AS t,"
        " 99999999999999999999999999::HUGEINT AS h"
    )
    first = frame.iloc[0]
    assert frame["i"].dtype == "Int32" and list(frame["s"]) == [2, 2] and frame["s"].dtype == "Int64"
    assert first["m"] == Decimal("0.10") and first["l"] == [1, 2] and first["st"] == {"a": 1} and first["b"]
    assert (first["twice"], first["twice_1"]) == (1, 2) and str(frame["t"].dt.tz) == "UTC"
    assert first["h"] == 99999999999999999999999999


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM read_text('queue.sqlite')",
        "COPY (SELECT 1) TO 'out.csv'",
        "ATTACH 'other.duckdb'",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "INSERT INTO folded.main.calls (call_id) VALUES ('forged')",
        "DELETE FROM calls",
        "DROP TABLE folded.main.calls",
        "SELECT * FROM enable_logging(storage='file', storage_path='log')",
        "CALL Enable_Logging -- so\n (storage='file', storage_path='log')",
        "SELECT * FROM \"query\"('SELECT * FROM enable_' || 'logging(storage=''file'')')",
        "SELECT * FROM glob('*')",
        "PRAGMA profiling_output='profile.json'",
        "SELECT * FROM not_a_frame",
        "SELECT * FROM nowhere",
        "SELEKT 1",
        "",
    ],
)
def test_a_query_reaches_no_file_and_changes_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, query: str
) -> None:
    not_a_frame = [1]
    assert len(not_a_frame) == 1
    monkeypatch.chdir(ledger.path.parent)
    ledger.append(event())
    ledger.flush()
    before = ledger.path.read_bytes()
    if query:
        with pytest.raises(LedgerError, match=r"DuckDB refuses the query|cannot be used here"):
            ledger.sql(query)
    else:
        assert ledger.sql(query).empty
    assert ledger.path.read_bytes() == before and not Path("out.csv").exists()
    assert len(ledger.calls()) == 1


def test_a_query_is_a_text(ledger: Ledger) -> None:
    with pytest.raises(InvalidInput, match="int"):
        ledger.sql(3)


def test_any_program_can_read_the_file_alone(ledger: Ledger) -> None:
    ledger.append(event())
    ledger.flush()
    with duckdb.connect(str(ledger.path), read_only=True) as connection:
        assert connection.sql("SELECT cost_usd FROM costs").fetchone() == (Decimal("3.75e-8"),)
        assert connection.sql("SELECT calls FROM provider_stats").fetchone() == (1,)
        version = connection.sql("SELECT tags FROM duckdb_databases() WHERE NOT internal").fetchone()
        assert "v1.0.0" in str(version)


def test_exports(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append(event())
    ledger.flush()
    ledger.append(event())
    (one,) = ledger.export(tmp_path / "out" / "calls.CSV")
    with one.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["cost_usd"] for row in rows] == ["0.000000037500"] * 2
    (one,) = ledger.export(str(tmp_path / "costs.parquet"), table="costs")
    assert pq.read_table(one).column("cost_usd").to_pylist() == [Decimal("3.75e-8")] * 2
    files = ledger.export(tmp_path / "all's")
    tables = {"decisions", "candidates", "calls", "ratings", "snapshots", "receipts", "pruned"}
    assert {file.stem for file in files} == tables | set(VIEWS)
    reasons = pq.read_table(tmp_path / "all's" / "candidates.parquet").column("reasons").to_pylist()
    assert sorted(reasons) == [[], [], ["no_vision", "auth_failed"], ["no_vision", "auth_failed"]]
    with pytest.raises(InvalidInput, match="no table 'prompts'"):
        ledger.export(tmp_path / "x.csv", table="prompts")


def test_importing_the_ledger_imports_nothing_heavy() -> None:
    program = (
        "import sys, sekha_magics.ledger.store, pathlib, tests.ledger.events as e\n"
        "l = sekha_magics.ledger.store.Ledger(pathlib.Path(sys.argv[1]))\nl.append(e.event())\n"
        "print([m for m in ('duckdb', 'pandas', 'pyarrow', 'numpy', 'pydantic') if m in sys.modules])"
    )
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", program, f"{folder}/ledger.duckdb"], capture_output=True, text=True, check=True
        )
    assert done.stdout.strip() == "[]"
