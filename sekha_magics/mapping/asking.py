"""Asks many requests side by side, in order, never more at once and never for more money than allowed.

A request begins only when its upper bound fits beside what is spent and what those under way may still cost. Where it
does not, it waits for them; when none is left and it still does not fit, the job has ended. So where a job ends depends
on its requests and their costs alone, not on which answer was faster. Runs in the background loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..ask import Ask, with_messages
from ..core.content import Message
from ..core.decide import decide
from ..core.pricing import total
from ..core.types import Candidate, Decision, Reply
from ..display.money import format_usd
from ..engine import Engine
from ..errors import (
    AllProvidersFailed,
    BudgetExceeded,
    NoEligibleModel,
    RateLimited,
    SekhaError,
    StreamInterrupted,
)
from .answers import Answer, Spent

if TYPE_CHECKING:
    import anyio

__all__ = ["Asking", "Pending"]

# Reasons that pass by themselves; a request waits this long for that, in seconds, and in all.
_PASSING = {"rate_limited", "breaker_open"}
_FIRST_REST, _LONGEST_REST, _PATIENCE = 0.5, 8.0, 60.0


class Pending(NamedTuple):
    """One distinct request that has no answer yet."""

    key: str
    messages: tuple[Message, ...]


@dataclass
class Asking:
    """`limit` is USD for all requests together, `stopped` says why the job ended before its end.

    `refused` is the last refusal to choose any model.
    """

    engine: Engine
    base: Ask
    concurrency: int
    limit: Decimal | None
    stopped: str | None = None
    refused: NoEligibleModel | None = None
    spent: Spent = field(default_factory=lambda: Spent(Decimal(0), 0))
    # What counts against the limit: an answer without a price counts with its upper bound.
    _counted: Decimal = Decimal(0)
    _reserved: Decimal = Decimal(0)
    _under_way: int = 0
    _in_engine: int = 0
    _ended: anyio.Event | None = field(default=None, repr=False)

    async def run(self, pending: Iterable[Pending], finished: Callable[[str, Answer], None]) -> None:
        """Until all are answered or the job has stopped. Cancelling it cancels what is under way.

        `finished` is called for every request that ended, with its key and its answer.
        """
        import anyio

        slots = anyio.Semaphore(self.concurrency)
        self._reserved, self._under_way, self._in_engine = Decimal(0), 0, 0
        self._ended = anyio.Event()

        async def one(item: Pending, ask: Ask, bound: Decimal) -> None:
            try:
                answer, counted = await self._one(ask, bound)
                self._counted += counted
                if answer is not None:
                    finished(item.key, answer)
            except anyio.get_cancelled_exc_class():
                # It was sent, and nobody will say what it was billed.
                self._counted += bound
                raise
            finally:
                self._reserved -= bound
                self._under_way -= 1
                slots.release()
                self._tell()

        try:
            async with anyio.create_task_group() as group:
                for item in pending:
                    await slots.acquire()
                    ask = with_messages(self.base, item.messages)
                    bound = await self._admitted(ask)
                    if bound is None or self.stopped:
                        break
                    self._reserved += bound
                    self._under_way += 1
                    group.start_soon(one, item, ask, bound)
        except ExceptionGroup as group_of:
            # A fault of ours in one request; the others were cancelled.
            raise group_of.exceptions[0] from None

    # --- the limit ---

    async def _admitted(self, ask: Ask) -> Decimal | None:
        """The upper bound to reserve for `ask`, once there is room for it; None when there never will be."""
        if self.limit is None:
            return Decimal(0)
        try:
            bound = self.upper_bound(ask)
        except NoEligibleModel as error:
            if not _only_too_dear(error):
                return Decimal(0)
            self.stopped = f"the next request may cost more than the job's limit of {format_usd(self.limit)}"
            return None
        while self._counted + self._reserved + bound > self.limit:
            if not self._under_way:
                self.stopped = (
                    f"{format_usd(self._counted)} are spent, and the next request may cost {format_usd(bound)}: "
                    f"the job's limit is {format_usd(self.limit)}"
                )
                return None
            await self._next_end()
        return bound

    def upper_bound(self, ask: Ask) -> Decimal:
        """The most that any model which may come to answer can cost. Raises `NoEligibleModel`."""
        return max((c.estimated_cost_high or Decimal(0) for c in self.decision(ask).ranked), default=Decimal(0))

    def decision(self, ask: Ask) -> Decision:
        """The choice as it would be made now; nothing is logged. Raises `NoEligibleModel`."""
        snapshot = self.engine.state.snapshot()
        policy = self.engine.state.policy(ask.request.policy or snapshot.catalogue.rules.policy)
        return decide(ask.request, snapshot, policy)

    # --- one request ---

    async def _one(self, ask: Ask, bound: Decimal) -> tuple[Answer | None, Decimal]:
        """Ask until there is an answer or a reason why not; None when the job has stopped before.

        Gives what counts against the limit too.
        """
        import anyio

        waited, rest = 0.0, _FIRST_REST
        while True:
            self._in_engine += 1
            try:
                reply = await self.engine.chat(ask, _nobody_listens)
            except BudgetExceeded as error:
                failure: SekhaError = error
            except SekhaError as error:
                failure = error
            else:
                return self._answered(reply), bound if reply.cost.usd is None else reply.cost.usd
            finally:
                self._in_engine -= 1
                self._tell()
            if isinstance(failure, BudgetExceeded):
                # Reservations of those under way may be all that is in the way.
                if not self._in_engine:
                    self.stopped = failure.message
                if self.stopped:
                    return None, Decimal(0)
                await self._next_end()
                continue
            pause = _pause(failure, rest)
            if pause is None or waited + pause > _PATIENCE:
                return self._failed(failure, bound)
            await anyio.sleep(pause)
            waited, rest = waited + pause, min(rest * 2, _LONGEST_REST)

    def _answered(self, reply: Reply) -> Answer:
        usd, unpriced = total([call.cost.usd for call in reply.calls])
        self.spent = Spent(self.spent.usd + usd, self.spent.unpriced + unpriced)
        unreadable = self.base.parse is not None and reply.parsed is None and bool(reply.notes)
        return Answer(
            text=reply.text,
            parsed=reply.parsed,
            error=reply.notes[-1] if unreadable else None,
            provider_id=reply.provider_id,
            model_id=reply.model_id,
            cost=reply.cost,
            usage=reply.usage,
            finish_reason=reply.finish_reason,
            decision_id=reply.decision.decision_id,
        )

    def _failed(self, error: SekhaError, bound: Decimal) -> tuple[Answer, Decimal]:
        if isinstance(error, NoEligibleModel):
            self.refused = error
        calls = error.calls if isinstance(error, AllProvidersFailed) else ()
        usd, unpriced = total([call.cost.usd for call in calls])
        self.spent = Spent(self.spent.usd + usd, self.spent.unpriced + unpriced)
        # What a broken answer was billed is the provider's secret.
        counted = bound if isinstance(error, StreamInterrupted) or unpriced else usd
        return Answer(error=f"{type(error).__name__}: {error.message}"), counted

    # --- waiting for each other ---

    def _tell(self) -> None:
        import anyio

        if self._ended is not None:
            self._ended.set()
        self._ended = anyio.Event()

    async def _next_end(self) -> None:
        if self._ended is not None:
            await self._ended.wait()


def _nobody_listens(_piece: str) -> None:
    return None


def _only(candidate: Candidate, reasons: set[str]) -> bool:
    return bool(candidate.reasons) and {str(reason) for reason in candidate.reasons} <= reasons


def _only_too_dear(error: NoEligibleModel) -> bool:
    return any(_only(candidate, {"over_max_cost"}) for candidate in error.candidates)


def _pause(error: SekhaError, rest: float) -> float | None:
    """How long to wait before the same request is worth another try; None when it is not."""
    if isinstance(error, NoEligibleModel):
        return rest if any(_only(candidate, _PASSING) for candidate in error.candidates) else None
    errors = error.errors if isinstance(error, AllProvidersFailed) else (error,)
    limited = [e for e in errors if isinstance(e, RateLimited)]
    if not limited or len(limited) < len(errors):
        return None
    return max([rest, *(e.retry_after or 0.0 for e in limited)])
