"""What one registry has done since it was made, and what it is doing now: counted as it happens, told to nobody.

Counting costs a request microseconds. Who wants to see it changing asks to be woken, and then reads; see `live/`.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal, NamedTuple

from .core.catalogue import Entry
from .core.types import Call, Decision, Event, Origin
from .loop import Emit, canceller
from .storage.forks import renew_in_child

__all__ = ["DECISIONS_KEPT", "Minute", "Request", "Seen", "Spent", "Totals", "Watch", "wakers"]

DECISIONS_KEPT = 50
MINUTES_KEPT = 500
_ZERO = Decimal(0)


class _Wakers:
    """Who wants to hear, in this process, that something about a registry is different now; also that there is another.

    A waker is called in any thread, often, and must return at once.
    """

    def __init__(self) -> None:
        self._wakers: tuple[Callable[[], None], ...] = ()
        self._lock = threading.Lock()

    def add(self, waker: Callable[[], None]) -> None:
        with self._lock:
            self._wakers = (*self._wakers, waker)

    def remove(self, waker: Callable[[], None]) -> None:
        with self._lock:
            self._wakers = tuple(other for other in self._wakers if other is not waker)

    def wake(self) -> None:
        for waker in self._wakers:
            waker()


wakers = _Wakers()


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls and what they cost: `usd` is the sum of those with a price, `unpriced` counts the others."""

    calls: int = 0
    usd: Decimal = _ZERO
    unpriced: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def and_(self, call: Call) -> Spent:
        used = call.usage
        return Spent(
            self.calls + 1,
            self.usd + (call.cost.usd or _ZERO),
            self.unpriced + _may_be_billed_unseen(call),
            self.input_tokens + (used.input_tokens if used else 0),
            self.output_tokens + (used.output_tokens if used else 0),
        )


Model = tuple[str, str]


class Minute(NamedTuple):
    """What one model, (provider_id, model_id), cost in one minute, which is named by its start in UTC."""

    start: datetime
    model: Model
    spent: Spent


@dataclass(frozen=True, slots=True)
class Seen:
    """A decision of this session. `outcome` None is still under way; `latency_ms` is that of the last attempt."""

    ts: str
    decision: Decision
    origin: Origin
    outcome: str | None = None
    spent: Spent = field(default_factory=Spent)
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """`spent` is without replayed calls, which cost nothing now; `replayed` counts them."""

    started: datetime
    spent: Spent
    replayed: int


class Request:
    """One request under way. Written by the engine's thread alone, read by any."""

    def __init__(self, operation: Literal["chat", "embed"], origin: Origin, cancel: Callable[[], None]) -> None:
        self.request_id = uuid.uuid4().hex
        self.operation, self.origin, self.cancel = operation, origin, cancel
        self.decision: Decision | None = None
        self.entry: Entry | None = None
        self.input_tokens = 0
        self.attempt = 0
        self.characters = 0
        self._started = time.monotonic()

    @property
    def elapsed_ms(self) -> float:
        return (time.monotonic() - self._started) * 1000

    def asks(self, entry: Entry, attempt: int, input_tokens: int) -> None:
        """An attempt begins, whose input is expected to be of so many tokens."""
        self.entry, self.attempt, self.input_tokens, self.characters = entry, attempt, input_tokens, 0
        wakers.wake()

    def heard(self, emit: Emit) -> Emit:
        """`emit`, with every piece of the answer counted on its way."""

        def hear(piece: str) -> None:
            self.characters += len(piece)
            wakers.wake()
            emit(piece)

        return hear


class Watch:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = datetime.now(UTC)
        self._spent, self._replayed = Spent(), 0
        self._models: dict[Model, Spent] = {}
        self._minutes: deque[Minute] = deque(maxlen=MINUTES_KEPT)
        self._decisions: OrderedDict[str, Seen] = OrderedDict()
        self._running: dict[str, Request] = {}
        renew_in_child(self)

    # --- what happens ---

    @contextmanager
    def request(self, operation: Literal["chat", "embed"], origin: Origin) -> Iterator[Request]:
        """A request of the engine, from its beginning to its end; called in the background loop."""
        request = Request(operation, origin, canceller())
        with self._lock:
            self._running[request.request_id] = request
        wakers.wake()
        try:
            yield request
        finally:
            with self._lock:
                self._running.pop(request.request_id, None)
            wakers.wake()

    def chosen(self, request: Request, decision: Decision) -> None:
        """Who is asked first has been decided."""
        request.decision = decision
        with self._lock:
            self._keep(Seen(datetime.now(UTC).isoformat(timespec="microseconds"), decision, request.origin))
        wakers.wake()

    def happened(self, event: Event) -> None:
        """Something ended, whether or not it is logged."""
        decision = event.decision
        with self._lock:
            seen = self._decisions.get(decision.decision_id) or Seen(event.ts, decision, event.origin)
            for call in event.calls:
                seen = replace(seen, spent=seen.spent.and_(call), latency_ms=call.latency_ms)
                self._count(call)
            self._keep(replace(seen, outcome=event.outcome or seen.outcome))
        wakers.wake()

    def cancel(self, request_id: str | None) -> int:
        """End that request, or all that are under way, and say how many there were.

        Whoever waits for it meets a KeyboardInterrupt, as after Ctrl-C, once its bill is settled.
        """
        with self._lock:
            chosen = [r for r in self._running.values() if request_id in (None, r.request_id)]
        for request in chosen:
            request.cancel()
        return len(chosen)

    # --- what is seen ---

    @property
    def totals(self) -> Totals:
        with self._lock:
            return Totals(self._started, self._spent, self._replayed)

    @property
    def models(self) -> Mapping[Model, Spent]:
        with self._lock:
            return dict(self._models)

    @property
    def minutes(self) -> tuple[Minute, ...]:
        """Oldest first; the oldest of all are forgotten."""
        with self._lock:
            return tuple(self._minutes)

    @property
    def decisions(self) -> tuple[Seen, ...]:
        """The last ones, newest first."""
        with self._lock:
            return tuple(reversed(self._decisions.values()))

    def decision(self, decision_id: str) -> Seen | None:
        with self._lock:
            return self._decisions.get(decision_id)

    @property
    def running(self) -> tuple[Request, ...]:
        """Oldest first."""
        with self._lock:
            return tuple(self._running.values())

    def renew_after_fork(self) -> None:
        # Requests under way are the parent's.
        self._lock, self._running = threading.Lock(), {}

    def _keep(self, seen: Seen) -> None:
        self._decisions[seen.decision.decision_id] = seen
        while len(self._decisions) > DECISIONS_KEPT:
            self._decisions.popitem(last=False)

    def _count(self, call: Call) -> None:
        if call.status == "replayed":
            self._replayed += 1
            return
        model = (call.provider_id, call.model_id)
        self._spent = self._spent.and_(call)
        self._models[model] = self._models.get(model, Spent()).and_(call)
        start = datetime.now(UTC).replace(second=0, microsecond=0)
        # The models of one minute stand together, at the end.
        for index in range(len(self._minutes) - 1, -1, -1):
            minute = self._minutes[index]
            if minute.start != start:
                break
            if minute.model == model:
                self._minutes[index] = minute._replace(spent=minute.spent.and_(call))
                return
        self._minutes.append(Minute(start, model, Spent().and_(call)))


def _may_be_billed_unseen(call: Call) -> bool:
    """A call without a price that did not fail before its answer began."""
    return call.cost.usd is None and (call.status != "error" or call.ttft_ms is not None)
