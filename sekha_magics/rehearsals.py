"""Which providers only pretend, and how each was before: a rehearsal that ends leaves nothing behind.

The lock under which this is read and changed is the caller's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from .core.simulation import Simulation
from .providers.simulated import Part
from .vitals import Record, Vitals

__all__ = ["Rehearsals"]


class _Running(NamedTuple):
    part: Part
    before: Record


class Rehearsals:
    """At most one simulation for each provider."""

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    def simulations(self) -> Mapping[str, Simulation]:
        return {name: running.part.simulation for name, running in self._running.items()}

    def part(self, provider_id: str) -> Part | None:
        running = self._running.get(provider_id)
        return None if running is None else running.part

    def begin(self, provider_id: str, simulation: Simulation, vitals: Vitals) -> None:
        """In place of the one before, if there was one."""
        self.end(provider_id, vitals)
        self._running[provider_id] = _Running(Part(simulation), replace(vitals.of(provider_id)))

    def end(self, provider_id: str, vitals: Vitals) -> None:
        """The provider is again what it was; what is still under way says nothing of it any more."""
        running = self._running.pop(provider_id, None)
        if running is None:
            return
        record, before = vitals.of(provider_id), running.before
        record.last_error, record.auth_failed = before.last_error, before.auth_failed
        record.rests_until, record.rests_because = before.rests_until, before.rests_because
        record.breaker = replace(before.breaker, probing=False, period=record.breaker.period + 1)
