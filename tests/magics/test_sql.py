"""`%%sekha_sql`: the ledger and the notebook's DataFrames in one query that changes and reaches nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, errors

from .conftest import Ran
from .test_completion import offered, ours

Run = Callable[[str], Ran]


@pytest.fixture(autouse=True)
def _registry(registry: Registry) -> None:
    """Every test has the parrot."""


def test_a_cell_joins_the_ledger_with_a_frame_of_the_notebook(run: Run, shell: InteractiveShell) -> None:
    run("%sekha_chat -q one two three")
    shell.user_ns["teams"] = pd.DataFrame({"model_id": ["echo"], "team": ["ours"]})
    ran = run("%%sekha_sql -o mine\n-- by team\nSELECT team, sum(cost_usd) AS usd\nFROM calls"
              " JOIN teams USING (model_id)\nGROUP BY team")  # fmt: skip
    assert ran.value.to_dict("records") == [{"team": "ours", "usd": Decimal("0.000009")}]
    assert shell.user_ns["mine"] is ran.value
    assert "1 row\n" in ran.stdout and "0.000009" in ran.stdout and "E-" not in ran.stdout


def test_a_line_is_a_value_that_can_be_assigned(run: Run, shell: InteractiveShell) -> None:
    run("n = %sekha_sql SELECT 6 * 7 AS n")
    assert shell.user_ns["n"].n.tolist() == [42]


def test_quiet_shows_nothing_and_the_answer_shows_itself_later(run: Run, shell: InteractiveShell) -> None:
    ran = run("%%sekha_sql -q -o kept\nSELECT 1 AS a")
    assert "row" not in ran.stdout and ran.outputs == []
    assert "1 row" in run("kept").stdout


def test_variables_are_bound_and_never_pasted(run: Run, shell: InteractiveShell) -> None:
    run("%sekha_chat -q one")
    shell.user_ns.update(
        name="echo", hostile="'; DROP TABLE calls; --", many=["echo", "x"], when=pd.Timestamp("2020-01-01", tz="UTC")
    )
    count = "%sekha_sql SELECT count(*) AS n FROM calls WHERE "
    assert run(f"{count} model_id = $name").value.n[0] == 1
    assert run(f"{count} model_id = $hostile").value.n[0] == 0
    assert run(f"{count} model_id IN $many AND ts > $when").value.n[0] == 1
    ran = run(
        "def ask(name):\n    return get_ipython().run_line_magic('sekha_sql', 'SELECT $name AS m, $hostile AS h')\n"
        "ask('inner')"
    )
    assert ran.value.to_dict("records") == [{"m": "inner", "h": "'; DROP TABLE calls; --"}]


def test_a_missing_variable_and_one_that_is_no_value_say_what_to_do(run: Run, shell: InteractiveShell) -> None:
    shell.user_ns.update(model="echo", frame=pd.DataFrame({"x": [1]}), thing=object())
    missing = run("%sekha_sql SELECT $modle").error
    assert isinstance(missing, errors.InvalidInput) and "$model" in missing.hint
    assert "FROM frame" in run("%sekha_sql SELECT $frame").error.hint
    assert "cannot be bound" in run("%sekha_sql SELECT $thing").error.message
    assert "has no name" in run("%sekha_sql SELECT ?").error.message
    assert "{{ name }}" in run("%sekha_sql SELECT {{ model }}").error.hint


@pytest.mark.parametrize(
    "cell", ["%sekha_sql", "%%sekha_sql\n", "%%sekha_sql -q\n-- later\n/* or never */", "%sekha_sql ;"]
)
def test_no_query_is_a_usage_error(run: Run, cell: str) -> None:
    assert type(run(cell).error) is UsageError


def test_a_query_behind_the_name_of_the_cell_magic_is_a_usage_error(run: Run) -> None:
    error = run("%%sekha_sql SELECT 1\nSELECT 2").error
    assert type(error) is UsageError and "second line" in str(error)
    assert type(run("%sekha_sql --ouch SELECT 1").error) is UsageError


def test_a_mistake_is_marked_where_it_is(run: Run) -> None:
    ran = run("%%sekha_sql\nSELECT\n  modl_id\nFROM calls")
    assert isinstance(ran.error, errors.LedgerError)
    assert "LINE 2:   modl_id\n" in ran.error.message and "^" in ran.error.message and '"model_id"' in ran.error.message
    assert "Traceback" not in ran.stdout + ran.stderr
    assert "^" in run("%sekha_sql SELEKT 1").error.message
    assert '"calls"' in run("%sekha_sql SELECT * FROM callz").error.message
    assert "a str" in run("x = 'text'\n%sekha_sql SELECT * FROM x").error.hint


def test_of_several_statements_the_last_is_the_answer(run: Run) -> None:
    ran = run("%%sekha_sql\nCREATE TABLE t AS SELECT 7 AS n;\nSELECT n + 1 AS m FROM t;")
    assert ran.value.m.tolist() == [8]
    assert isinstance(run("%sekha_sql SELECT * FROM t").error, errors.LedgerError)
    assert "no rows" in run("%sekha_sql CREATE TABLE t AS SELECT 1").stdout


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM calls",
        "COPY calls TO 'stolen.csv'",
        "SELECT * FROM 'notes.csv'",
        "SELECT * FROM read_csv('notes.csv')",
        "ATTACH 'other.duckdb'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
    ],
)
def test_nothing_is_written_and_no_file_is_read(
    run: Run, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.csv").write_text("a\n1\n")
    run("%sekha_chat -q one")
    assert isinstance(run(f"%sekha_sql {query}").error, errors.LedgerError)
    assert [file.name for file in tmp_path.iterdir() if file.suffix == ".csv"] == ["notes.csv"]
    assert run("%sekha_sql SELECT count(*) AS n FROM calls").value.n[0] == 1


def test_frames_of_any_name_are_found_and_the_ledger_keeps_its_own(run: Run, shell: InteractiveShell) -> None:
    shell.user_ns.update(
        {"größe": pd.DataFrame({"a b": [1]}), "calls": pd.DataFrame({"x": [5]}), "select": pd.DataFrame({"y": [2]})}
    )
    assert run('%sekha_sql SELECT "a b" AS c FROM größe').value.c[0] == 1
    assert run("%sekha_sql SELECT x FROM notebook.calls").value.x[0] == 5
    assert run("%sekha_sql SELECT count(*) AS n FROM calls").value.n[0] == 0
    assert run('%sekha_sql SELECT y FROM "select"').value.y[0] == 2
    before = shell.user_ns["größe"].copy()
    run('%sekha_sql SELECT "a b" + 1 FROM größe')
    pd.testing.assert_frame_equal(shell.user_ns["größe"], before)


def test_what_is_shown_is_bounded_and_the_value_is_whole(run: Run) -> None:
    ran = run("%sekha_sql SELECT range AS n, repeat('ab', 10000) AS long FROM range(5000)")
    assert len(ran.value) == 5000 and len(ran.value.long[0]) == 20_000
    assert "5,000 rows" in ran.stdout and "the first 200 of 5000 rows" in ran.stdout
    assert len(ran.stdout) < 60_000


def test_text_in_an_answer_is_only_text(run: Run) -> None:
    frame = run("%sekha_sql SELECT '<script>alert(1)</script>' AS \"<b>\", chr(27) || '[31m' AS red").value
    bundle = frame._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"] and "<b>" not in bundle["text/html"]
    assert "\x1b" not in bundle["text/plain"]


def test_help_is_there_in_every_form(run: Run, shell: InteractiveShell) -> None:
    for line in ("%sekha_sql --help", "%sekha_sql ?", "%%sekha_sql --help\n"):
        ran = run(line)
        assert "SHOW TABLES" in ran.stdout and ran.error is None
    assert "bound" in shell.find_line_magic("sekha_sql").__doc__


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(query=st.text(max_size=60))
def test_any_text_is_answered_or_refused_in_a_sentence(run: Run, shell: InteractiveShell, query: str) -> None:
    try:
        answer = shell.run_cell_magic("sekha_sql", "", query)
    except (errors.SekhaError, UsageError):
        return
    assert isinstance(answer, pd.DataFrame)


INTERRUPTED = """
import _thread, signal, threading
import sekha_magics.ledger.store as store
from pathlib import Path

