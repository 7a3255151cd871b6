"""The committed notebooks run from their cassettes and give, to the letter, the outputs they are shown with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
IDS = [n.stem for n in NOTEBOOKS]


def cassette_of(notebook: Path) -> Path:
    return notebook.parent / "cassettes" / f"{notebook.stem}.jsonl"


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
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-p", "no:cacheprovider", str(notebook)],
        env={**environ, "SEKHA_CASSETTE": str(cassette_of(notebook)), "SEKHA_MODE": "replay"},
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
    assert chats
    for cell in chats:
        assert cell["outputs"], source(cell)
    for cell in cells:
        # A cell ends in an error only where the lesson says so.
        failed = any(output["output_type"] == "error" for output in cell["outputs"])
        assert failed == ("raises-exception" in cell["metadata"].get("tags", ())), source(cell)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_nothing_of_the_machine_it_ran_on_is_in_it(notebook: Path) -> None:
    for path in (notebook, cassette_of(notebook)):
        text = path.read_text("utf-8")
        for folder in (str(Path.home()), str(ROOT), "/tmp/", "/site-packages/"):
            assert folder not in text, (path.name, folder)
