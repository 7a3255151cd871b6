"""Arithmetic of money: what a usage costs at a price. Exact `Decimal` throughout; nothing is rounded here."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from .catalogue import Price, Rate
from .exact import EXACT
from .types import Candidate, Request, Usage

__all__ = ["FREE", "LEDGER_DIGITS", "cost_of", "estimate", "most", "settle", "total", "upper_bound"]

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

    Cached, cache-write, audio and image tokens are part of `input_tokens`, reasoning, audio and image tokens part of
    `output_tokens`; each pays its own rate where the price has one, and otherwise that of what it is part of. No token
    is paid for twice, also where a provider's figures do not add up. Tiers go by the total input.
    """
    if price.source == "free":
        return _ZERO
    size = usage.input_tokens
    tokens_times_rate = _ZERO
    for tokens, rate in (*_input_lines(price, usage), *_output_lines(price, usage)):
        if tokens:
            tokens_times_rate = EXACT.fma(tokens, _rate(rate, size), tokens_times_rate)
    return EXACT.add(tokens_times_rate.scaleb(-6, EXACT), price.per_request)


_Line = tuple[int, Rate]


def _input_lines(price: Price, usage: Usage) -> list[_Line]:
    """Tokens and their rate, the most particular kind first."""
    left = usage.input_tokens
    cached, audio, images = usage.cached_input_tokens, usage.input_audio_tokens, usage.input_image_tokens
    lines = []
    for tokens, rate, whole in (
        (usage.cached_audio_tokens, price.cached_audio, "audio"),
        (usage.cached_image_tokens, price.cached_image, "images"),
    ):
        if rate is None:
            continue
        both = min(tokens, left, cached, audio if whole == "audio" else images)
        lines.append((both, rate))
        left, cached = left - both, cached - both
        audio, images = (audio - both, images) if whole == "audio" else (audio, images - both)
    particular = (
        (cached, price.cached_input),
        (usage.cache_write_tokens, price.cache_write),
        (audio, price.input_audio),
        (images, price.input_image),
    )
    return [*lines, *_split(left, particular, price.input)]


def _output_lines(price: Price, usage: Usage) -> list[_Line]:
    particular = (
        (usage.reasoning_tokens, price.reasoning),
        (usage.output_audio_tokens, price.output_audio),
        (usage.output_image_tokens, price.output_image),
    )
    return _split(usage.output_tokens, particular, price.output)


def _split(left: int, particular: tuple[tuple[int, Rate | None], ...], usual: Rate) -> list[_Line]:
    lines = []
    for tokens, rate in particular:
        if rate is not None:
            part = min(tokens, left)
            lines.append((part, rate))
            left -= part
    return [*lines, (left, usual)]


def estimate(price: Price | None, input_tokens: int, output_tokens: int) -> Decimal | None:
    """USD for so many tokens without any discount; None when there is no price."""
    if price is None:
        return None
    if price.source == "free":
        return _ZERO
    usd = EXACT.multiply(_rate(price.input, input_tokens), input_tokens)
    usd = EXACT.fma(_rate(price.output, input_tokens), output_tokens, usd)
    return EXACT.add(usd.scaleb(-6, EXACT), price.per_request)


def upper_bound(
    price: Price | None, input_tokens: int, output_tokens: int, *, audio: bool = False, images: bool = False
) -> Decimal | None:
    """The most USD that so many tokens can come to: all at the dearest rate and tier they can reach.

    All of the input may be written to the cache; audio and image rates count for it only where the request has such
    parts. Of an answer nobody knows before what it is made of.
    """
    if price is None or price.source == "free":
        return estimate(price, input_tokens, output_tokens)
    into = [price.input, price.cached_input, price.cache_write]
    into += [price.input_audio, price.cached_audio] if audio else []
    into += [price.input_image, price.cached_image] if images else []
    out = (price.output, price.reasoning, price.output_audio, price.output_image)
    usd = EXACT.multiply(_dearest_of(into, input_tokens), input_tokens)
    usd = EXACT.fma(_dearest_of(out, input_tokens), output_tokens, usd)
    return EXACT.add(usd.scaleb(-6, EXACT), price.per_request)


def most(request: Request, candidate: Candidate, price: Price | None, answers: int = 1) -> Decimal | None:
    """The most USD that one attempt at `candidate` can come to."""
    return upper_bound(
        price,
        candidate.input_tokens.high,
        candidate.planned_output_tokens * answers,
        audio=request.needs_audio,
        images=bool(request.images),
    )


def _dearest_of(rates: Iterable[Rate | None], input_tokens: int) -> Decimal:
    return max(_dearest(rate, input_tokens) for rate in rates if rate is not None)


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
