"""Notebook files as cells with their outputs, whatever wrote them: formats 3 and 4, with or without cell ids.

Nothing of a file is believed beyond its shape; one that is no notebook is an error that says why.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InvalidInput

__all__ = ["Cell", "Notebook", "find", "parse", "read"]

MOST_BYTES = 1_000_000_000
# Past any number a notebook has; json.loads would refuse the whole file for one with some thousand digits.
_MOST_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Cell:
    """A code cell. `position` counts all cells from 1, `number` is the one in its `In [ ]`."""

    position: int
    number: int | None
    cell_id: str | None
    source: str
    outputs: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Notebook:
    """`path` is None for one that was piped in."""

    name: str
    path: Path | None
    cells: tuple[Cell, ...]


def find(path: Path) -> list[Path]:
    """`path` itself, or the notebooks in and below a folder, in order; hidden folders (checkpoints) are left out.

    Raises `InvalidInput` for a folder without any.
    """
    # Not `Path.is_dir`, which raises where a name cannot be one.
    if not os.path.isdir(path):  # noqa: PTH112
        return [path]
    found = []
    for folder, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        found += [Path(folder, name) for name in sorted(names) if name.endswith(".ipynb") and not name.startswith(".")]
    if not found:
        raise InvalidInput(f"There is no notebook in {path}.", hint="Name a file that ends in .ipynb.")
    return found


def read(path: str | os.PathLike[str]) -> Notebook:
    """The notebook at `path`. Raises `InvalidInput`."""
    file = Path(path).expanduser()
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InvalidInput(
                f"{file} has {file.stat().st_size / 1e9:.1f} GB, more than is read of a notebook.",
                hint="Clear its largest outputs first.",
            )
        data = file.read_bytes()
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.",
            hint="Name a notebook, or a folder of them.",
        ) from error
    if str(file) == os.devnull:
        # What version control gives for a file that is not there on one side.
        return Notebook(str(file), None, ())
    return parse(data, str(path), file)


def parse(data: bytes, name: str, path: Path | None = None) -> Notebook:
    """The notebook in `data`; `name` is what it is called. Raises `InvalidInput`."""
    try:
        document = json.loads(data, parse_int=_whole)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} is not a notebook: {_what(error)}.", hint=_hint(data)) from error
    return Notebook(name, path, tuple(_cells(document, name)))


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _MOST_DIGITS else digits


def _what(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"it is broken JSON at line {error.lineno}, column {error.colno}"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it is no text"


def _hint(data: bytes) -> str:
    if not data.strip():
        return "The file is empty."
    if b"\n<<<<<<< " in data:
        return "It holds the marks of a merge conflict: resolve it first."
    return "Name a file that Jupyter can open."


def _cells(document: Any, name: str) -> Iterator[Cell]:
    cells = _mapping(document).get("cells")
    if cells is None and (sheets := _mapping(document).get("worksheets")) is not None:
        # Format 3 had sheets, of which every writer made one.
        cells = [cell for sheet in _list(sheets) for cell in _list(_mapping(sheet).get("cells"))]
    if not isinstance(cells, list):
        raise InvalidInput(f"{name} is not a notebook: it has no cells.", hint="Name a file that Jupyter can open.")
    for position, value in enumerate(cells, 1):
        cell = _mapping(value)
        if cell.get("cell_type") != "code":
            continue
        number = cell.get("execution_count", cell.get("prompt_number"))
        cell_id = cell.get("id")
        yield Cell(
            position,
            number if isinstance(number, int) and not isinstance(number, bool) and number >= 0 else None,
            cell_id if isinstance(cell_id, str) and cell_id else None,
            _text(cell.get("source", cell.get("input"))),
            tuple(_mapping(output) for output in _list(cell.get("outputs"))),
        )


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
