"""A provider that pretends: it refuses, waits, fails or breaks off as a rehearsal says, or lets the real one answer.

What it raises are the errors the wire would raise, so that everything above behaves as with the real failure. One
object stands for one attempt, and knows whether the real provider was asked, which is what costs money.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from random import Random
from typing import TypeVar

from ..core.simulation import Simulation
from ..core.wire import ChatCall, EmbedCall, Embedded, Finish, Probe
from ..errors import ConnectionFailed, ProviderError, ProviderTimeout
from .base import Provider
from .statuses import failure_class

__all__ = ["Part", "Simulated"]

E = TypeVar("E", bound=ProviderError)

_HINT = "This is a rehearsal: `%sekha simulate --off` ends it."


@dataclass(eq=False)
class Part:
    """A simulation while it is on: what is pretended, and the draws that all its requests share."""

    simulation: Simulation
    chance: Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = Random(self.simulation.seed)

    def fails(self) -> bool:
        """Whether the next request gets the status."""
        simulation = self.simulation
        return simulation.status is not None and (
            simulation.probability == 1 or self.chance.random() < simulation.probability
        )


class Simulated(Provider):
    """`inner` as `part` makes it behave, for one attempt; `reached` says that `inner` was asked for an answer."""

    def __init__(self, inner: Provider, part: Part) -> None:
        super().__init__(inner.endpoint)
        self.counts_its_own_time = inner.counts_its_own_time
        self.part = part
        self.reached = False
        self._inner = inner

    async def get_ready(self) -> None:
        if not self.part.simulation.always_fails:
            await self._inner.get_ready()

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        await self._pretend(call.model_id)
        self.reached = True
        left = self.part.simulation.cut
        # Only a stream can be cut in its middle, and what is rehearsed must not depend on who is watching.
        items = self._inner.chat(call if left is None else replace(call, stream=True))
        try:
            async for item in items:
                yield item
                if left is not None and isinstance(item, str) and item:
                    left -= 1
                    if not left:
                        raise self._error(ConnectionFailed, "broke the connection", call.model_id)
        finally:
            # Left open, the real connection would go on, and go on costing money.
            if (close := getattr(items, "aclose", None)) is not None:
                await close()

    async def embed(self, call: EmbedCall) -> Embedded:
        await self._pretend(call.model_id)
        self.reached = True
        return await self._inner.embed(call)

    async def probe(self) -> Probe:
        simulation = self.part.simulation
        if simulation.latency is not None:
            await asyncio.sleep(simulation.latency)
        if simulation.always_fails:
            return Probe(False, f"simulated: {simulation}. {_HINT}")
        return await self._inner.probe()

    async def _pretend(self, model_id: str) -> None:
        """What happens before the real provider is asked, if it is at all."""
        simulation = self.part.simulation
        # Drawn first, so that requests under way together draw in the order in which they came.
        fails = self.part.fails()
        if simulation.latency is not None:
            await self._wait(simulation.latency, model_id)
        if simulation.down:
            refused = self._error(ConnectionFailed, "refused the connection", model_id)
            refused.refused = True
            raise refused
        if fails and simulation.status is not None:
            error = self._error(failure_class(simulation.status), f"answered {simulation.status}", model_id)
            error.status, error.retry_after = simulation.status, simulation.retry_after
            raise error

    async def _wait(self, seconds: float, model_id: str) -> None:
        timeout = self.endpoint.timeout
        if self.counts_its_own_time and seconds > timeout:
            # Nobody above ends a request to such a provider.
            await asyncio.sleep(timeout)
            raise self._error(ProviderTimeout, f"was not done within {timeout:g} s", model_id)
        await asyncio.sleep(seconds)

    def _error(self, kind: type[E], what: str, model_id: str) -> E:
        name = self.endpoint.provider_id
        return kind(f"{name} {what} (simulated)", provider_id=name, model_id=model_id, hint=_HINT)
