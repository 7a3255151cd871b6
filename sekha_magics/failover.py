"""One request on its way through its candidates: tried again where that may help, then the next, until one answers.

Whatever happens, every attempt is recorded once and reaches the ledger as it ends, the provider's breaker hears once of
the request, and a candidate that failed is not asked again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from .attempt import Attempt
from .core.breaker import Permit
from .core.catalogue import Entry
from .core.failure import LONGEST_WAIT, after, in_short, is_users, passes
from .core.types import Call, Candidate
from .errors import AllProvidersFailed, BudgetExceeded, ProviderError, ProviderTimeout, SekhaError, StreamInterrupted
from .providers.simulated import Simulated
from .purse import NoRoom, Spending
from .state import Chosen, State

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["Answered", "Patience", "Pursuit"]

Send = Callable[[Attempt, Candidate], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds between two attempts where the provider names none: a random part of `base`, of twice that, of four
    times, never of more than `most`. A provider that asks for more than `longest` is not waited for."""

    base: float = 0.5
    most: float = 8.0
    longest: float = LONGEST_WAIT


@dataclass(frozen=True, slots=True)
class Answered:
    """The attempt that was answered, and what its provider gave."""

    attempt: Attempt
    value: Any


@dataclass
class Pursuit:
    """Runs once. `calls` and `errors` are those of all attempts, in order; `waited` is in seconds.

    `write` logs an outcome (None for an attempt after which the request goes on), the calls that ended with it, and
    the text of the last of them; `asks` is told who is asked next, the number of the attempt and its input tokens.
    """

    state: State
    chosen: Chosen
    spending: Spending
    patience: Patience
    redact: Callable[[str], str]
    write: Callable[[str | None, tuple[Call, ...], str], None]
    asks: Callable[[Entry, int, int], None]
    waited: float = 0.0
    calls: list[Call] = field(default_factory=list)
    errors: list[ProviderError] = field(default_factory=list)
    _passed_over: list[Candidate] = field(default_factory=list)
    _heard_of: set[str] = field(default_factory=set)
    _simulated: dict[str, str] = field(default_factory=dict)
    _others: bool = False
    _ended: bool = False

    async def answer(self, send: Send) -> Answered:
        """The first answer of a candidate. `send` makes one attempt.

        Raises `AllProvidersFailed`, `StreamInterrupted`, or the error that ends the request; `BudgetExceeded`, which is
        not logged here, where a budget left no room for anybody and nothing was sent.
        """
        try:
            return await self._through(self._order(), send)
        except asyncio.CancelledError:
            self._end("interrupted")
            raise
        except BudgetExceeded:
            self._ended = True
            raise
        except SekhaError:
            self._end("failed")
            raise

    def notes(self, attempt: Attempt) -> list[str]:
        """What went before the answer, in words that are the same in every run."""
        rehearsed = [f"{name} is simulated: {what}" for name, what in self._simulated.items()]
        if not self.errors:
            return rehearsed
        failed = "; ".join(dict.fromkeys(map(in_short, self.errors)))
        real = [e for e in self.errors if e.provider_id not in self._simulated]
        mend = dict.fromkeys(f"{e.provider_id}: {e.hint}" for e in real if is_users(e) and e.hint)
        return [f"{failed}; answered by {attempt.entry.provider_id}/{attempt.entry.model_id}", *mend, *rehearsed]

    # --- from one candidate to the next ---

    async def _through(self, candidates: list[Candidate], send: Send) -> Answered:
        decision = self.chosen.decision
        fallback = decision.snapshot.catalogue.rules.auto_fallback
        permit: Permit | None = self.chosen.permit
        while candidates:
            candidate = candidates.pop(0)
            self._others = bool(candidates)
            permit = permit or self.state.admit(candidate.provider_id)
            if permit is None:
                self._passed_over.append(candidate)
                continue
            attempts: list[Attempt] = []
            try:
                value = await self._at(candidate, permit, send, attempts)
            except NoRoom:
                permit = None
            except ProviderError as error:
                permit = None
                step = after(error, began=attempts[-1].began, fallback=fallback)
                if step == "raise":
                    if attempts[-1].began:
                        raise _interrupted(error, attempts[-1]) from error
                    raise
                if step == "larger":
                    candidates = [c for c in candidates if self._is_larger(c, candidate)]
            else:
                return Answered(attempts[-1], value)
        raise self._nobody()

    def _order(self) -> list[Candidate]:
        """The candidates to try, best first."""
        decision = self.chosen.decision
        rules = decision.snapshot.catalogue.rules
        ranked = list(decision.ranked)
        if not rules.auto_fallback:
            return ranked[:1]
        if rules.remote_fallback:
            return ranked
        local = {(e.provider_id, e.model_id) for e in decision.snapshot.catalogue.entries if e.local}
        if (ranked[0].provider_id, ranked[0].model_id) not in local:
            return ranked
        return [c for c in ranked if (c.provider_id, c.model_id) in local]

    def _is_larger(self, candidate: Candidate, than: Candidate) -> bool:
        """An unknown window may be large enough."""
        windows = [self.state.entry(c.provider_id, c.model_id).context_window for c in (candidate, than)]
        return windows[0] is None or windows[1] is None or windows[0] > windows[1]

    # --- at one candidate ---

    async def _at(
        self,
        candidate: Candidate,
        permit: Permit,
        send: Send,
        attempts: list[Attempt],
    ) -> Any:
        """What the candidate gives, after as many attempts as it is worth; its breaker hears of the last."""
        provider_id = candidate.provider_id
        try:
            value = await self._retried(candidate, permit, send, attempts)
        except ProviderError as error:
            if provider_id in self._heard_of and not permit.probe:
                self.state.release(provider_id, permit)
            else:
                self._heard_of.add(provider_id)
                self.state.settle(provider_id, permit, error)
            raise
        except BaseException:
            self.state.release(provider_id, permit)
            raise
        self.state.settle(provider_id, permit, None)
        return value

    async def _retried(self, candidate: Candidate, permit: Permit, send: Send, attempts: list[Attempt]) -> Any:
        async def once() -> Any:
            attempts.append(self._attempt(candidate))
            with self.spending.on(candidate, attempts[-1].entry.price, self.calls):
                async with self._recorded(attempts[-1]):
                    return await send(attempts[-1], candidate)

        # A probe asks once whether the provider is back.
        most = 1 if permit.probe else 1 + self.chosen.decision.snapshot.catalogue.rules.max_retries
        try:
            return await once()
        except ProviderError as error:
            if most == 1 or not self._is_worth_another(error, attempts):
                raise
            first = [error]

        # Made only now: most requests never need it.
        from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

        jitter = wait_random_exponential(multiplier=self.patience.base, max=self.patience.most)

        def pause(state: RetryCallState) -> float:
            asked_for = self.errors[-1].retry_after
            return jitter(state) if asked_for is None else asked_for

        def count(state: RetryCallState) -> None:
            self.waited += state.upcoming_sleep

        async def again() -> Any:
            if first:
                raise first.pop()
            return await once()

        return await AsyncRetrying(
            stop=stop_after_attempt(most),
            retry=retry_if_exception(lambda error: self._is_worth_another(error, attempts)),
            wait=pause,
            before_sleep=count,
            sleep=asyncio.sleep,
            reraise=True,
        )(again)

    def _is_worth_another(self, error: BaseException, attempts: list[Attempt]) -> bool:
        if not isinstance(error, ProviderError) or not passes(error) or attempts[-1].began:
            return False
        # Silence costs its limit once where there is another to ask, and one limit in all is for all attempts.
        if isinstance(error, ProviderTimeout) and self._others:
            return False
        spent = sum(attempt.latency_ms for attempt in attempts) / 1000
        if spent >= attempts[-1].provider.endpoint.timeout:
            return False
        return (error.retry_after or 0.0) <= self.patience.longest

    def _attempt(self, candidate: Candidate) -> Attempt:
        attempt = Attempt(
            provider=self.state.provider(candidate.provider_id),
            entry=self.state.entry(candidate.provider_id, candidate.model_id),
            decision_id=self.chosen.decision.decision_id,
            number=len(self.calls) + 1,
            expected_input=candidate.input_tokens.expected,
        )
        self.asks(attempt.entry, attempt.number, attempt.expected_input)
        return attempt

    # --- what is recorded ---

    @asynccontextmanager
    async def _recorded(self, attempt: Attempt) -> AsyncIterator[None]:
        """Whatever happens to the attempt inside, its call is recorded once and reaches the ledger."""
        entry = attempt.entry
        part = attempt.provider.part if isinstance(attempt.provider, Simulated) else None
        if part is not None:
            self._simulated[entry.provider_id] = str(part.simulation)
        try:
            yield
        except asyncio.CancelledError:
            self._end("interrupted", attempt.call("interrupted", billed=True), attempt.text)
            raise
        except ProviderError as error:
            error.message = self.redact(error.message)
            error.provider_id = error.provider_id or entry.provider_id
            error.model_id = error.model_id or entry.model_id
            self.state.failed(entry.provider_id, error, part)
            self.errors.append(error)
            self.calls.append(attempt.call("error", error))
            self.write(None, (self.calls[-1],), attempt.text)
            raise
        else:
            attempt.served = self.state.price_of_served(entry, attempt.finish.served_model)
            self.state.succeeded(entry.provider_id, entry.model_id, attempt.latency_ms, part)
            call = attempt.call("ok")
            self._learn(entry, call)
            self._end("ok", call, attempt.text)

    def _learn(self, entry: Entry, call: Call) -> None:
        if call.usage is None or call.simulated:
            return
        decision, usage = self.chosen.decision, call.usage
        # Of several answers to one prompt nobody says how long each was.
        output = usage.output_tokens if self.spending.answers == 1 else None
        self.state.learned(self.state.observed(entry, decision.request, decision.task, usage.input_tokens, output))

    def _end(self, outcome: str, call: Call | None = None, text: str = "") -> None:
        """The end of the request, which is told once."""
        ended = () if call is None else (call,)
        self.calls.extend(ended)
        if not self._ended:
            self._ended = True
            self.write(outcome, ended, text)

    def _nobody(self) -> SekhaError:
        """Why no candidate answered: a budget had room for none, or all failed."""
        if self.spending.kept_out and not self.errors:
            return self.spending.refusal()
        return self._all_failed()

    def _all_failed(self) -> AllProvidersFailed:
        lines = [f"  {line}" for line in _each(self.errors)]
        lines += [f"  {c.name}: left out, because its provider failed meanwhile" for c in self._passed_over]
        lines += self.spending.told()
        count = len({(e.provider_id, e.model_id) for e in self.errors}) + len(self._passed_over)
        hints = dict.fromkeys(e.hint for e in self.errors if e.hint)
        failed = AllProvidersFailed(
            ("The provider" if count == 1 else f"All {count} providers") + " failed:\n" + "\n".join(lines),
            calls=self.calls,
            errors=self.errors,
            hint=" ".join(hints),
        )
        failed.__cause__ = self.errors[-1]
        return failed


def _each(errors: list[ProviderError]) -> list[str]:
    """Each failure; the same one several times in a row is told once."""
    told = [(line, len(list(same))) for line, same in groupby(map(_told, errors))]
    return [f"{line} ({times} attempts)" if times > 1 else line for line, times in told]


def _told(error: ProviderError) -> str:
    """The message, with the name of its provider unless it begins with that."""
    named = error.message.startswith(error.provider_id)
    return error.message if named else f"{error.provider_id}/{error.model_id}: {error.message}"


def _interrupted(error: ProviderError, attempt: Attempt) -> StreamInterrupted:
    return StreamInterrupted(
        f"{attempt.entry.provider_id}/{attempt.entry.model_id} broke off after {len(attempt.text)} characters: "
        f"{error.message}",
        partial=attempt.text,
        provider_id=error.provider_id,
        model_id=error.model_id,
        status=error.status,
    )
