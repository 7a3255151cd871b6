"""The one path that spends money: from a request, by way of a decision, to an answer that is logged and paid for.

Runs in the background loop. Choosing is `core.decide`'s, speaking the providers'; here a failure is followed by the
next candidate, an interrupt settles what it cost, and every end of every attempt reaches the ledger.
"""

from __future__ import annotations

import asyncio
import json
import uuid
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import replay
from .ask import Ask, EmbedAsk
from .attempt import Attempt, utc_now
from .cassette import Cassette, Recording, Rendered, render
from .core.catalogue import Snapshot
from .core.decide import decide
from .core.failure import after
from .core.pricing import total
from .core.types import Call, Candidate, Cost, Decision, Embedding, Event, Reply, Usage
from .core.wire import ChatCall, EmbedCall
from .errors import (
    AllProvidersFailed,
    CassetteMiss,
    ConfigError,
    NoEligibleModel,
    ProviderError,
    SekhaError,
    StreamInterrupted,
)
from .loop import Emit
from .purse import NoRoom, Purse, Spending
from .state import State

if TYPE_CHECKING:
    from .core.wire import Embedded

__all__ = ["Engine"]

Asked = Ask | EmbedAsk


@dataclass(frozen=True, slots=True)
class Engine:
    """`log` takes events for the ledger."""

    state: State
    log: Callable[[Event], None]
    cassette: Cassette | None
    redact: Callable[[str], str]
    purse: Purse

    # --- deciding ---

    def decide(self, ask: Asked, *, dry_run: bool = False) -> Decision:
        """Choose, and log a refusal; with `dry_run` the decision itself is what was asked for, and is logged too."""
        snapshot = self.state.snapshot()
        if (left := self.purse.standing(ask.origin)) is not None:
            snapshot = replace(snapshot, budget=left)
        policy = self.state.policy(ask.request.policy or snapshot.catalogue.rules.policy)
        try:
            decision = decide(ask.request, snapshot, policy, decision_id=uuid.uuid4().hex)
        except NoEligibleModel as error:
            self._write(ask, error.decision, "refused")
            raise
        if dry_run:
            self._write(ask, decision, "dry_run")
        return decision

    def _write(
        self, ask: Asked, decision: Decision, outcome: str | None, calls: tuple[Call, ...] = (), text: str = ""
    ) -> None:
        if ask.log:
            responses = {call.call_id: text for call in calls if call.operation == "chat"}
            self.log(Event(utc_now(), decision, ask.origin, outcome, calls, ask.messages, responses))

    # --- chat ---

    async def chat(self, ask: Ask, emit: Emit) -> Reply:
        """An answer, or the error that says why there is none."""
        rendered = render("chat", ask.messages, ask.options) if self.cassette else None
        if rendered and (recording := self._recorded(ask, rendered)):
            return self._replayed(ask, recording, emit)
        decision = self.decide(ask)
        reply = await self._answered(ask, decision, emit)
        if self.cassette and rendered:
            try:
                self.cassette.record(rendered, replay.recording_of(reply), decision.snapshot.catalogue)
            except ConfigError as error:
                # The answer is there and may have cost money: it is given, and said to be missing in the file.
                return replace(reply, notes=(*reply.notes, f"not recorded: {error.message}"))
        return reply

    async def _answered(self, ask: Ask, decision: Decision, emit: Emit) -> Reply:
        calls: list[Call] = []
        errors: list[ProviderError] = []
        spending = self.purse.spending(ask.origin, decision, _answers_wanted(ask.wishes.params))
        for candidate in self._order(decision):
            attempt = self._attempt(decision, candidate, len(calls) + 1)
            try:
                with spending.on(candidate, attempt.entry.price, calls):
                    async with self._settled(ask, decision, attempt, calls, errors):
                        await attempt.chat(_chat_call(ask, decision, candidate), emit)
            except (_TryNext, NoRoom):
                continue
            return self._reply(ask, decision, attempt, calls, errors)
        raise self._nobody(ask, spending, calls, errors)

    def _reply(
        self, ask: Ask, decision: Decision, attempt: Attempt, calls: list[Call], errors: list[ProviderError]
    ) -> Reply:
        last = calls[-1]
        notes = [*_went_before(errors, attempt), *_left_out(attempt)]
        parsed, complaint = _parsed(ask, attempt.text)
        return Reply(
            text=attempt.text,
            decision=decision,
            provider_id=last.provider_id,
            provider_type=last.provider_type,
            model_id=last.model_id,
            calls=tuple(calls),
            cost=_sum(calls),
            usage=last.usage or Usage(),
            latency_ms=last.latency_ms,
            ttft_ms=last.ttft_ms,
            finish_reason=last.finish_reason,
            parsed=parsed,
            notes=(*notes, *complaint),
            conversation=ask.origin.conversation,
        )

    # --- embedding ---

    async def embed(self, ask: EmbedAsk, _emit: Emit) -> Embedding:
        rendered = render("embed", ask.texts, ask.options) if self.cassette else None
        if rendered and (recording := self._recorded(ask, rendered)):
            return self._replayed_embedding(ask, recording)
        decision = self.decide(ask)
        embedding = await self._embedded(ask, decision)
        if self.cassette and rendered:
            try:
                recorded = replay.recording_of_embedding(embedding)
                self.cassette.record(rendered, recorded, decision.snapshot.catalogue)
            except ConfigError as error:
                warnings.warn(f"The vectors were not recorded: {error.message}", stacklevel=2)
        return embedding

    async def _embedded(self, ask: EmbedAsk, decision: Decision) -> Embedding:
        calls: list[Call] = []
        errors: list[ProviderError] = []
        spending = self.purse.spending(ask.origin, decision)
        for candidate in self._order(decision):
            attempt = self._attempt(decision, candidate, len(calls) + 1)
            entry = attempt.entry
            try:
                with spending.on(candidate, entry.price, calls):
                    async with self._settled(ask, decision, attempt, calls, errors):
                        embedded = await attempt.embed(EmbedCall(entry.model_id, ask.texts, entry.dimension))
                        _check_shape(embedded, ask, attempt)
            except (_TryNext, NoRoom):
                continue
            last = calls[-1]
            return Embedding(
                vectors=embedded.vectors,
                model_id=last.model_id,
                provider_id=last.provider_id,
                dimension=int(embedded.vectors.shape[1]),
                cost=_sum(calls),
                usage=last.usage or Usage(),
                decision=decision,
                calls=tuple(calls),
            )
        raise self._nobody(ask, spending, calls, errors)

    # --- what chat and embedding share ---

    def _order(self, decision: Decision) -> tuple[Candidate, ...]:
        """The candidates to try, best first."""
        rules = decision.snapshot.catalogue.rules
        ranked = decision.ranked
        if not rules.auto_fallback:
            return ranked[:1]
        if rules.remote_fallback:
            return ranked
        local = {(e.provider_id, e.model_id) for e in decision.snapshot.catalogue.entries if e.local}
        if (ranked[0].provider_id, ranked[0].model_id) not in local:
            return ranked
        return tuple(c for c in ranked if (c.provider_id, c.model_id) in local)

    def _attempt(self, decision: Decision, candidate: Candidate, number: int) -> Attempt:
        return Attempt(
            provider=self.state.provider(candidate.provider_id),
            entry=self.state.entry(candidate.provider_id, candidate.model_id),
            decision_id=decision.decision_id,
            number=number,
            expected_input=decision.request.input_tokens.expected,
        )

    @asynccontextmanager
    async def _settled(
        self, ask: Asked, decision: Decision, attempt: Attempt, calls: list[Call], errors: list[ProviderError]
    ) -> AsyncIterator[None]:
        """Whatever happens to the attempt inside, its call is recorded once and reaches the ledger.

        Raises `_TryNext` when another candidate is to be asked.
        """
        try:
            yield
        except asyncio.CancelledError:
            calls.append(attempt.call("interrupted", billed=True))
            self._write(ask, decision, "interrupted", (calls[-1],), attempt.text)
            raise
        except ProviderError as error:
            error.message = self.redact(error.message)
            error.provider_id = error.provider_id or attempt.entry.provider_id
            error.model_id = error.model_id or attempt.entry.model_id
            self.state.failed(attempt.entry.provider_id, error)
            calls.append(attempt.call("error", error))
            errors.append(error)
            fallback = decision.snapshot.catalogue.rules.auto_fallback
            next_step = after(error, began=attempt.began, fallback=fallback)
            exhausted = len(calls) == len(self._order(decision))
            ends = next_step == "raise" or exhausted
            self._write(ask, decision, "failed" if ends else None, (calls[-1],), attempt.text)
            if next_step == "next":
                raise _TryNext from None
            if attempt.began:
                raise _interrupted(error, attempt) from error
            raise
        else:
            entry = attempt.entry
            attempt.price_of_served = self.state.price_of_served(entry, attempt.finish.served_model)
            calls.append(attempt.call("ok"))
            self.state.succeeded(entry.provider_id, entry.model_id, attempt.latency_ms)
            self._write(ask, decision, "ok", (calls[-1],), attempt.text)

    def _nobody(self, ask: Asked, spending: Spending, calls: list[Call], errors: list[ProviderError]) -> SekhaError:
        """Why no candidate answered. The end is logged here when a budget kept one out, whose call is missing then."""
        if not spending.kept_out:
            return self._all_failed(calls, errors)
        if errors:
            self._write(ask, spending.decision, "failed")
            failed = self._all_failed(calls, errors)
            failed.message = "\n".join([failed.message, *spending.told()])
            return failed
        refused = spending.refusal()
        self._write(ask, refused.decision, "refused")
        return refused

    def _all_failed(self, calls: list[Call], errors: list[ProviderError]) -> AllProvidersFailed:
        lines = [f"  {_told(e)}" for e in errors]
        count = "The provider" if len(errors) == 1 else f"All {len(errors)} providers"
        hints = dict.fromkeys(e.hint for e in errors if e.hint)
        failed = AllProvidersFailed(
            f"{count} failed:\n" + "\n".join(lines), calls=calls, errors=errors, hint=" ".join(hints)
        )
        failed.__cause__ = errors[-1]
        return failed

    # --- replay ---

    def _recorded(self, ask: Asked, rendered: Rendered) -> Recording | None:
        try:
            return self.cassette.play(rendered) if self.cassette else None
        except CassetteMiss:
            # Nothing was recorded of a request that nobody might answer: it is refused again, with the same words.
            self.decide(ask)
            raise

    def _replayed(self, ask: Ask, recording: Recording, emit: Emit) -> Reply:
        text = recording.text or ""
        emit(text)
        decision = self._decision_of(ask, recording)
        parsed, complaint = _parsed(ask, text)
        reply = replay.reply(
            recording, decision, conversation=ask.origin.conversation, parsed=parsed, complaint=complaint
        )
        self._write(ask, decision, "replayed", reply.calls, text)
        return reply

    def _replayed_embedding(self, ask: EmbedAsk, recording: Recording) -> Embedding:
        decision = self._decision_of(ask, recording)
        embedding = replay.embedding(recording, decision)
        self._write(ask, decision, "replayed", embedding.calls)
        return embedding

    def _decision_of(self, ask: Asked, recording: Recording) -> Decision:
        catalogue = self.cassette.catalogue if self.cassette else None
        snapshot = Snapshot(catalogue) if catalogue else self.state.snapshot()
        return replay.decision(recording, ask.request, snapshot, self.state.policy(recording.choice.policy))


