"""One try against one provider: what was sent, what came back, how long it took and what it cost."""

from __future__ import annotations

import asyncio
import math
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from .core.catalogue import Entry, Price
from .core.pricing import cost_of, settle
from .core.tokens import estimate_text
from .core.types import Call, Cost, Usage
from .core.wire import ChatCall, EmbedCall, Embedded, Finish
from .errors import ProviderError, ProviderTimeout, SekhaError, ServerFailed
from .loop import Emit
from .providers.base import Provider
from .providers.simulated import Simulated

__all__ = ["Attempt", "utc_now"]


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


@dataclass
class Attempt:
    """Runs once. Whatever happens, `call()` then tells what the ledger has to know."""

    provider: Provider
    entry: Entry
    decision_id: str
    number: int
    # For the estimate of a call whose end was never seen.
    expected_input: int
    price_of_served: Price | None = None
    text: str = ""
    finish: Finish = field(default_factory=lambda: Finish(None))
    ttft_ms: float | None = None
    latency_ms: float = 0.0
    operation: Literal["chat", "embed"] = "chat"
    streamed: bool = False
    call_id: str = field(default_factory=lambda: uuid.uuid4().hex)

    async def chat(self, call: ChatCall, emit: Emit) -> None:
        """Fill `text` and `finish`. Raises `ProviderError`; an end without a reason is a failure, not an answer."""
        self.streamed = call.stream
        pieces: list[str] = []
        ended = False
        started = time.perf_counter()
        try:
            await self.provider.get_ready()
            started = time.perf_counter()
            async with self._limited(call.stream) as limits:
                async for item in self.provider.chat(call):
                    if isinstance(item, Finish):
                        self.finish, ended = item, True
                    elif item:
                        if call.stream and self.ttft_ms is None:
                            self.ttft_ms = _since(started)
                        pieces.append(item)
                        emit(item)
                    limits.alive()
        except SekhaError:
            raise
        except Exception as error:  # a provider that breaks its promise must not break the notebook
            raise ServerFailed(
                f"{self.entry.provider_id}: {type(error).__name__}: {error}",
                hint="This is a fault of the provider class.",
            ) from error
        finally:
            self.text = "".join(pieces)
            self.latency_ms = _since(started)
        if not ended or self.finish.reason is None:
            raise ServerFailed(f"{self.entry.provider_id} ended its answer without saying why")

    async def embed(self, call: EmbedCall) -> Embedded:
        self.operation = "embed"
        started = time.perf_counter()
        try:
            await self.provider.get_ready()
            started = time.perf_counter()
            async with self._limited(stream=False):
                embedded = await self.provider.embed(call)
        finally:
            self.latency_ms = _since(started)
        self.finish = Finish("stop", embedded.usage, embedded.served_model, embedded.reported_cost)
        return embedded

    @asynccontextmanager
    async def _limited(self, stream: bool) -> AsyncIterator[_Limits]:
        """Cancel what runs inside, which closes its connection, when the provider is silent for too long."""
        endpoint = self.provider.endpoint
        total = math.inf if self.provider.counts_its_own_time else endpoint.timeout
        timer = asyncio.timeout(None)
        limits: _Limits | None = None
        try:
            async with timer:
                limits = _Limits(timer, total, endpoint.first_token, endpoint.idle) if stream else _Limits(timer, total)
                yield limits
        except (ProviderError, TimeoutError) as error:
            # A provider may have made an error of its own of the cancellation.
            if limits is None or not timer.expired():
                raise
            raise ProviderTimeout(f"{self.entry.provider_id} {limits.reached()}") from error

    @property
    def began(self) -> bool:
        return bool(self.text)

    def usage(self) -> Usage | None:
        return self.finish.usage

    def cost(self, *, ended: bool) -> Cost:
        """What the provider reported, over what its usage comes to, over an estimate from the text seen."""
        price = self.price_of_served or self.entry.price
        if isinstance(self.provider, Simulated) and not self.provider.reached:
            return Cost(Decimal(0), "free" if price is not None and price.source == "free" else "computed")
        as_of = price.as_of if price else None
        if self.finish.reported_cost is not None:
            return Cost(settle(self.finish.reported_cost), "reported", None, as_of)
        if price is None:
            return Cost(None, "unpriced")
        if price.source == "free":
            return Cost(Decimal(0), "free")
        usage = self.finish.usage
        if usage is not None:
            return Cost(settle(cost_of(price, usage)), "computed", None, as_of)
        if not ended and not self.began:
            # Refused before anything was generated: no provider bills for that.
            return Cost(Decimal(0), "computed", None, as_of)
        guess = Usage(self.expected_input, estimate_text(self.text).expected)
        return Cost(settle(cost_of(price, guess)), "estimated", None, as_of)

    def call(
        self, status: Literal["ok", "error", "interrupted"], error: ProviderError | None = None, billed: bool = False
    ) -> Call:
        """The record of this attempt. `billed` says that the request was under way, so its input will be charged."""
        return Call(
            call_id=self.call_id,
            decision_id=self.decision_id,
            ts=utc_now(),
            attempt=self.number,
            provider_id=self.entry.provider_id,
            provider_type=self.entry.provider_type,
            model_id=self.entry.model_id,
            operation=self.operation,
            status=status,
            streamed=self.streamed,
            latency_ms=self.latency_ms,
            cost=self.cost(ended=status == "ok" or billed),
            usage=self.finish.usage,
            served_model=self.finish.served_model,
            error_type=type(error).__name__ if error else None,
            error_message=error.message if error else None,
            http_status=error.status if error else None,
            ttft_ms=self.ttft_ms,
            finish_reason=self.finish.reason,
            simulated=isinstance(self.provider, Simulated),
        )


class _Limits:
    """How long a provider may be silent, in seconds: until its first piece, between two, and in all."""

    def __init__(
        self, timer: asyncio.Timeout, total: float, first: float | None = None, idle: float | None = None
    ) -> None:
        self._timer, self._total, self._first, self._idle = timer, total, first, idle
        self._now = asyncio.get_running_loop().time
        self._end = self._now() + total
        self._began = False
        self._within(first)

    def alive(self) -> None:
        """A piece came."""
        self._began = True
        self._within(self._idle)

    def reached(self) -> str:
        """The limit that ended it, in words."""
        limit = self._idle if self._began else self._first
        if limit is None or self._now() >= self._end:
            return f"was not done within {self._total:g} s"
        return f"fell silent for {limit:g} s" if self._began else f"did not begin within {limit:g} s"

    def _within(self, seconds: float | None) -> None:
        when = min(self._end, math.inf if seconds is None else self._now() + seconds)
        self._timer.reschedule(None if when == math.inf else when)


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000
