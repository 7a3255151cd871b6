"""How the state of providers is shown: a table in which the share of errors and the course of latencies are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pandas as pd

from ..display.bars import Bar
from ..display.drawing import Sparkline
from ..display.tables import Table
from .shown import ShownFrame, shown_value

__all__ = ["HealthFrame"]

_LEAST = 2
_ALWAYS = {"provider", "type", "state", "models", "calls"}


class HealthFrame(ShownFrame):
    """What `%sekha health` gives: a DataFrame with a row for each provider.

    `latencies` are those of its last answers in milliseconds, oldest first.
    """

    def __init__(self, frame: pd.DataFrame, latencies: Mapping[str, Sequence[float]], **shown: Any) -> None:
        super().__init__(frame, **shown)
        object.__setattr__(self, "_latencies", dict(latencies))

    def table(self) -> Table:
        """Without what no row has; what may be long stands last."""
        caption, footnotes, empty, *_ = self.__dict__["_shown_with"]
        courses: Mapping[str, Sequence[float]] = self.__dict__["_latencies"]
        drawn: dict[str, list[Any]] = {
            "provider": list(self["provider_id"]),
            "type": list(self["provider_type"]),
            "state": list(self["state"]),
            "failures": [int(count) or None for count in self["failures"]],
            "retry at": list(self["retry_at"]),
            "models": list(map(int, self["models"])),
            "calls": list(map(int, self["calls"])),
            "errors": [_share(rate) for rate in self["error_rate"]],
            "latency": [
                _course(courses.get(str(name), ()), typical)
                for name, typical in zip(self["provider_id"], self["latency_p50_ms"], strict=True)
            ],
            "last error": list(self["last_error"]),
        }
        cells = {name: [shown_value(value) for value in column] for name, column in drawn.items()}
        kept = {name: column for name, column in cells.items() if name in _ALWAYS or any(v is not None for v in column)}
        rows = [list(row) for row in zip(*kept.values(), strict=True)]
        return Table(tuple(kept), rows, caption, footnotes, empty=empty)


def _share(rate: Any) -> Bar | None:
    if pd.isna(rate):
        return None
    share = Decimal(str(rate))
    return Bar(share, share, 8)


def _course(latencies: Sequence[float], typical: float) -> Sparkline | str | None:
    """The median and, of several, the fastest and the slowest."""
    if pd.isna(typical):
        return None
    said = f"{typical:,.0f} ms"
    if len(latencies) < _LEAST:
        return said
    return Sparkline(f"{said} ({min(latencies):,.0f} to {max(latencies):,.0f})", tuple(latencies))