class _TryNext(Exception):
    """Another candidate is to be asked; never leaves this module."""


def _chat_call(ask: Ask, decision: Decision, candidate: Candidate) -> ChatCall:
    wishes = ask.wishes
    rules = decision.snapshot.catalogue.rules
    limited = (
        decision.request.max_cost is not None
        or rules.max_cost_per_request is not None
        or decision.snapshot.budget is not None
    )
    return ChatCall(
        model_id=candidate.model_id,
        messages=ask.messages,
        temperature=wishes.temperature,
        # A limit on cost is only kept when the answer cannot be longer than what was priced.
        max_tokens=candidate.planned_output_tokens if limited else wishes.max_tokens,
        seed=wishes.seed,
        schema=ask.schema,
        params=wishes.params,
        stream=ask.stream,
    )


def _answers_wanted(params: Mapping[str, Any]) -> int:
    """How many answers are written, and paid for, to one prompt."""
    return max([1, *(n for name in ("n", "best_of") if isinstance(n := params.get(name), int))])


def _check_shape(embedded: Embedded, ask: EmbedAsk, attempt: Attempt) -> None:
    entry, shape = attempt.entry, embedded.vectors.shape
    expected = (len(ask.texts), entry.dimension or (shape[1] if len(shape) == 2 else 0))
    if shape != expected:
        raise ProviderError(
            f"{entry.provider_id}/{entry.model_id} gave vectors of shape {list(shape)} instead of {list(expected)}",
            hint=f"Set `dimension: {shape[-1]}` for this model."
            if len(shape) == 2 and shape[0] == expected[0]
            else None,
        )


