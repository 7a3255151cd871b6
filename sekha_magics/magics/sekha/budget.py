"""`%sekha budget`: what may be spent, what is left, and another limit for this session."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
from IPython.core.error import UsageError

from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry
from .words import one_action

__all__ = ["budget"]

_BAR = 10
_LIFTED = {"none", "off"}
_OUTLOOK = "Days and months are those of UTC; `%sekha budget session 0.50` sets a limit for this session."
_ALONE = (
    "These hold for this kernel alone, and until it ends: the file system lets kernels share no file. "
    "Set SEKHA_HOME to a folder on a disk of this machine."
)


def budget(arguments: Arguments) -> pd.DataFrame:
    """One row per scope; with a scope and an amount that limit is set first."""
    action = one_action(arguments, SUBCOMMANDS["budget"].words, "")
    in_force = registry().budget
    if action.name:
        if not action.operand:
            raise UsageError(f"%sekha budget {action.name} USD, such as 0.50, or none for no limit")
        in_force.set(**{action.name: None if action.operand.lower() in _LIFTED else action.operand})
    from ...display.money import format_usd
    from ..shown import ShownFrame

    frame = in_force.status()
    taken = frame["spent"] + frame["reserved"]
    shares = [_share(part, limit) for part, limit in zip(taken, frame["limit"], strict=True)]
    frame["used"] = pd.Series(shares, dtype=object)

    def amount(usd: Any) -> str | None:
        return None if usd is None else format_usd(usd)

    return ShownFrame(
        frame,
        caption="budget, in USD",
        footnotes=(_ALONE, _OUTLOOK) if in_force.per_kernel else (_OUTLOOK,),
        column={**dict.fromkeys(("limit", "spent", "reserved", "left"), amount), "used": _bar},
    )


def _share(part: Decimal, limit: Decimal | None) -> Decimal | None:
    """Of a limit of 0 everything is used."""
    if limit is None:
        return None
    return (part / limit).quantize(Decimal("0.0001")) if limit else Decimal(1)


def _bar(share: Any) -> str | None:
    if share is None:
        return None
    # Full only when it is: a bar must not hide the last cents.
    filled = min(_BAR, int(share * _BAR))
    return f"{'█' * filled}{'░' * (_BAR - filled)} {int(share * 100)} %"
