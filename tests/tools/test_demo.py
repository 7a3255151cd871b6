"""The demo runs a notebook on the embedded model, and tells the truth about what happened."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from ..local_model import place_model

DEMO = Path(__file__).parents[2] / "tools" / "demo.py"


def demo(folder: Path, *cells: str, **environ: str) -> subprocess.CompletedProcess[str]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / "short.ipynb")
    return subprocess.run(
        [sys.executable, str(DEMO), "notebooks/short.ipynb", "demo"],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.model
@pytest.mark.kernel
def test_the_demo_sums_up_the_answer_and_its_row_in_the_ledger(own_directories: Path, tmp_path: Path) -> None:
    place_model(own_directories)
    chat = "%%sekha_chat --temperature 0 --max-tokens 20\nName the capital of France."
    done = demo(tmp_path, "%load_ext sekha_magics", chat, OPENAI_API_KEY="must-not-be-used")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cell 2 of 2: %%sekha_chat" in done.stdout
    assert "smollm2-135m-instruct at local answered a chat_small request" in done.stdout
    assert "because: " in done.stdout
    assert "$0 (free)" in done.stdout
    assert f"{own_directories / 'ledger.duckdb'}: 1 calls in all, 1 of them from this run" in done.stdout
    executed = nbformat.read(tmp_path / "demo" / "short.ipynb", as_version=4)
    assert executed.cells[1].outputs[0].metadata["sekha"]["output_tokens"] > 0


@pytest.mark.kernel
def test_a_cell_that_fails_fails_the_demo_and_is_kept(tmp_path: Path) -> None:
    done = demo(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    executed = nbformat.read(tmp_path / "demo" / "short.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].ename == "ZeroDivisionError"


@pytest.mark.kernel
def test_a_demo_without_an_answer_is_no_success(tmp_path: Path) -> None:
    assert demo(tmp_path, "1 + 1").returncode == 1
