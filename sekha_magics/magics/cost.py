"""`%sekha_cost`: what was spent, by model, cell, day or another group.

A replay spends nothing, so among live calls its recorded cost counts for nothing; while a notebook is replayed the
recorded cost is shown as it was, so that the output is the same. A sum that leaves unpriced calls out says so.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from .options import COST
from .standing import registry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["beginning", "cost"]

_GROUPS = {
    "model": "model_id, provider_id",
    "provider": "provider_id",
    "task": "task",
    "cell": "notebook, cell_id",
    "notebook": "notebook",
    "conversation": "conversation",
    "day": "DATE '1970-01-01' + (epoch_us(ts) // 86400000000)::INTEGER AS day",
    "session": "session_id",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def cost(line: str) -> pd.DataFrame | None:
    """Answer a line with a row for each group; money is `Decimal` USD, None where nothing had a price."""
    arguments = COST.parse(line)
    if arguments.help:
        sys.stdout.write(COST.help_text())
        return None
    if arguments.rest.strip():
        raise UsageError(f"{arguments.rest.split()[0]!r} is no option of %sekha_cost")
    by, since = arguments.values.get("by", "model"), arguments.values.get("since")
    in_use = registry()
    condition, scope = "true", "all sessions"
    if since is not None:
        start = beginning(since, datetime.now(UTC))
        condition = f"ts >= TIMESTAMPTZ '{start.isoformat()}'"
        scope = f"all sessions since {start:%Y-%m-%d %H:%M} UTC"
    elif "all" not in arguments.values:
        condition, scope = f"session_id = '{in_use.session_id}'", "this session"
    query = files(__package__).joinpath("cost.sql").read_text(encoding="utf-8")
    order = "day" if by == "day" else f"cost_usd DESC NULLS LAST, calls DESC, {_GROUPS[by]}"
    replaying = in_use.cassette is not None and in_use.cassette.mode == "replay"
    asked = {"group": _GROUPS[by], "condition": condition, "order": order, "replaying": str(replaying)}
    return _shown(in_use.ledger.sql(query.format(**asked)), scope)


def _shown(frame: pd.DataFrame, scope: str) -> pd.DataFrame:
    from ..display.money import format_sum, format_usd
    from .cost_table import CostFrame

    spent = sum((usd for usd in frame["cost_usd"] if usd is not None), Decimal(0))
    replayed = sum((usd for usd in frame["replayed_usd"] if usd is not None), Decimal(0))
    total = format_sum(spent, int(frame["unpriced_calls"].sum()))
    notes = (f"Replayed answers once cost {format_usd(replayed)} and count for nothing here.",) if replayed else ()
    spending = frame.drop(columns="replayed_usd")
    caption = f"{total} in {scope}"
    return CostFrame(spending, caption=caption, footnotes=notes, empty="no calls")


def beginning(text: str, now: datetime, flag: str = "--since") -> datetime:
    """The moment `flag` means, in UTC: `2h` before `now`, `today` and dates from midnight where the user is.

    Raises UsageError.
    """
    if span := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
    midnight = now.astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"today", "yesterday"}:
        return (midnight - timedelta(days=text == "yesterday")).astimezone(UTC)
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{flag} {text!r}: 30m, 2h, 7d, 1w, today, yesterday or a date such as 2026-11-01 is expected"
        ) from None