def _interrupted(error: ProviderError, attempt: Attempt) -> StreamInterrupted:
    return StreamInterrupted(
        f"{attempt.entry.provider_id}/{attempt.entry.model_id} broke off after {len(attempt.text)} characters: "
        f"{error.message}",
        partial=attempt.text,
        provider_id=error.provider_id,
        model_id=error.model_id,
        status=error.status,
    )


def _went_before(errors: list[ProviderError], attempt: Attempt) -> list[str]:
    if not errors:
        return []
    failed = "; ".join(map(_told, errors))
    return [f"{failed}; answered by {attempt.entry.provider_id}/{attempt.entry.model_id}"]


def _told(error: ProviderError) -> str:
    """The message, with the name of its provider unless it begins with that."""
    named = error.message.startswith(error.provider_id)
    return error.message if named else f"{error.provider_id}/{error.model_id}: {error.message}"


def _left_out(attempt: Attempt) -> list[str]:
    left_out = attempt.finish.left_out
    if not left_out:
        return []
    return [f"{attempt.entry.provider_id} does not know {', '.join(left_out)}: left out"]


def _parsed(ask: Ask, text: str) -> tuple[Any, tuple[str, ...]]:
    """The answer as the schema's value; one that does not follow it is kept as text, and said so."""
    if ask.parse is None:
        return None, ()
    from jsonschema import ValidationError as SchemaMismatch
    from pydantic import ValidationError

    try:
        return ask.parse(text), ()
    except (ValidationError, SchemaMismatch, json.JSONDecodeError) as error:
        return None, (f"the answer does not follow the schema ({str(error).splitlines()[0]:.200}); `parsed` is None",)


def _sum(calls: list[Call]) -> Cost:
    """The cost of all attempts, with the source of the last; unknown when any is."""
    usd, unknown = total([call.cost.usd for call in calls])
    last = calls[-1].cost
    if unknown:
        return Cost(None, "unpriced", None, last.price_as_of)
    return replace(last, usd=usd)
