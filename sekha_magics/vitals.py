"""How the providers of this kernel are: who failed, who rests, whose key was refused, who answered how fast.

Times are seconds of a clock that never goes back, and are given by the caller; so is the lock under which all of it is
read and changed. Nothing here outlives its process.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from .core.breaker import Breaker, BreakerRules, Permit
from .core.catalogue import ProviderState
from .core.failure import Rest, rest, weight
from .errors import AuthenticationFailed, ProviderError

__all__ = ["LATENCIES_KEPT", "Record", "Vitals"]

LATENCIES_KEPT = 50


@dataclass
class Record:
    """What this kernel has seen of one provider. `rests_until` is the time up to which it is not to be asked."""

    calls: int = 0
    errors: int = 0
    last_error: str | None = None
    auth_failed: str | None = None
    breaker: Breaker = field(default_factory=Breaker)
    rests_until: float = -inf
    rests_because: str = ""
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))

    def rests(self, now: float) -> bool:
        return now < self.rests_until

    def retry_in(self, now: float, rules: BreakerRules) -> float | None:
        """Seconds until it may be asked again, or None when it may be now, or when no time is known."""
        times = [self.rests_until]
        if self.breaker.opened_at is not None:
            times.append(self.breaker.opened_at + rules.timeout_secs)
        latest = max(times) - now
        return latest if latest > 0 else None

    def state(self, now: float, rules: BreakerRules) -> ProviderState:
        breaker = self.breaker.state(now, rules)
        return ProviderState(
            auth_failed=self.auth_failed,
            breaker=breaker,
            failures=0 if breaker == "closed" else self.breaker.failures,
            probing=breaker == "half_open" and self.breaker.probing,
            rests=self.rests_because if self.rests(now) else None,
        )


class Vitals:
    """A `Record` for every provider that was asked."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}

    def of(self, provider_id: str) -> Record:
        return self.records.setdefault(provider_id, Record())

    # --- looking ---

    def states(self, now: float, rules: BreakerRules) -> Mapping[str, ProviderState]:
        """The states that are not the first one."""
        states = {name: record.state(now, rules) for name, record in self.records.items()}
        return {name: state for name, state in states.items() if state != ProviderState()}

    def next_change(self, now: float, rules: BreakerRules) -> float:
        """When a state changes by time alone; infinity for never."""
        times = [inf]
        for record in self.records.values():
            times.append(record.rests_until)
            if record.breaker.opened_at is not None:
                times.append(record.breaker.opened_at + rules.timeout_secs)
        return min(t for t in times if t > now)

    def rest_left(self, provider_ids: Iterable[str], now: float) -> float | None:
        """Seconds until the first of them no longer rests; None without any."""
        left = [max(0.0, self.of(name).rests_until - now) for name in provider_ids]
        return min(left) if left else None

    # --- asking, and what came of it ---

    def admit(self, provider_id: str, now: float, rules: BreakerRules) -> Permit | None:
        """Leave for one request; whoever gets it says `settle` once."""
        record = self.of(provider_id)
        record.breaker, permit = record.breaker.admit(now, rules)
        return permit

    def settle(
        self, provider_id: str, permit: Permit, error: ProviderError | None, now: float, rules: BreakerRules
    ) -> None:
        """What came of all attempts of one request: `error` is the last, or None when it was answered."""
        record = self.of(provider_id)
        if error is None:
            record.breaker = record.breaker.succeeded(permit, rules)
        elif (said := weight(error)) == "nothing":
            record.breaker = record.breaker.released(permit)
        else:
            record.breaker = record.breaker.failed(permit, now, rules, refused=said == "refused")

    def release(self, provider_id: str, permit: Permit) -> None:
        """The request ended without saying anything of the provider."""
        record = self.of(provider_id)
        record.breaker = record.breaker.released(permit)

    def succeeded(self, provider_id: str, latency_ms: float) -> None:
        """One attempt was answered."""
        record = self.of(provider_id)
        record.calls += 1
        record.auth_failed = None
        record.latencies.append(latency_ms)

    def failed(self, provider_id: str, error: ProviderError, now: float, *, counts: bool = True) -> None:
        """One attempt was not; one that was simulated does not count."""
        record = self.of(provider_id)
        record.calls += counts
        record.errors += counts
        record.last_error = f"{type(error).__name__}: {error.message}"
        if isinstance(error, AuthenticationFailed):
            record.auth_failed = error.message
        if (pause := rest(error)) is not None:
            self._let_rest(record, pause, now)

    def _let_rest(self, record: Record, pause: Rest, now: float) -> None:
        if now + pause.seconds > record.rests_until:
            record.rests_until, record.rests_because = now + pause.seconds, pause.because

    # --- starting afresh ---

    def reset(self, provider_ids: Iterable[str]) -> None:
        """Breakers closed, rests ended."""
        for name in provider_ids:
            record = self.of(name)
            record.breaker, record.rests_until = record.breaker.reset(), -inf

    def keys_changed(self) -> None:
        """A refused key, and an account without credit, are given another chance."""
        for record in self.records.values():
            record.auth_failed, record.rests_until = None, -inf
