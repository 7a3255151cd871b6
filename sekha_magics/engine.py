"""The one path that spends money: from a request, by way of a decision, to an answer that is logged and paid for.

Runs in the background loop. Choosing is `core.decide`'s, speaking the providers', going on after a failure
`failover`'s; here they meet, with the cassette before them and the ledger after.
"""

from __future__ import annotations

import asyncio
import json
import uuid
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from . import replay
from .ask import Ask, EmbedAsk, with_quotation
from .attempt import Attempt, utc_now
from .cassette import RECORDED, Cassette, Fault, Recording, Rendered, render
from .core.catalogue import Snapshot
from .core.decide import decide
from .core.policies import Policy
from .core.pricing import total
from .core.types import Call, Candidate, Cost, Decision, Embedding, Event, Origin, Quotation, Reply, Usage
from .core.wire import ChatCall, EmbedCall
from .errors import BudgetExceeded, CassetteMiss, ConfigError, NoEligibleModel, ProviderError, SekhaError
from .failover import Answered, Patience, Pursuit, Send
from .loop import Emit
from .purse import Purse
from .state import State
from .watch import Request, Watch

if TYPE_CHECKING:
    from .core.wire import Embedded

__all__ = ["Engine"]

Asked = Ask | EmbedAsk


@dataclass(frozen=True, slots=True)
class Engine:
    """`log` takes events for the ledger, `watch` also those that are not logged; `patience` is how long a request waits
    between two attempts."""

    state: State
    log: Callable[[Event], None]
    cassette: Cassette | None
    redact: Callable[[str], str]
    purse: Purse
    watch: Watch
    patience: Patience = field(default_factory=Patience)

    # --- deciding ---

    def snapshot(self, origin: Origin) -> Snapshot:
        """What is on offer and left to spend, for a request that comes from there."""
        snapshot, left = self.state.snapshot(), self.purse.standing(origin)
        return snapshot if left is None else replace(snapshot, budget=left)

    def decide(self, ask: Asked, *, dry_run: bool = False) -> Decision:
        """Choose, and log a refusal; with `dry_run` the decision itself is what was asked for, and is logged too."""
        snapshot = self.snapshot(ask.origin)
        try:
            decision = decide(ask.request, snapshot, self._policy(ask), decision_id=uuid.uuid4().hex)
        except NoEligibleModel as error:
            self._write(ask, error.decision, "refused")
            raise
        if dry_run:
            self._write(ask, decision, "dry_run")
        return decision

    def room(self, ask: Ask) -> int | None:
        """How many more tokens of input the model that would answer has room for, or None where nobody knows."""
        chosen = self.decide(ask)
        best, window = chosen.ranked[0], self.state.entry(chosen.provider_id, chosen.model_id).context_window
        return None if window is None else window - best.input_tokens.expected - best.planned_output_tokens

    def _policy(self, ask: Asked) -> Policy:
        return self.state.policy(ask.request.policy or self.state.catalogue.rules.policy)

    async def _pursuit(self, ask: Asked, request: Request) -> Pursuit:
        """Choose, and begin. Where all who might answer rest for a moment, it is waited for the first of them."""
        waited = 0.0
        while True:
            try:
                left_to_spend = self.purse.standing(ask.origin)
                chosen = self.state.choose(
                    ask.request, self._policy(ask), budget=left_to_spend, decision_id=uuid.uuid4().hex
                )
                break
            except NoEligibleModel as error:
                resting = [c.provider_id for c in error.candidates if c.reasons == ("rate_limited",)]
                left = self.state.rest_left(resting)
                if left is None or waited + left > self.patience.longest:
                    self._write(ask, error.decision, "refused")
                    raise
            await asyncio.sleep(left)
            waited += left
        self.watch.chosen(request, chosen.decision)
        write = partial(self._write, ask, chosen.decision)
        answers = 1 if isinstance(ask, EmbedAsk) else _answers_wanted(ask.wishes.params)
        spending = self.purse.spending(ask.origin, chosen.decision, answers)
        return Pursuit(self.state, chosen, spending, self.patience, self.redact, write, request.asks, waited)

    async def _asked(
        self, ask: Asked, request: Request, rendered: Rendered | None, send: Callable[[Decision], Send]
    ) -> tuple[Pursuit, Answered]:
        """Choose, and pursue it until there is an answer; a cassette keeps how it failed, too."""
        pursuit: Pursuit | None = None
        try:
            pursuit = await self._pursuit(ask, request)
            return pursuit, await self._answered(ask, pursuit, send(pursuit.chosen.decision))
        except RECORDED as error:
            if rendered is not None:
                self._record_failure(rendered, error, pursuit, ask.quotation)
            raise

    async def _answered(self, ask: Asked, pursuit: Pursuit, send: Send) -> Answered:
        try:
            return await pursuit.answer(send)
        except BudgetExceeded as error:
            self._write(ask, error.decision or pursuit.chosen.decision, "refused")
            raise

    def _record_failure(
        self, rendered: Rendered, error: SekhaError, pursuit: Pursuit | None, memory: Quotation
    ) -> None:
        """In `record` alone: a file that is played and completed by turns would keep a passing failure for ever."""
        refused = error.decision if isinstance(error, NoEligibleModel) else None
        decision = refused or (pursuit.chosen.decision if pursuit else None)
        if self.cassette is None or self.cassette.mode != "record" or decision is None:
            return
        calls, errors = (pursuit.calls, pursuit.errors) if pursuit else ([], [])
        recording = replace(replay.recording_of_failure(error, decision, calls, errors), memory=memory)
        try:
            self.cassette.record(rendered, recording, decision.snapshot.catalogue)
        except ConfigError as unwritten:
            warnings.warn(f"The failure was not recorded: {unwritten.message}", stacklevel=2)

    def _write(
        self, ask: Asked, decision: Decision, outcome: str | None, calls: tuple[Call, ...] = (), text: str = ""
    ) -> None:
        responses = {call.call_id: text for call in calls if call.operation == "chat"}
        event = Event(utc_now(), decision, ask.origin, outcome, calls, ask.messages, responses, ask.quotation.quoted)
        self.watch.happened(event)
        if ask.log:
            self.log(event)

    # --- chat ---

    async def chat(self, ask: Ask, emit: Emit) -> Reply:
        """An answer, or the error that says why there is none."""
        with self.watch.request("chat", ask.origin) as request:
            return await self._chat(ask, request, request.heard(emit))

    async def _chat(self, ask: Ask, request: Request, emit: Emit) -> Reply:
        # What the memory held is part of the answer's recording, and not of what it is found by.
        bare = ask.bare or ask
        rendered = render("chat", bare.messages, bare.options) if self.cassette else None
        if rendered and (recording := self._recorded(bare, rendered)):
            return self._replayed(with_quotation(bare, recording.memory), recording, emit)
        pursuit, answered = await self._asked(
            ask,
            request,
            rendered,
            lambda decision: lambda attempt, who: attempt.chat(_chat_call(ask, decision, who), emit),
        )
        decision = pursuit.chosen.decision
        reply = self._reply(ask, pursuit, answered.attempt)
        if self.cassette and rendered:
            try:
                recorded = replace(replay.recording_of(reply, pursuit.errors), memory=ask.quotation)
                self.cassette.record(rendered, recorded, decision.snapshot.catalogue)
            except ConfigError as error:
                # The answer is there and may have cost money: it is given, and said to be missing in the file.
                return replace(reply, notes=(*reply.notes, f"not recorded: {error.message}"))
        return reply

    def _reply(self, ask: Ask, pursuit: Pursuit, attempt: Attempt) -> Reply:
        calls = pursuit.calls
        last = calls[-1]
        notes = [*pursuit.notes(attempt), *_left_out(attempt)]
        parsed, complaint = _parsed(ask, attempt.text)
        return Reply(
            text=attempt.text,
            decision=pursuit.chosen.decision,
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
            notes=(*notes, *complaint, *ask.quotation.notes),
            conversation=ask.origin.conversation,
            waited_ms=pursuit.waited * 1000,
            memory=ask.quotation.quoted,
        )

    # --- embedding ---

    async def embed(self, ask: EmbedAsk, _emit: Emit) -> Embedding:
        rendered = render("embed", ask.texts, ask.options) if self.cassette else None
        if rendered and (recording := self._recorded(ask, rendered)):
            return self._replayed_embedding(ask, recording)
        with self.watch.request("embed", ask.origin) as request:
            pursuit, embedding = await self._embedded(ask, request, rendered)
        decision = pursuit.chosen.decision
        if self.cassette and rendered:
            try:
                recorded = replay.recording_of_embedding(embedding, pursuit.errors)
                self.cassette.record(rendered, recorded, decision.snapshot.catalogue)
            except ConfigError as error:
                warnings.warn(f"The vectors were not recorded: {error.message}", stacklevel=2)
        return embedding

    async def _embedded(self, ask: EmbedAsk, request: Request, rendered: Rendered | None) -> tuple[Pursuit, Embedding]:
        async def send(attempt: Attempt, _who: Candidate) -> Embedded:
            entry = attempt.entry
            embedded = await attempt.embed(EmbedCall(entry.model_id, ask.texts, entry.dimension))
            _check_shape(embedded, ask, attempt)
            return embedded

        pursuit, answered = await self._asked(ask, request, rendered, lambda _decision: send)
        embedded: Embedded = answered.value
        last = pursuit.calls[-1]
        return pursuit, Embedding(
            vectors=embedded.vectors,
            model_id=last.model_id,
            provider_id=last.provider_id,
            dimension=int(embedded.vectors.shape[1]),
            cost=_sum(pursuit.calls),
            usage=last.usage or Usage(),
            decision=pursuit.chosen.decision,
            calls=tuple(pursuit.calls),
        )

    # --- replay ---

    def _recorded(self, ask: Asked, rendered: Rendered) -> Recording | None:
        try:
            return self.cassette.play(rendered) if self.cassette else None
        except CassetteMiss:
            # Nothing was recorded of a request that nobody might answer: it is refused again, with the same words.
            self.decide(ask)
            raise

    def _replayed(self, ask: Ask, recording: Recording, emit: Emit) -> Reply:
        if recording.failure is not None:
            if recording.failure.partial:
                emit(recording.failure.partial)
            raise self._replayed_failure(ask, recording, recording.failure)
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
        if recording.failure is not None:
            raise self._replayed_failure(ask, recording, recording.failure)
        decision = self._decision_of(ask, recording)
        embedding = replay.embedding(recording, decision)
        self._write(ask, decision, "replayed", embedding.calls)
        return embedding

    def _replayed_failure(self, ask: Asked, recording: Recording, fault: Fault) -> SekhaError:
        decision = self._decision_of(ask, recording)
        calls = replay.failed_calls(decision, recording, "embed" if isinstance(ask, EmbedAsk) else "chat")
        self._write(ask, decision, "replayed", calls, fault.partial or "")
        return replay.error(recording, fault, decision, calls)

    def _decision_of(self, ask: Asked, recording: Recording) -> Decision:
        catalogue = self.cassette.catalogue if self.cassette else None
        snapshot = self.state.snapshot()
        if catalogue:
            snapshot = Snapshot(
                catalogue, recording.choice.providers, corrections=snapshot.corrections, lengths=snapshot.lengths
            )
        decision = replay.decision(recording, ask.request, snapshot, self.state.policy(recording.choice.policy))
        if self.cassette and self.cassette.mode == "replay":
            # Nobody is asked, so what was recorded is all that can be known of how the providers are.
            replay.relive(recording, self.state)
            if isinstance(ask, EmbedAsk) or _answers_wanted(ask.wishes.params) == 1:
                replay.learn(recording, decision, self.state)
        return decision


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
