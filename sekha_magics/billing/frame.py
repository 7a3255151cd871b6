"""The bill as a DataFrame."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from .lines import Line
from .reading import find, read
from .reckoning import reckon

if TYPE_CHECKING:
    import pandas as pd

    from ..ledger.store import Ledger

__all__ = ["COLUMNS", "bill", "record"]

COLUMNS = (
    "notebook", "position", "number", "cell_id", "prompt", "provider_id", "model_id", "task", "conversation",
    "input_tokens", "output_tokens", "cost_usd", "unpriced_calls", "cost_source", "replayed", "replayed_usd",
    "latency_ms", "ts", "origin", "damaged", "decision_id",
)  # fmt: skip
_WHOLE = ("position", "number", "input_tokens", "output_tokens", "unpriced_calls")


def bill(*notebooks: str | os.PathLike[str], ledger: Ledger | None = None) -> pd.DataFrame:
    """What notebooks cost, one row per answer, read from the files alone; folders stand for the notebooks in them.

    `cost_usd` is `Decimal` USD, 0 for a replayed answer (whose `replayed_usd` was spent when it was recorded) and None
    where nothing has a price; `unpriced_calls` says how many calls a sum leaves out. An answer that is there twice is
    one row. Calls from plain Python leave no output: with `ledger=reg.ledger` they are added, their `origin` is
    `ledger`. `ts` is UTC. Raises `InvalidInput` for what is no notebook.
    """
    import pandas as pd

    if not notebooks:
        raise InvalidInput("No notebook is named.", hint='Name one: bill("notebook.ipynb").')
    for name in notebooks:
        if not isinstance(name, str | os.PathLike):
            raise InvalidInput(f"{name!r:.80} is no path of a notebook.", hint='Name one: bill("notebook.ipynb").')
    paths = [path for name in notebooks for path in find(Path(name).expanduser())]
    rows = [record(line) for line in reckon([read(path) for path in paths], ledger).lines]
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in COLUMNS})
    frame["ts"] = pd.to_datetime(frame["ts"], utc=True)
    return frame.astype({**dict.fromkeys(_WHOLE, "Int64"), "latency_ms": float, "replayed": bool, "damaged": bool})


def record(line: Line) -> dict[str, Any]:
    """A line as plain values, money as `Decimal`."""
    known = None if line.unpriced and not line.usd else line.usd
    own = {
        "cost_usd": line.spent if line.replayed else known,
        "unpriced_calls": 0 if line.replayed else line.unpriced,
        "replayed_usd": known if line.replayed else None,
    }
    return {name: own[name] if name in own else getattr(line, name) for name in COLUMNS}
