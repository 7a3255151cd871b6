"""The committed notebooks run from their cassettes and give, to the letter, the outputs they are shown with."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sekha_magics.cli import main

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IDS = [n.stem for n in NOTEBOOKS]
BILL = re.compile(r"^```\n\$ sekha cost (\S+)\n(.*?)^```", flags=re.M | re.S)


def code_cells(notebook: Path) -> list[Mapping[str, Any]]:
    document = json.loads(notebook.read_text("utf-8"))
    return [cell for cell in document["cells"] if cell["cell_type"] == "code"]


def source(cell: Mapping[str, Any]) -> str:
    return "".join(cell["source"])


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.kernel
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_every_output_is_the_same_when_replayed(notebook: Path) -> None:
    # As users test theirs: see docs/testing-notebooks.md.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    plugin = ["-p", "sekha_magics.pytest_plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugin, "--nbval", "--nbval-current-env", "--sekha-replay", str(notebook)],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_no_cell_is_kept_from_being_compared(notebook: Path) -> None:
    for cell in code_cells(notebook):
        tags = [tag for tag in cell["metadata"].get("tags", ()) if tag.startswith("nbval")]
        assert not tags, source(cell)
        assert "NBVAL_" not in source(cell)
        assert "nbval" not in source(cell).lower()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_a_notebook_is_committed_as_it_came_out_of_one_run(notebook: Path) -> None:
    cells = [cell for cell in code_cells(notebook) if source(cell).strip()]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    chats = [cell for cell in cells if source(cell).startswith(("%%sekha_chat", "%sekha_chat"))]
    assert chats or any("reg.chat(" in source(cell) for cell in cells)
    for cell in chats:
        assert cell["outputs"], source(cell)
    for cell in cells:
        # A cell ends in an error only where the lesson says so.
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == ("raises-exception" in cell["metadata"].get("tags", ())), source(cell)


def test_a_bill_that_a_lesson_or_the_readme_shows_is_the_true_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [(notebook.parent, prose(notebook)) for notebook in NOTEBOOKS]
    pages.append((ROOT, (ROOT / "README.md").read_text("utf-8")))
    examples = [(folder, *found) for folder, text in pages for found in BILL.findall(text)]
    assert len(examples) >= 2
    for folder, name, shown in examples:
        monkeypatch.chdir(folder)
        assert main(["cost", name]) == 0
        assert without_times(shown) == without_times(capsys.readouterr().out)


def prose(notebook: Path) -> str:
    document = json.loads(notebook.read_text("utf-8"))
    return "\n".join(source(cell) for cell in document["cells"] if cell["cell_type"] == "markdown")


def without_times(bill: str) -> str:
    """A bill but for when its answers were recorded."""
    return re.sub(r"\d{4}-\d\d-\d\d|\b\d\d:\d\d$", "", bill, flags=re.M).strip()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_nothing_of_the_machine_it_ran_on_is_in_it(notebook: Path) -> None:
    for path in (notebook, notebook.parent / "cassettes" / f"{notebook.stem}.jsonl"):
        text = path.read_text("utf-8")
        for folder in (str(Path.home()), str(ROOT), "/tmp/", "/site-packages/"):
            assert folder not in text, (path.name, folder)
