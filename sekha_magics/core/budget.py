"""Budgets as values: what is limited, what is left, and which limit an amount would pass. No clock, no file.

Money spent and money reserved for requests under way count alike, so that requests made at the same time cannot pass a
limit together. What costs nothing passes none, not even one that is used up. Days and months are those of UTC.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any, NamedTuple

from .exact import EXACT

__all__ = ["PERIODS", "Budget", "Figures", "Limit", "Line", "Moment", "from_pico", "to_pico", "warning_at"]

PERIODS = ("session", "notebook", "day", "month")
_PICO_DIGITS = 12


def to_pico(usd: Decimal) -> int:
    """Whole 1e-12 USD, the ledger's last digit; what is finer is rounded up, so that a limit is never passed by it."""
    return int(usd.scaleb(_PICO_DIGITS, EXACT).to_integral_value(ROUND_CEILING, EXACT))


def from_pico(pico: int) -> Decimal:
    usd = Decimal(pico).scaleb(-_PICO_DIGITS, EXACT).normalize(EXACT)
    # Normal form writes a hundred as 1E+2.
    return usd if usd.as_tuple().exponent <= 0 else usd.quantize(Decimal(1), context=EXACT)  # type: ignore[operator]


class Moment(NamedTuple):
    """What each period is just now: the id of a session, the path of a notebook, `2026-11-23`, `2026-11`."""

    session: str
    notebook: str
    day: str
    month: str

    @classmethod
    def of(cls, at: datetime, session: str, notebook: str | None) -> Moment:
        """`at` has a time zone. Outside a notebook that period is the session's."""
        utc = at.astimezone(UTC)
        return cls(session, notebook if notebook else f"session {session}", f"{utc:%Y-%m-%d}", f"{utc:%Y-%m}")


class Limit(NamedTuple):
    """At most `usd` in a period, on everything, or on one provider or model (`model_id`, `provider_id/model_id`).

    `usd` None limits nothing and only names what is counted.
    """

    period: str
    usd: Decimal | None
    provider: str = ""
    model: str = ""

    @property
    def name(self) -> str:
        target = self.model or self.provider
        return f"{self.period} of {target}" if target else self.period

    def concerns(self, provider_id: str, model_id: str) -> bool:
        if self.provider:
            return self.provider == provider_id
        return not self.model or self.model in (model_id, f"{provider_id}/{model_id}")

    def account(self, moment: Moment) -> str:
        """The name under which is counted what this limits; another limit of the same gives the same name."""
        target = [["provider", self.provider]] if self.provider else [["model", self.model]] if self.model else []
        return json.dumps([self.period, getattr(moment, self.period), *target])


class Figures(NamedTuple):
    """What an account holds, in 1e-12 USD."""

    spent: int = 0
    reserved: int = 0

    def admits(self, amount: int, limit: int | None) -> bool:
        return limit is None or not amount or self.spent + self.reserved + amount <= limit


def warning_at(limit: int, share: Decimal) -> int:
    """How much of `limit` has to be spent for a warning."""
    return int(EXACT.multiply(Decimal(limit), share).to_integral_value(ROUND_CEILING, EXACT))


class Line(NamedTuple):
    """One limit and what counts towards it, in USD."""

    limit: Limit
    spent: Decimal
    reserved: Decimal

    @property
    def left(self) -> Decimal | None:
        if self.limit.usd is None:
            return None
        return max(Decimal(0), self.limit.usd - self.spent - self.reserved)


@dataclass(frozen=True)
class Budget:
    """The limits in force at one moment. Unless `allow_unpriced`, a model without a price may not be used at all."""

    lines: tuple[Line, ...]
    allow_unpriced: bool = False

    def limits(self, provider_id: str, model_id: str) -> bool:
        return any(line.limit.usd is not None and line.limit.concerns(provider_id, model_id) for line in self.lines)

    def passed_by(self, provider_id: str, model_id: str, usd: Decimal) -> Line | None:
        """The limit that `usd` more at this model would pass; of several, the one that leaves least."""
        if not usd:
            return None
        passed: Line | None = None
        least: Decimal | None = None
        for line in self.lines:
            left = line.left
            if left is None or usd <= left or not line.limit.concerns(provider_id, model_id):
                continue
            if least is None or left < least:
                passed, least = line, left
        return passed

    def to_json(self) -> dict[str, Any]:
        lines = [
            [limit.period, None if limit.usd is None else str(limit.usd), limit.provider, limit.model,
             str(spent), str(reserved)]
            for limit, spent, reserved in self.lines
        ]  # fmt: skip
        return {"lines": lines, "allow_unpriced": self.allow_unpriced}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Budget:
        lines = tuple(
            Line(
                Limit(period, None if usd is None else Decimal(usd), provider, model), Decimal(spent), Decimal(reserved)
            )
            for period, usd, provider, model, spent, reserved in value["lines"]
        )
        return cls(lines, value["allow_unpriced"])
