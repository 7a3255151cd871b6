"""What many prompts give back: an answer per row, and before them a quote."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, NamedTuple

from ..core.catalogue import Price
from ..core.exact import EXACT
from ..core.pricing import estimate
from ..core.types import Cost, TokenEstimate, Usage
from ..display.money import format_sum, format_usd

__all__ = ["Answer", "Observed", "Quote", "Spent", "quoted"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one row, or in `error` the reason why there is none. `str(answer)` is its text.

    `asked` is `now`, `earlier` (kept from an earlier run, at the `cost` of then), `same` (an identical row stands
    before this one, and was paid for there) or `no`.
    """

    text: str | None = None
    parsed: Any = None
    error: str | None = None
    asked: Literal["now", "earlier", "same", "no"] = "now"
    provider_id: str | None = None
    model_id: str | None = None
    cost: Cost | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    decision_id: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    def __str__(self) -> str:
        return self.text or ""


class Spent(NamedTuple):
    """USD of all priced calls, and how many calls had no price."""

    usd: Decimal
    unpriced: int

    def __str__(self) -> str:
        return format_sum(self.usd, self.unpriced)


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job will cost, in USD, from its prompts and its first answers; None where the model has no price.

    Of `rows` there are `requests` distinct prompts, of which `earlier` were answered by an earlier run and cost nothing
    now. `high` is what answers of full length would come to.
    """

    rows: int
    requests: int
    earlier: int
    provider_id: str
    model_id: str
    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None

    def __str__(self) -> str:
        left = self.requests - self.earlier
        parts = [f"{self.rows:,} rows", f"{self.requests:,} distinct"]
        parts += [f"{self.earlier:,} answered earlier"] if self.earlier else []
        if not left:
            return f"{', '.join(parts)}; nothing to ask"
        amount = "unpriced"
        if self.expected is not None and self.low is not None and self.high is not None:
            amount = f"about {format_usd(self.expected)} ({format_usd(self.low)} to {format_usd(self.high)})"
        return f"{', '.join(parts)}; {left:,} to ask of {self.provider_id}/{self.model_id}: {amount}"


class Observed(NamedTuple):
    """One request of the pilot: its estimate, and what it took."""

    estimated: TokenEstimate
    usage: Usage
    cost: Decimal | None


def quoted(
    price: Price | None, pilot: Sequence[Observed], rest: Iterable[TokenEstimate], planned_output: int
) -> tuple[Decimal, Decimal, Decimal] | None:
    """Low, expected and high cost in USD of the pilot and the `rest` together; None without a price.

    The pilot says how long answers are, and by how much the estimate of input tokens was off.
    """
    if price is None:
        return None
    outputs = [o.usage.output_tokens for o in pilot] or [0, planned_output]
    guessed = sum(o.estimated.expected for o in pilot)
    counted = sum(o.usage.input_tokens for o in pilot)
    off = counted / guessed if guessed and counted else 1.0
    usual = round(sum(outputs) / len(outputs))
    low = expected = high = sum((o.cost for o in pilot if o.cost is not None), Decimal(0))
    for tokens in rest:
        likely = round(tokens.expected * off)
        low = _plus(low, price, min(tokens.low, likely), min(outputs))
        expected = _plus(expected, price, likely, usual)
        high = _plus(high, price, max(tokens.high, likely), max(planned_output, *outputs))
    return low, expected, high


def _plus(sum_: Decimal, price: Price, input_tokens: int, output_tokens: int) -> Decimal:
    return EXACT.add(sum_, estimate(price, input_tokens, output_tokens) or Decimal(0))
