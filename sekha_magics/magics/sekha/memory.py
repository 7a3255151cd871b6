"""`%sekha memory ACTION`: what is remembered, and what can be done with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry
from .words import one_action

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["memory"]


def memory(arguments: Arguments) -> Any:
    """The action the line names; `stats` without one."""
    action = one_action(arguments, SUBCOMMANDS["memory"].words, "stats")
    return _ACTIONS[action.name](action.operand, arguments.values)


def _stats(operand: str, _: Mapping[str, Any]) -> pd.DataFrame:
    from ..shown import ShownFrame

    if operand:
        raise UsageError(f"{operand!r} is not understood here")
    remembered = registry().memory
    return ShownFrame(
        remembered.stats(),
        caption="memory",
        footnotes=(f"It is in {remembered.path}; reg.memory.sql(...) asks it anything.",),
        column={"bytes": _size},
    )


def _size(size: Any) -> str | None:
    import pandas as pd

    return None if pd.isna(size) else f"{size / 1e6:.1f} MB"


_ACTIONS: Mapping[str, Callable[[str, Mapping[str, Any]], Any]] = {"stats": _stats}
"""One for each word of the subcommand, given what stands behind the word and the options."""
