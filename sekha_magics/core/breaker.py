"""A provider that keeps failing is left alone for a while, then tried again one request at a time.

A pure state machine: time is an argument (seconds of a clock that never goes back), every step gives a new value, and
equal steps give equal states. A request asks to be let through, and tells once what came of it. What it tells counts
only for the period it was let through in: an answer that was under way when the breaker opened says nothing about now.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

__all__ = ["Breaker", "BreakerRules", "BreakerState", "Permit"]

BreakerState = Literal["closed", "open", "half_open"]


class BreakerRules(NamedTuple):
    """Open after `failure_threshold` failures in a row, half open `timeout_secs` later, closed again after
    `success_threshold` successes."""

    failure_threshold: int = 3
    timeout_secs: float = 60.0
    success_threshold: int = 2


class Permit(NamedTuple):
    """Leave to ask a provider, for one request. `probe` says that it is the one request a half-open breaker admits."""

    period: int
    probe: bool


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` are those in a row, `successes` the probes that were answered since it opened.

    `opened_at` is None while it is closed. `period` changes whenever it opens or closes.
    """

    opened_at: float | None = None
    failures: int = 0
    successes: int = 0
    probing: bool = False
    period: int = 0

    def state(self, now: float, rules: BreakerRules) -> BreakerState:
        if self.opened_at is None:
            return "closed"
        return "open" if now < self.opened_at + rules.timeout_secs else "half_open"

    def admits(self, now: float, rules: BreakerRules) -> bool:
        state = self.state(now, rules)
        return state == "closed" or (state == "half_open" and not self.probing)

    def admit(self, now: float, rules: BreakerRules) -> tuple[Breaker, Permit | None]:
        """The breaker after a request asked to be let through, and its permit, or None."""
        if not self.admits(now, rules):
            return self, None
        probe = self.opened_at is not None
        return (replace(self, probing=True) if probe else self), Permit(self.period, probe)

    def succeeded(self, permit: Permit, rules: BreakerRules) -> Breaker:
        if permit.period != self.period:
            return self
        if self.opened_at is None:
            return replace(self, failures=0) if self.failures else self
        if self.successes + 1 >= rules.success_threshold:
            return Breaker(period=self.period + 1)
        return replace(self, successes=self.successes + 1, probing=False)

    def failed(self, permit: Permit, now: float, rules: BreakerRules, *, refused: bool = False) -> Breaker:
        """After a failure of the provider; `refused` says that nobody listens there, which opens it at once."""
        if permit.period != self.period:
            return self
        failures = self.failures + 1
        if self.opened_at is None and not refused and failures < rules.failure_threshold:
            return replace(self, failures=failures)
        return Breaker(opened_at=now, failures=failures, period=self.period + 1)

    def released(self, permit: Permit) -> Breaker:
        """After a request that says nothing of the provider: it was interrupted, or was itself at fault."""
        return replace(self, probing=False) if permit.probe and permit.period == self.period else self

    def reset(self) -> Breaker:
        """Closed, whatever was seen."""
        return Breaker(period=self.period + 1)
