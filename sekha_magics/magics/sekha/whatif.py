"""`%sekha whatif`: what other choices would have cost, request by request; shown are the moves from model to model."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ...display.money import format_usd
from ...display.tables import Table
from ..cost import beginning
from ..shown import ShownFrame
from ..standing import registry

if TYPE_CHECKING:
    from ...experiments.whatif import Range, Retaken, WhatIf
    from ..arguments import Arguments

__all__ = ["whatif"]

_WISHES = {
    "model": "model",
    "prefer": "preferred_model",
    "task": "task",
    "policy": "policy",
    "max_cost": "max_cost",
    "local_only": "local_only",
}


def whatif(arguments: Arguments) -> ShownFrame:
    """A row for each request of the span; money is `Decimal` USD, None when unknown."""
    if arguments.rest.strip():
        raise UsageError(f"{arguments.rest.split()[0]!r} is no option of %sekha whatif")
    given = arguments.values
    changes = {wish: given[name] for name, wish in _WISHES.items() if name in given}
    since = beginning(given["since"], datetime.now(UTC)) if "since" in given else None
    return _Shown(registry().whatif(since=since, everything="all" in given, **changes))


class _Shown(ShownFrame):
    """All requests, shown as one row for each model they went to and each they would have gone to."""

    def __init__(self, found: WhatIf) -> None:
        super().__init__(found.to_frame())
        object.__setattr__(self, "_found", found)

    def table(self) -> Table:
        found: WhatIf = self.__dict__["_found"]
        groups: dict[tuple[str, str], list[Retaken]] = {}
        for row in found.rows:
            groups.setdefault((_name(*row.past.chosen), _name(row.provider_id, row.model_id)), []).append(row)
        largest_first = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
        rows = [(then, now, len(members), *_costs(members)) for (then, now), members in largest_first]
        columns = ("went to", "would have gone to", "requests", "cost then", "cost")
        return Table(
            columns,
            rows,
            caption=_caption(found),
            footnotes=_footnotes(found),
            right=frozenset({"cost then", "cost"}),
            empty="no requests",
        )


def _caption(found: WhatIf) -> str:
    asked = ", ".join(f"{name.replace('_', ' ')} {_value(value)}" for name, value in found.changes.items())
    then, unknown_then = found.then
    now, unknown_now = found.now
    return (
        f"{len(found.rows)} requests of {found.scope}, {asked or 'nothing changed'}: "
        f"{_sum(then, unknown_then)} then, {_range(now)}{_unpriced(unknown_now)}; {found.moved} would have moved"
    )


def _footnotes(found: WhatIf) -> tuple[str, ...]:
    notes = []
    if found.impossible:
        reasons = dict.fromkeys(row.reason for row in found.rows if not row.possible)
        notes.append(f"{found.impossible} could not have been answered, and cost nothing here: {'; '.join(reasons)}")
    if found.moved:
        notes.append("A range, because another model counts tokens otherwise and may answer at another length.")
    return tuple(notes)


def _costs(rows: Iterable[Retaken]) -> tuple[str, str]:
    from ...experiments.whatif import WhatIf

    part = WhatIf({}, tuple(rows))
    then, unknown_then = part.then
    now, unknown_now = part.now
    answered = part.impossible < len(part.rows)
    return _sum(then, unknown_then), _range(now) + _unpriced(unknown_now) if answered else ""


def _name(provider_id: str | None, model_id: str | None) -> str:
    return f"{provider_id}/{model_id}" if model_id else "nobody"


def _sum(usd: Decimal, unknown: int) -> str:
    return format_usd(usd) + _unpriced(unknown)


def _unpriced(count: int) -> str:
    return f" + {count} unpriced" if count else ""


def _range(usd: Range) -> str:
    if usd.low is None or usd.high is None or usd.low == usd.high:
        return format_usd(usd.low)
    return f"{format_usd(usd.low)} to {format_usd(usd.high)}"


def _value(value: object) -> str:
    return format_usd(value) if isinstance(value, Decimal) else "yes" if value is True else str(value)