ledger = store.Ledger(Path({path!r}))
ledger.sql("SELECT 1 AS n")
# Whoever started the tests may have had SIGINT ignored, in the background of a shell.
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Timer(1.0, _thread.interrupt_main).start()
try:
    ledger.sql("SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3")
except KeyboardInterrupt:
    print(ledger.sql("SELECT 1 AS n").n[0])
"""


def test_an_interrupt_ends_the_query_and_the_next_one_is_answered(tmp_path: Path) -> None:
    code = INTERRUPTED.format(path=str(tmp_path / "ledger.duckdb"))
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout.split() == ["1"]


# --- Tab -----------------------------------------------------------------------------------------


def test_tables_views_and_frames_are_offered_where_one_is_read(shell: InteractiveShell) -> None:
    shell.user_ns["prices"] = pd.DataFrame({"x": [1]})
    assert offered(shell, "%sekha_sql SELECT * FROM provider_|") == ["%sekha_sql SELECT * FROM provider_stats"]
    assert offered(shell, "%%sekha_sql\nSELECT * FROM pric|") == ["%%sekha_sql\nSELECT * FROM prices"]
    assert {"calls", "costs", "prices"} <= set(ours(shell, "%%sekha_sql -q\nSELECT *\nFROM calls JOIN |"))
    assert ours(shell, "%%sekha_sql\nSELECT * FROM notebook.|") == ["prices"]


def test_columns_of_the_tables_in_the_query_are_offered(shell: InteractiveShell) -> None:
    shell.user_ns["prices"] = pd.DataFrame({"usd per token": [1], "usd_in": [2], 3: [4], "b\x1b": [5]})
    assert ours(shell, "%%sekha_sql\nSELECT latency_p|\nFROM daily_stats") == ["latency_p50_ms", "latency_p95_ms"]
    assert ours(shell, "%%sekha_sql\nSELECT p.|\nFROM calls c JOIN prices AS p") == ['"usd per token"', "usd_in"]
    assert ours(shell, "%%sekha_sql\nSELECT c.cost_|\nFROM calls c") == ["cost_usd", "cost_source"]
    assert ours(shell, "%sekha_sql SELECT fallbacks.chosen_m|") == ["chosen_model_id"]
    assert ours(shell, "%sekha_sql SELECT nobody.|") == []


def test_what_can_be_bound_is_offered_behind_a_dollar(shell: InteractiveShell) -> None:
    shell.user_ns.update(threshold=3, three=pd.DataFrame({"x": [1]}), throw=print)
    assert ours(shell, "%%sekha_sql\nSELECT * FROM calls WHERE latency_ms > $thr|") == ["threshold"]


def test_options_are_offered_too(shell: InteractiveShell) -> None:
    assert ours(shell, "%%sekha_sql --o|") == ["--out"]
    assert ours(shell, "%sekha_sql --qu|") == ["--quiet"]
