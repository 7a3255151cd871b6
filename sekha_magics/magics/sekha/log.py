"""`%sekha log`: the last decisions, those in which a text stands, a copy, where they are, and forgetting them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ...display.money import format_usd
from ...display.sizes import format_bytes
from ..arguments import Arguments
from ..cost import beginning
from ..options import SUBCOMMANDS
from ..shown import ShownFrame
from ..standing import registry
from .words import one_action

if TYPE_CHECKING:
    import pandas as pd

    from ...ledger.pruning import Pruned
    from ...ledger.verifying import Verification

__all__ = ["log"]

_ROWS = 10
_ID = 8
_FITS = {
    "tail": {"rows"},
    "search": {"rows", "in", "since"},
    "export": {"table"},
    "prune": {"before", "notebook", "session", "yes"},
    "path": set(),
    "verify": set(),
}
_TAIL = """SELECT ts, source, outcome, task, provider_id, model_id, calls, input_tokens, output_tokens, cost_usd,
decision_id FROM costs ORDER BY ts DESC LIMIT {rows}"""


def log(arguments: Arguments) -> pd.DataFrame | str | list[str] | Verification:
    """`tail`, the newest row first, without a word."""
    action = one_action(arguments, SUBCOMMANDS["log"].words, "tail")
    given = arguments.values
    for name in given:
        if name not in _FITS[action.name]:
            fitting = next(word for word, names in _FITS.items() if name in names)
            raise UsageError(f"--{name} goes with %sekha log {fitting}, not with {action.name}")
    match action.name:
        case "search":
            return _search(action.operand, given)
        case "export":
            return _export(action.operand, given)
    if action.operand:
        raise UsageError(f"{action.operand!r} is not understood here; `%sekha log --help` says what is")
    match action.name:
        case "prune":
            return _prune(given)
        case "path":
            return str(registry().ledger.path)
        case "verify":
            return registry().ledger.verify()
    return _tail(int(given.get("rows", _ROWS)))


def _tail(rows: int) -> pd.DataFrame:
    ledger = registry().ledger
    return ShownFrame(
        ledger.sql(_TAIL.format(rows=rows), frames={}),
        caption="the last decisions",
        footnotes=(f"All of them: reg.ledger.decisions(), .calls(), .costs(); the file is {ledger.path}",),
        empty="nothing is logged yet",
        column={"cost_usd": format_usd},
    )


def _search(text: str, given: Any) -> pd.DataFrame:
    if not text:
        raise UsageError('there is nothing to look for: %sekha log search "what was said"')
    since = beginning(given["since"], datetime.now(UTC)) if "since" in given else None
    chosen = {"places": tuple(dict.fromkeys(given["in"]))} if "in" in given else {}
    found = registry().ledger.search(text, limit=int(given.get("rows", _ROWS)), since=since, **chosen)
    total, unkept = found.attrs["found"], found.attrs["unkept"]
    shown = registry().redact(text)
    caption = f"{_count(total, 'decision')} with {shown!r}"
    if total > len(found):
        caption += f", the newest {len(found)}"
    notes = [f"The texts of {_count(unkept, 'chat')} are not kept and could not be searched."] if unkept else []
    if total:
        notes.append("The DataFrame has the whole ids; `%sekha_route --why ID` explains one.")
    return ShownFrame(
        found,
        caption=caption,
        footnotes=tuple(notes),
        empty="it stands nowhere in what is kept" if unkept else "it stands nowhere",
        column={"decision_id": lambda decision_id: decision_id[:_ID]},
        only=("ts", "found_in", "snippet", "model_id", "decision_id"),
    )


def _export(path: str, given: Any) -> list[str]:
    if not path:
        raise UsageError("where to? %sekha log export calls.parquet, calls.csv or a folder")
    files = registry().ledger.export(path, **({"table": given["table"]} if "table" in given else {}))
    return [str(file) for file in files]


def _prune(given: Any) -> pd.DataFrame:
    if not given.keys() - {"yes"}:
        raise UsageError("what shall go? --older 90d, --notebook NAME or --session ID")
    before = beginning(given["before"], datetime.now(UTC), "--older") if "before" in given else None
    ledger = registry().ledger
    pruned = ledger.prune(
        before=before, notebook=given.get("notebook"), session=given.get("session"), dry_run="yes" not in given
    )
    return ShownFrame(
        pruned.to_frame(), caption=_told(pruned), footnotes=_outlook(pruned), column={"bytes": _bytes}, right=("bytes",)
    )


def _told(pruned: Pruned) -> str:
    gone, total = pruned.rows["decisions"]
    span = f", from {pruned.oldest:%Y-%m-%d} to {pruned.newest:%Y-%m-%d}" if pruned.oldest and pruned.newest else ""
    if pruned.done:
        return f"{gone:,} of {_count(total, 'decision')} pruned{span}"
    return f"{gone:,} of {_count(total, 'decision')} would go{span}; nothing is pruned yet"


def _outlook(pruned: Pruned) -> tuple[str, ...]:
    before, after = pruned.disk_bytes
    if after is not None:
        told = f"The ledger's files take {format_bytes(after)} instead of {format_bytes(before)}."
        if pruned.scrubbed:
            return (told,)
        return (told, "Another kernel was reading: its log may still hold some of it. Prune once more when it is idle.")
    return (
        f"The ledger's files take {format_bytes(before)}. Add --yes to prune; what budgets have counted stays counted.",
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _bytes(size: Any) -> str | None:
    import pandas as pd

    return None if pd.isna(size) else format_bytes(int(size))
