"""How costs are shown: a table whose last column is a chart, at most eighty columns wide and a few dozen rows long.

Days are a continuous axis on which an empty one shows; of many groups the smallest stand together in one row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pandas as pd

from ..display.bars import Bar
from ..display.drawing import Columns
from ..display.money import format_usd
from ..display.tables import Table
from ..display.text import clipped
from .shown import ShownFrame, shown_value

__all__ = ["CostFrame"]

_GROUPS = 15
_DAYS = 31
_CHARTED = 120
_EMPTY = 6
_WIDEST = 80
_NAMES = (40, 28, 20, 14)  # the first that fits
_BAR = (8, 16)
_FIGURES = ("calls", "tokens in", "tokens out", "cost", "unpriced")
_SHORT = {"session_id": 8, "cell_id": 8}


class _Spent(NamedTuple):
    names: tuple[str, ...]
    calls: int = 0
    read: int | None = None
    written: int | None = None
    usd: Decimal | None = Decimal(0)
    unpriced: int = 0


class CostFrame(ShownFrame):
    """What `%sekha_cost` gives: a DataFrame with a row for each group, shown with a bar for each share."""

    def table(self) -> Table:
        caption, footnotes, empty, *_ = self.__dict__["_shown_with"]
        names = [str(name) for name in self.columns[: list(self.columns).index("calls")]]
        spent = [_spent(row, len(names)) for row in self.itertuples(index=False, name=None)]
        rows = _every_day(spent) if names == ["day"] else _largest(spent, len(names))
        heads = tuple(name.removesuffix("_id") for name in names)
        for width in _NAMES:
            table = _table(heads, _readable(names, rows, width), caption, footnotes, empty)
            if table.width <= _WIDEST:
                break
        return table

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle = super()._repr_mimebundle_(include, exclude)
        names = [str(name) for name in self.columns[: list(self.columns).index("calls")]]
        if names == ["day"]:
            spent = [_spent(row, 1) for row in self.itertuples(index=False, name=None)]
            bundle["text/html"] += _over_time(spent)
        return bundle


def _over_time(spent: Sequence[_Spent]) -> str:
    """Days as columns, oldest first; nothing where there is no more than one, or nothing to compare."""
    of_day = {date.fromisoformat(row.names[0][:10]): row for row in spent}
    if len(of_day) < 2 or not any(row.usd for row in of_day.values()):
        return ""
    first, last = max(min(of_day), max(of_day) - timedelta(days=_CHARTED - 1)), max(of_day)
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    shown = [of_day.get(day, _Spent((day.isoformat(),))) for day in days]
    most = max(shown, key=lambda row: row.usd or Decimal(0))
    unknown = sum(row.usd is None for row in shown)
    figures = f"From {first} to {last}, day by day: the most was {format_usd(most.usd)}, on {most.names[0][:10]}."
    if unknown:
        figures += f" Of {unknown} day{'s' if unknown > 1 else ''} no price is known."
    return Columns(figures, [row.usd for row in shown]).to_html()


def _spent(row: tuple[Any, ...], names: int) -> _Spent:
    calls, read, written, usd, unpriced = row[names : names + 5]
    named = tuple("" if pd.isna(name) else str(shown_value(name)) for name in row[:names])
    return _Spent(named, int(calls), _whole(read), _whole(written), None if pd.isna(usd) else usd, int(unpriced))


def _whole(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


def _every_day(spent: Sequence[_Spent]) -> list[_Spent]:
    """Oldest first, with the empty days between; many of them in a row, and what is furthest back, in one row each."""
    of_day = {row.names[0][:10]: row._replace(names=(row.names[0][:10],)) for row in spent}
    rows: list[_Spent] = []
    last: date | None = None
    for text in sorted(of_day):
        day = date.fromisoformat(text)
        if last is not None:
            empty = [(last + timedelta(days=n)).isoformat() for n in range(1, (day - last).days)]
            rows += [_Spent((name,)) for name in (empty if len(empty) <= _EMPTY else [f"({len(empty)} days)"])]
        rows.append(of_day[text])
        last = day
    if len(rows) <= _DAYS:
        return rows
    earlier = [row for row in rows[:-_DAYS] if row.calls]
    shown = rows[-_DAYS:] if rows[-_DAYS].calls else rows[-_DAYS + 1 :]
    return [_together(earlier, (f"{len(earlier)} earlier",)), *shown]


def _largest(spent: Sequence[_Spent], names: int) -> list[_Spent]:
    if len(spent) <= _GROUPS + 1:
        return list(spent)
    others = spent[_GROUPS:]
    return [*spent[:_GROUPS], _together(others, (f"{len(others)} others", *[""] * (names - 1)))]


def _together(rows: Sequence[_Spent], names: tuple[str, ...]) -> _Spent:
    known = [row.usd for row in rows if row.usd is not None]
    return _Spent(
        names,
        sum(row.calls for row in rows),
        sum(row.read or 0 for row in rows),
        sum(row.written or 0 for row in rows),
        sum(known, Decimal(0)) if known else None,
        sum(row.unpriced for row in rows),
    )


def _readable(names: Sequence[str], rows: Sequence[_Spent], width: int) -> list[_Spent]:
    """Ids by their beginning, notebooks by their file name, long names without their middle."""
    if names == ["day"]:
        return list(rows)

    def shown(column: str, text: str) -> str:
        if not text:
            return "(none)"
        if column == "notebook":
            text = re.split(r"[/\\]", text)[-1]
        return text[: _SHORT[column]] if column in _SHORT else clipped(text, width)

    others = [row.names[0].endswith(" others") and not any(row.names[1:]) for row in rows]
    return [
        row
        if other
        else row._replace(names=tuple(shown(column, text) for column, text in zip(names, row.names, strict=True)))
        for row, other in zip(rows, others, strict=True)
    ]


def _table(
    heads: tuple[str, ...], rows: Sequence[_Spent], caption: str, footnotes: tuple[str, ...], empty: str
) -> Table:
    unpriced = any(row.unpriced for row in rows)
    figures = _FIGURES if unpriced else _FIGURES[:-1]
    cells = [(*row.names, row.calls, row.read, row.written, _cost(row), row.unpriced or None) for row in rows]
    cells = [row[: len(heads) + len(figures)] for row in cells]
    figures_alone = Table((*heads, *figures), cells, right=frozenset({"cost"}))
    width = min(max(_WIDEST - figures_alone.width - 2 - len("100 % "), _BAR[0]), _BAR[1])
    bars, what = _bars(rows, width)
    return Table(
        (*heads, *figures, what),
        [(*row, bar) for row, bar in zip(cells, bars, strict=True)],
        caption,
        footnotes,
        right=frozenset({"cost"}),
        empty=empty,
    )


def _cost(row: _Spent) -> str | None:
    return format_usd(row.usd) if row.calls else None


def _bars(rows: Sequence[_Spent], width: int) -> tuple[list[Bar | None], str]:
    """Shares of the cost, or of the calls where nothing is known to have cost anything."""
    costs = [row.usd or Decimal(0) for row in rows]
    paid = any(costs)
    measured = costs if paid else [Decimal(row.calls) for row in rows]
    total, most = sum(measured, Decimal(0)), max(measured, default=Decimal(0))
    bars = [
        Bar(value / most, value / total, width) if row.calls and total and not (paid and row.usd is None) else None
        for row, value in zip(rows, measured, strict=True)
    ]
    return bars, "of the cost" if paid else "of the calls"
