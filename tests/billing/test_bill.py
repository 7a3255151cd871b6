"""`sekha cost NOTEBOOK` and `bill()`: what cells cost, from their outputs alone."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from wcwidth import wcswidth

import sekha_magics as sekha

from .conftest import Said
from .paper import cell, facts, notebook, output, write

Cost = Callable[..., Said]


def test_every_answer_is_a_row_with_who_gave_it_and_what_it_took(folder: Path, cost: Cost) -> None:
    write(
        folder / "n.ipynb",
        {"cell_type": "markdown", "metadata": {}, "source": "# Costs"},
        cell("%%sekha_chat -m fast\nName the capital of France.", facts(), number=3),
        cell("reg.chat('And of Spain?')", facts("d2", cost_usd="0.5"), number=None),
    )
    code, out, err = cost("n.ipynb")
    first, second = (line for line in out.splitlines() if " at stage" in line)
    assert (code, err) == (0, "")
    assert out.startswith("$0.5125 in n.ipynb: 2 calls, 20 tokens in, 8 out, on 2026-11-23\n")
    assert first.split() == ["[3]", "Name", "the", "capital", "of", "France.", "fast", "at", "stage", "10", "4",
                             "$0.0125", "computed", "08:05"]  # fmt: skip
    assert "cell 3" in second and "reg.chat('And of Spain?')" in second and "$0.50" in second


def test_an_unpriced_call_is_named_beside_the_sum_and_never_zero(folder: Path, cost: Cost) -> None:
    write(
        folder / "n.ipynb",
        cell("a", facts("1")),
        cell("b", facts("2", cost_usd=None)),
        cell("c", facts("3", cost_usd=None)),
    )
    out = cost("n.ipynb").out
    assert out.startswith("$0.0125 + 2 unpriced calls in n.ipynb")
    assert out.count(" unpriced  ") == 2
    frame = sekha.bill("n.ipynb")
    assert frame["cost_usd"].tolist() == [Decimal("0.0125"), None, None]
    assert frame["unpriced_calls"].sum() == 2


def test_a_reply_with_a_priced_and_an_unpriced_attempt_counts_both(folder: Path, cost: Cost) -> None:
    both = facts(cost_usd=None, priced_usd="0.002", unpriced_calls=1)
    write(folder / "n.ipynb", cell("a", both))
    assert cost("n.ipynb").out.startswith("$0.002 + 1 unpriced call in n.ipynb")


def test_a_replayed_answer_shows_its_recorded_cost_and_counts_for_nothing(folder: Path, cost: Cost) -> None:
    replayed = facts("2", cost_usd="0.30", cost_source="replayed", recorded_cost_source="computed", replayed=True)
    write(folder / "n.ipynb", cell("a", facts("1")), cell("b", replayed))
    out = cost("n.ipynb").out
    assert out.startswith("$0.0125 in n.ipynb: 2 calls")
    assert "$0.30  replayed" in out
    assert "1 answer was replayed from a cassette: recorded at $0.30, nothing was spent on them here." in out
    frame = sekha.bill("n.ipynb")
    assert frame["cost_usd"].tolist() == [Decimal("0.0125"), Decimal(0)]
    assert frame["replayed_usd"].tolist() == [None, Decimal("0.30")]


def test_an_unpriced_answer_that_is_replayed_is_no_unpriced_call(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts(cost_usd=None, cost_source="replayed", replayed=True)))
    assert cost("n.ipynb").out.startswith("$0 in n.ipynb")


def test_a_simulated_answer_costs_nothing(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts(simulated=True, priced_usd="0", unpriced_calls=0)))
    assert cost("n.ipynb").out.startswith("$0 in n.ipynb: 1 call,")


def test_an_answer_that_is_there_twice_is_counted_once_and_said(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts(), facts()), cell("copied", facts()), cell("b", facts("d2")))
    out = cost("n.ipynb").out
    assert out.startswith("$0.025 in n.ipynb: 2 calls")
    assert "2 outputs are shown again or copied: each answer is counted once." in out
    write(folder / "copy.ipynb", cell("a", facts()))
    assert cost("n.ipynb", "copy.ipynb").out.startswith("$0.025 in 2 notebooks: 2 calls")


def test_what_only_shows_a_decision_is_no_call(folder: Path, cost: Cost) -> None:
    route = {"decision_id": "d1", "model_id": "fast", "provider_id": "stage", "estimated_cost_usd": "3"}
    write(folder / "n.ipynb", cell("%sekha_route Hi", route))
    assert "no answers in its outputs" in cost("n.ipynb").out


def test_it_says_what_it_cannot_know(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb")
    said = cost("n.ipynb")
    assert said.code == 0 and said.out.startswith("$0 in n.ipynb: 0 calls")
    assert "Calls from plain Python, and failed ones, leave no output" in said.out
    stripped = output({}) | {"metadata": {}, "data": {"application/vnd.sekha.chat.v1+json": {}}}
    write(folder / "n.ipynb", cell("a") | {"outputs": [stripped]})
    assert "1 answer has no metadata any more, and cannot be counted." in cost("n.ipynb").out


def test_several_models_are_summed_below(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts("1")), cell("b", facts("2", model_id="slow", cost_usd="1")))
    out = cost("n.ipynb").out
    assert [line.split()[0] for line in out.splitlines()[-4:-1]][1:] == ["slow", "fast"]
    assert out.count("Calls from plain Python") == 1


def test_folders_stand_for_the_notebooks_in_them_and_checkpoints_do_not_count(folder: Path, cost: Cost) -> None:
    below = folder / "course" / "week 1"
    (below / ".ipynb_checkpoints").mkdir(parents=True)
    write(folder / "course" / "a.ipynb", cell("a", facts("1")))
    write(below / "b.ipynb", cell("b", facts("2", cost_usd="1")))
    write(below / "empty.ipynb")
    write(below / ".ipynb_checkpoints" / "b-checkpoint.ipynb", cell("b", facts("3")))
    out = cost("course").out
    assert out.startswith("$1.01 in 3 notebooks: 2 calls")
    names = [line.split("  ")[0] for line in out.splitlines() if ".ipynb" in line]
    assert names == [str(Path("course", "week 1", "b.ipynb")), str(Path("course", "a.ipynb")),
                     str(Path("course", "week 1", "empty.ipynb"))]  # fmt: skip
    assert len(sekha.bill("course")) == len(sekha.bill(folder / "course", Path("course"))) == 2


GROUPS = {"model": "fast", "provider": "stage", "task": "chat_small", "day": "2026-11-23", "notebook": "n.ipynb",
          "cell": "[1]"}  # fmt: skip


@pytest.mark.parametrize("by", GROUPS)
def test_it_is_grouped_by_what_is_asked(folder: Path, cost: Cost, by: str) -> None:
    write(folder / "n.ipynb", cell("a", facts()))
    rows = cost("n.ipynb", "--by", by).out.splitlines()
    assert rows[1].split()[0] == by and rows[3].split()[0] == GROUPS[by]


def test_several_notebooks_cell_by_cell_are_shown_one_after_another(folder: Path, cost: Cost) -> None:
    write(folder / "a.ipynb", cell("first", facts("1")))
    write(folder / "b.ipynb", cell("second", facts("2")))
    out = cost("a.ipynb", "b.ipynb", "--by", "cell").out
    captions = [line.split(":")[0] for line in out.splitlines() if line.startswith("$")]
    assert captions == ["$0.0125 in a.ipynb", "$0.0125 in b.ipynb", "$0.025 in 2 notebooks"]
    assert out.count("first") == out.count("second") == 1


def test_since_leaves_older_answers_out(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts()), cell("b", facts("2", ts="2027-01-05T00:00:00+00:00")))
    assert cost("n.ipynb", "--since", "2026-12-24").out.startswith("$0.0125 in n.ipynb: 1 call,")


def test_a_notebook_is_read_from_standard_input(folder: Path, cost: Cost, monkeypatch: pytest.MonkeyPatch) -> None:
    data = json.dumps(notebook(cell("a", facts()))).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert cost("-").out.startswith("$0.0125 in standard input: 1 call")


def test_json_holds_every_digit_and_nothing_but_json(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb", cell("a", facts(cost_usd="0.000000000001")), cell("b", facts("2", cost_usd="1.10")))
    said = json.loads(cost("n.ipynb", "--json").out)
    assert said["total"]["cost_usd"] == "1.100000000001"
    assert [line["cost_usd"] for line in said["lines"]] == ["0.000000000001", "1.1"]
    assert said["lines"][0]["ts"] == "2026-11-23T08:05:07.708224+00:00"


def test_the_table_keeps_within_a_hundred_columns(folder: Path, cost: Cost) -> None:
    names = {"model_id": "a-very-long-name-of-a-model-that-somebody-tuned:70b-instruct", "provider_id": "openrouter"}
    write(
        folder / "n.ipynb",
        *(cell("%%sekha_chat\n" + "東京の天気は? " * 20, facts(str(i), **names), number=i) for i in range(3)),
        cell("%%sekha_chat\n" + "word " * 80, facts("x", ts="2026-11-24T00:00:00+00:00"), number=1234),
    )
    assert max(wcswidth(line) for line in cost("n.ipynb").out.splitlines()) <= 100


def test_the_frame_has_useful_types(folder: Path) -> None:
    write(folder / "n.ipynb", cell("a", facts()))
    frame = sekha.bill("n.ipynb")
    assert frame["cost_usd"].sum() == Decimal("0.0125")
    assert str(frame["input_tokens"].dtype) == "Int64" and isinstance(frame["ts"].dtype, pd.DatetimeTZDtype)
    write(folder / "n.ipynb")
    assert list(sekha.bill("n.ipynb").columns) == list(frame.columns)


def test_no_configuration_no_ledger_and_nothing_heavy_is_needed(folder: Path, own_directories: Path) -> None:
    path = write(folder / "n.ipynb", cell("a", facts()))
    (folder / "config.yaml").write_text("llm_providers: [broken")
    script = (
        "import sys; from sekha_magics.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'duckdb', 'pandas', 'pydantic', 'litellm', 'httpx', 'IPython', 'numpy', 'yaml', 'nbformat'};"
        "print(sorted(heavy & set(sys.modules)), code)"
    )
    for words in (("cost", str(path)), ("cost", "--json", str(path)), ("cost", "--diff", str(path), str(path))):
        done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
        assert done.stdout.splitlines()[-1] == "[] 0", done.stderr
    assert not own_directories.exists()
