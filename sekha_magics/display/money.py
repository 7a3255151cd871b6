"""Amounts of money as people read them: a small amount keeps its digits, and an unknown one is never shown as zero."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.types import Cost

__all__ = ["exact", "format_cost", "format_sum", "format_usd", "recorded_source"]

_CENT, _HUNDREDTH_OF_A_CENT = Decimal("0.01"), Decimal("0.0001")
_SIGNIFICANT_DIGITS = 3
_SMALLEST_WRITTEN_OUT = -12


def format_usd(usd: Decimal | None, source: str | None = None) -> str:
    """`$12.30`, `$0.0123`, `$0.0000375`, `$0`; `free` and `unpriced` as their source says; `~` before an estimate.

    From a dollar up there are two decimals, from a cent up as many as four, and below that three significant digits.
    """
    if source == "free" and not usd:
        return "free"
    if usd is None or source == "unpriced" or not usd.is_finite():
        return "unpriced"
    sign = "-" if usd < 0 else ""
    return f"{'~' if source == 'estimated' else ''}{sign}${_digits(abs(usd))}"


def format_sum(usd: Decimal, unpriced: int = 0) -> str:
    """A sum, and how many calls it leaves out for want of a price: `$0.0123 + 2 unpriced calls`."""
    if not unpriced:
        return format_usd(usd)
    rest = f"{unpriced} unpriced call{'s' if unpriced != 1 else ''}"
    return f"{format_usd(usd)} + {rest}" if usd else rest


def exact(usd: Decimal | None) -> str | None:
    """Every digit of an amount, as a string for JSON; equal amounts give equal strings."""
    return f"{usd.normalize():f}" if usd is not None and usd.is_finite() else None


def recorded_source(cost: Cost) -> str:
    """Where the figure came from when it was first made: equal for a call and for its replay."""
    if cost.source != "replayed":
        return cost.source
    return cost.recorded_source or ("unpriced" if cost.usd is None else "computed")


def format_cost(cost: Cost) -> str:
    """The cost of a reply, the same whether it was just paid for or is replayed."""
    return format_usd(cost.usd, recorded_source(cost))


def _digits(usd: Decimal) -> str:
    if usd >= 1:
        return f"{usd.quantize(_CENT):,}" if usd < Decimal("1e20") else f"{usd:.3E}"
    if usd >= _CENT:
        return _at_least_cents(usd.quantize(_HUNDREDTH_OF_A_CENT))
    if not usd:
        return "0"
    if usd.adjusted() < _SMALLEST_WRITTEN_OUT:
        return f"{usd:.2E}"
    shown = usd.quantize(Decimal(1).scaleb(usd.adjusted() - _SIGNIFICANT_DIGITS + 1))
    return f"{shown:f}".rstrip("0")


def _at_least_cents(usd: Decimal) -> str:
    whole, _, decimals = f"{usd:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
