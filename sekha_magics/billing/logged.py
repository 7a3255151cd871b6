"""What the ledger knows of a notebook beyond its outputs: calls from plain Python, failed ones, and those of cells that
were run again since."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from decimal import Decimal
from importlib.resources import files
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from ..display.text import one_line
from .lines import Line
from .reading import Notebook

if TYPE_CHECKING:
    from ..ledger.store import Ledger

__all__ = ["lines_without_output"]


def lines_without_output(ledger: Ledger, notebook: Notebook, lines: Sequence[Line]) -> Iterator[Line]:
    """A line for each decision of `notebook` with a call that is not among `lines`, its outputs.

    Raises `LedgerError` when the ledger cannot be read.
    """
    import pandas as pd

    known = ledger.sql("SELECT DISTINCT notebook FROM decisions WHERE notebook IS NOT NULL")["notebook"]
    path = notebook.path
    names = [] if path is None else [name for name in known if _is_of(str(name), path)]
    ids = [line.decision_id for line in lines if line.decision_id is not None]
    frames = {"outputs": pd.DataFrame({"decision_id": pd.Series(ids, dtype="str")}),
              "names": pd.DataFrame({"notebook": pd.Series(names, dtype="str")})}  # fmt: skip
    query = files(__package__).joinpath("logged.sql").read_text(encoding="utf-8")
    cells = {cell.cell_id: cell for cell in notebook.cells if cell.cell_id is not None}
    seen = set(ids)
    for row in ledger.sql(query, frames).astype(object).to_dict("records"):
        known_row = {str(name): None if pd.isna(value) else value for name, value in row.items()}
        if known_row["decision_id"] in seen:
            continue
        cell = cells.get(str(known_row["cell_id"]))
        yield _line(notebook, known_row, cell.position if cell else None, cell.number if cell else None)


def _line(notebook: Notebook, row: dict[str, Any], position: int | None, number: int | None) -> Line:
    def text(name: str) -> str | None:
        return None if row[name] is None else one_line(row[name], 200)

    replayed = row["replayed_usd"] is not None or row["outcome"] == "replayed"
    what = text("source") or "call"
    return Line(
        notebook=notebook.name,
        position=position,
        number=number,
        cell_id=text("cell_id"),
        prompt=what if row["outcome"] in ("ok", "replayed") else f"{what}, {text('outcome') or 'cut off'}",
        decision_id=row["decision_id"],
        ts=row["ts"].to_pydatetime(),
        provider_id=text("provider_id"),
        model_id=text("model_id"),
        task=text("task"),
        conversation=text("conversation"),
        input_tokens=None if row["input_tokens"] is None else int(row["input_tokens"]),
        output_tokens=None if row["output_tokens"] is None else int(row["output_tokens"]),
        usd=row["replayed_usd"] if replayed and row["replayed_usd"] is not None else row["cost_usd"] or Decimal(0),
        unpriced=int(row["unpriced_calls"] or 0),
        cost_source=None if row["cost_source"] == "replayed" else row["cost_source"],
        latency_ms=None if row["latency_ms"] is None else float(row["latency_ms"]),
        replayed=replayed,
        origin="ledger",
    )


def _is_of(logged: str, path: Path) -> bool:
    """Is the notebook that was logged under this name the one at `path`?

    Front ends log whole paths; `SEKHA_NOTEBOOK` may be the end of one.
    """
    here, there = path.absolute(), PurePath(logged)
    if there.is_absolute():
        return os.path.normcase(os.path.normpath(here)) == os.path.normcase(os.path.normpath(there)) or (
            os.path.realpath(here) == os.path.realpath(there)
        )
    return bool(there.parts) and here.parts[-len(there.parts) :] == there.parts
