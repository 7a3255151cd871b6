"""Arithmetic of money: what a usage costs at a price. Exact `Decimal` throughout; nothing is rounded here."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal

from .catalogue import Price, Rate
from .types import Usage

__all__ = ["EXACT", "FREE", "LEDGER_DIGITS", "cost_of", "estimate", "settle", "total", "upper_bound"]

# Own context, so that a notebook which lowers the global precision does not change a bill.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_ZERO = Decimal(0)
LEDGER_DIGITS = Decimal("1e-12")
FREE = Price("free", Rate(_ZERO), Rate(_ZERO))


def _rate(rate: Rate, input_tokens: int) -> Decimal:
    """The rate for the whole request: the last tier whose start the input exceeds ("cliff" pricing)."""
    usd = rate.base
    for start, tier in rate.tiers:
        if input_tokens <= start:
            break
        usd = tier
    return usd


def cost_of(price: Price, usage: Usage) -> Decimal:
    """USD for `usage` at `price`, exact.

    Cached and cache-write tokens are part of `input_tokens` and pay their own rate where the price has one; reasoning
    tokens are part of `output_tokens` and pay the output rate. Tiers go by the total input.
    """
    if price.source == "free":
        return _ZERO
    size = usage.input_tokens
    cached = min(usage.cached_input_tokens, size) if price.cached_input is not None else 0
    written = min(usage.cache_write_tokens, size - cached) if price.cache_write is not None else 0
    lines = [
        (size - cached - written, price.input),
        (cached, price.cached_input),
        (written, price.cache_write),
        (usage.output_tokens, price.output),
    ]
    tokens_times_rate = _ZERO
    for tokens, rate in lines:
        if tokens and rate is not None:
            tokens_times_rate = EXACT.fma(tokens, _rate(rate, size), tokens_times_rate)
    return EXACT.add(tokens_times_rate.scaleb(-6, EXACT), price.per_request)


def estimate(price: Price | None, input_tokens: int, output_tokens: int) -> Decimal | None:
    """USD for so many tokens without any discount; None when there is no price."""
    if price is None:
        return None
    if price.source == "free":
        return _ZERO
    usd = EXACT.multiply(_rate(price.input, input_tokens), input_tokens)
    usd = EXACT.fma(_rate(price.output, input_tokens), output_tokens, usd)
    return EXACT.add(usd.scaleb(-6, EXACT), price.per_request)


def upper_bound(price: Price | None, input_tokens: int, output_tokens: int) -> Decimal | None:
    """The most USD that so many tokens can come to: at the dearest tier they can reach, all written to the cache."""
    if price is None or price.source == "free":
        return estimate(price, input_tokens, output_tokens)
    kinds = [rate for rate in (price.input, price.cached_input, price.cache_write) if rate is not None]
    usd = EXACT.multiply(max(_dearest(rate, input_tokens) for rate in kinds), input_tokens)
    usd = EXACT.fma(_dearest(price.output, input_tokens), output_tokens, usd)
    return EXACT.add(usd.scaleb(-6, EXACT), price.per_request)


def _dearest(rate: Rate, input_tokens: int) -> Decimal:
    return max([rate.base, *(usd for start, usd in rate.tiers if start < input_tokens)])


def settle(usd: Decimal) -> Decimal:
    """Round to the ledger's twelve decimals, half to even: done once, when a call ends."""
    return usd.quantize(LEDGER_DIGITS, context=EXACT)


def total(amounts: list[Decimal | None]) -> tuple[Decimal, int]:
    """The sum of the known amounts, and how many are unknown."""
    known = _ZERO
    for usd in amounts:
        if usd is not None:
            known = EXACT.add(known, usd)
    return known, sum(usd is None for usd in amounts)
