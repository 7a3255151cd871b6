"""Cells run in a real kernel, as a notebook runner would."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from nbclient import NotebookClient


def run(cells: Sequence[str], folder: Path, *, allow_errors: bool = False, **environment: str) -> list[list[Any]]:
    """The outputs of each cell, run in `folder` after `%load_ext sekha_magics`."""
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(c) for c in ("%load_ext sekha_magics", *cells)]
    )
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), **environment}
    client = NotebookClient(
        notebook, timeout=120, allow_errors=allow_errors, resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=env)
    return [cell.outputs for cell in notebook.cells[1:]]


def configured(folder: Path, *providers: dict[str, Any], **sections: Any) -> str:
    """A configuration file in `folder`, named by the user; its path."""
    path = folder / "sekha.yaml"
    path.write_text(yaml.safe_dump({"llm_providers": list(providers), **sections}), encoding="utf-8")
    return str(path)


def metadata(outputs: Sequence[Any]) -> dict[str, Any]:
    (output,) = [o for o in outputs if "sekha" in o.get("metadata", {})]
    found: dict[str, Any] = output.metadata["sekha"]
    return found


def files_with(folder: Path, text: str) -> list[str]:
    """Names of the files under `folder` that hold `text`."""
    found = [path for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]
    return [str(path.relative_to(folder)) for path in found]
