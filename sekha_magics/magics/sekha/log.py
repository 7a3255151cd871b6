"""`%sekha log`: the last decisions, where all of them are, and whether all are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry
from .words import one_action

if TYPE_CHECKING:
    import pandas as pd

    from ...ledger.verifying import Verification

__all__ = ["log"]

_ROWS = 10
_TAIL = """SELECT ts, source, outcome, task, provider_id, model_id, calls, input_tokens, output_tokens, cost_usd,
decision_id FROM costs ORDER BY ts DESC LIMIT {rows}"""


def log(arguments: Arguments) -> pd.DataFrame | str | Verification:
    """`tail`, the newest row first, `path`, or `verify`."""
    action = one_action(arguments, SUBCOMMANDS["log"].words, "tail")
    if action.operand:
        raise UsageError(f"{action.operand!r} is not understood here; -n ROWS says how many rows")
    ledger = registry().ledger
    if action.name == "path":
        return str(ledger.path)
    if action.name == "verify":
        return ledger.verify()
    from ...display.money import format_usd
    from ..shown import ShownFrame

    return ShownFrame(
        ledger.sql(_TAIL.format(rows=int(arguments.values.get("rows", _ROWS))), frames={}),
        caption="the last decisions",
        footnotes=(f"All of them: reg.ledger.decisions(), .calls(), .costs(); the file is {ledger.path}",),
        empty="nothing is logged yet",
        column={"cost_usd": format_usd},
    )
