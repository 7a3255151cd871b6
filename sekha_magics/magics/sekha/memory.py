"""`%sekha memory ACTION`: what is remembered, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry
from .care import ACTIONS
from .words import one_action

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["memory"]


def memory(arguments: Arguments) -> Any:
    """The action the line names; `stats` without one."""
    action = one_action(arguments, SUBCOMMANDS["memory"].words, "stats")
    return _ACTIONS[action.name](action.operand, arguments.values)


def _stats(operand: str, values: Mapping[str, Any]) -> pd.DataFrame:
    from ..shown import ShownFrame

    if operand or values:
        raise UsageError(f"{operand or '--' + min(values)!r:.80} is not understood here")
    remembered = registry().memory
    return ShownFrame(
        remembered.stats(),
        caption="memory",
        footnotes=(f"It is in {remembered.path}; reg.memory.sql(...) asks it anything.",),
        column={"bytes": _size},
    )


def _summarize(operand: str, values: Mapping[str, Any]) -> pd.DataFrame:
    from ...display.money import format_usd
    from ..shown import ShownFrame

    given = _given(values, "level", "fresh")
    made = registry().memory.summarize(_named(operand, "summarize"), **given)
    facts = made.attrs
    return ShownFrame(
        made,
        caption=f"summaries of {operand}",
        footnotes=(f"made now: {facts['made']}; questions asked: {facts['asked']}; {format_usd(facts['cost_usd'])}",),
        only=("period", "content", "model_id"),
    )


def _score(operand: str, values: Mapping[str, Any]) -> pd.DataFrame:
    from dataclasses import asdict

    import pandas as pd

    from ..shown import ShownFrame

    given = _given(values, "keep")
    score = registry().memory.score(conversation=_named(operand, "score"), **given)
    kept = "it is the conversation's importance now" if given.get("keep") else "not kept; --keep sets it"
    return ShownFrame(
        pd.DataFrame([asdict(score)]),
        caption=f"importance of {operand}",
        footnotes=(kept,),
        only=("importance", "reason", "model_id"),
    )


def _labels(operand: str, values: Mapping[str, Any]) -> pd.DataFrame:
    import pandas as pd

    from ..shown import ShownFrame

    labels = registry().memory.suggest_labels(_named(operand, "labels"), **_given(values))
    return ShownFrame(
        pd.DataFrame({"label": pd.Series(labels, dtype=object)}),
        caption=f"labels for {operand}",
        footnotes=("none is set; reg.memory.set_conversation(..., label=...) sets one",),
    )


def _named(operand: str, action: str) -> str:
    if not operand:
        raise UsageError(f"name a conversation: %sekha memory {action} CONVERSATION")
    return operand


def _given(values: Mapping[str, Any], *own: str) -> dict[str, Any]:
    """What is given, by the names of `Registry.chat`'s arguments and those of the action's own options."""
    if unfit := sorted(values.keys() & {"level", "fresh", "keep"} - set(own)):
        raise UsageError(f"--{unfit[0]} is not understood here")
    names = {"prefer": "preferred_model"}
    return {names.get(name, name): value for name, value in values.items()}


def _size(size: Any) -> str | None:
    import pandas as pd

    if pd.isna(size):
        return None
    return f"{size / 1e6:.1f}\N{NO-BREAK SPACE}MB" if size >= 1e6 else f"{size / 1e3:.0f}\N{NO-BREAK SPACE}kB"


_ACTIONS: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {
    **ACTIONS,
    "stats": _stats,
    "summarize": _summarize,
    "score": _score,
    "labels": _labels,
}
"""One for each word of the subcommand, given what stands behind the word and the options."""
