"""From an answer or a failure to its recording and back.

A replayed answer is a `Reply` like any other, marked as replayed, and a replayed failure is raised as it was.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import groupby
from typing import Any, Literal

from .attempt import utc_now
from .cassette import Attempted, Choice, Fault, Recording, Vectors, replayed
from .core.catalogue import Snapshot
from .core.decide import decide
from .core.policies import Policy
from .core.pricing import total
from .core.types import Call, Cost, Decision, Embedding, Reply, Request, Usage
from .errors import NoEligibleModel, ProviderError, SekhaError
from .state import State

__all__ = [
    "decision",
    "embedding",
    "error",
    "failed_calls",
    "recording_of",
    "recording_of_embedding",
    "recording_of_failure",
    "relive",
    "reply",
]


def recording_of(reply: Reply, errors: Sequence[ProviderError]) -> Recording:
    """`errors` are those of the calls that failed, in their order."""
    last = reply.calls[-1]
    return Recording(
        choice=_choice(reply.decision),
        provider_id=reply.provider_id,
        provider_type=reply.provider_type,
        model_id=reply.model_id,
        cost=reply.cost,
        usage=last.usage,
        served_model=last.served_model,
        finish_reason=reply.finish_reason,
        text=reply.text,
        notes=reply.notes,
        simulated=last.simulated,
        attempts=_attempted(reply.calls, errors),
    )


def recording_of_embedding(embedding: Embedding, errors: Sequence[ProviderError]) -> Recording:
    last = embedding.calls[-1]
    return Recording(
        choice=_choice(embedding.decision),
        provider_id=embedding.provider_id,
        provider_type=last.provider_type,
        model_id=embedding.model_id,
        cost=embedding.cost,
        usage=last.usage,
        served_model=last.served_model,
        vectors=Vectors.of(embedding.vectors),
        simulated=last.simulated,
        attempts=_attempted(embedding.calls, errors),
    )


def recording_of_failure(
    error: SekhaError, decision: Decision, calls: Sequence[Call], errors: Sequence[ProviderError]
) -> Recording:
    return Recording.of_failure(_choice(decision), _attempted(calls, errors), Fault.of(error))


def _attempted(calls: Sequence[Call], errors: Sequence[ProviderError]) -> tuple[Attempted, ...]:
    failed = [call for call in calls if call.status == "error"]
    return tuple(
        Attempted(call.provider_id, call.provider_type, call.model_id, call.cost, Fault.of(error), call.simulated)
        for call, error in zip(failed, errors, strict=True)
    )


def decision(recording: Recording, request: Request, snapshot: Snapshot, policy: Policy) -> Decision:
    """The recorded choice, with the candidates of `snapshot`, which is that of the recorded catalogue."""
    choice = recording.choice
    try:
        candidates = decide(request, snapshot, policy).candidates
    except NoEligibleModel as error:
        # What was true of the providers then need not be in the file.
        candidates = error.candidates
    return Decision(
        decision_id=uuid.uuid4().hex,
        request=request,
        snapshot=snapshot,
        task=choice.task,
        policy=choice.policy,
        provider_id=choice.provider_id,
        provider_type=choice.provider_type,
        model_id=choice.model_id,
        estimated_cost=choice.estimated_cost,
        reason=choice.reason,
        candidates=candidates,
    )


def reply(
    recording: Recording, decision: Decision, *, conversation: str | None, parsed: Any, complaint: tuple[str, ...]
) -> Reply:
    return Reply(
        text=recording.text or "",
        decision=decision,
        provider_id=recording.provider_id,
        provider_type=recording.provider_type,
        model_id=recording.model_id,
        calls=(*failed_calls(decision, recording, "chat"), _call(decision, recording, "chat")),
        cost=recording.replayed_cost,
        usage=recording.usage or Usage(),
        latency_ms=0.0,
        finish_reason=recording.finish_reason,
        parsed=parsed,
        notes=tuple(dict.fromkeys((*recording.notes, *complaint))),
        conversation=conversation,
        replayed=True,
        memory=recording.memory.quoted,
    )


def embedding(recording: Recording, decision: Decision) -> Embedding:
    if recording.vectors is None:
        raise ValueError("a recording of an embedding holds vectors")
    return Embedding(
        vectors=recording.vectors.to_array(),
        model_id=recording.model_id,
        provider_id=recording.provider_id,
        dimension=recording.vectors.dimension,
        cost=recording.replayed_cost,
        usage=recording.usage or Usage(),
        decision=decision,
        calls=(*failed_calls(decision, recording, "embed"), _call(decision, recording, "embed")),
    )


def _choice(decision: Decision) -> Choice:
    return Choice(
        task=decision.task,
        policy=decision.policy,
        provider_id=decision.provider_id,
        provider_type=decision.provider_type,
        model_id=decision.model_id,
        reason=decision.reason,
        estimated_cost=decision.estimated_cost,
        providers=decision.snapshot.providers,
    )


def error(recording: Recording, fault: Fault, decision: Decision, calls: Sequence[Call]) -> SekhaError:
    """The error the request ended in, with its causes."""
    return fault.to_error(calls=calls, causes=_causes(recording), candidates=decision.candidates, decision=decision)


def relive(recording: Recording, state: State) -> None:
    """Let breakers and rests be as they were after the recorded request."""
    for provider_id, group in groupby(recording.attempts, key=lambda attempt: attempt.provider_id):
        answered = recording.failure is None and provider_id == recording.provider_id
        state.relived(provider_id, [error for each in group if (error := _cause(each))], answered)
    if recording.failure is None and not any(a.provider_id == recording.provider_id for a in recording.attempts):
        state.relived(recording.provider_id, [], True)


def learn(recording: Recording, decision: Decision, state: State) -> None:
    """Let estimates be as they were after the recorded request."""
    usage, asked = recording.usage, (recording.provider_id, recording.model_id)
    entry = next((e for e in decision.snapshot.catalogue.entries if (e.provider_id, e.model_id) == asked), None)
    if usage is None or entry is None or recording.simulated or recording.failure is not None:
        return
    tokens = (usage.input_tokens, usage.output_tokens)
    state.learned(state.observed(entry, decision.request, decision.task, *tokens))


def _causes(recording: Recording) -> list[ProviderError]:
    return [error for attempt in recording.attempts if (error := _cause(attempt))]


def _cause(attempt: Attempted) -> ProviderError | None:
    error = attempt.error.to_error()
    return error if isinstance(error, ProviderError) else None


def failed_calls(decision: Decision, recording: Recording, operation: Literal["chat", "embed"]) -> tuple[Call, ...]:
    """The attempts that came to nothing, as calls."""
    return tuple(
        Call(
            call_id=uuid.uuid4().hex,
            decision_id=decision.decision_id,
            ts=utc_now(),
            attempt=number,
            provider_id=attempt.provider_id,
            provider_type=attempt.provider_type,
            model_id=attempt.model_id,
            operation=operation,
            status="replayed",
            streamed=False,
            latency_ms=0.0,
            cost=replayed(attempt.cost),
            error_type=attempt.error.type,
            error_message=attempt.error.message,
            http_status=attempt.error.status,
            simulated=attempt.simulated,
        )
        for number, attempt in enumerate(recording.attempts, 1)
    )


def _call(decision: Decision, recording: Recording, operation: Literal["chat", "embed"]) -> Call:
    return Call(
        call_id=uuid.uuid4().hex,
        decision_id=decision.decision_id,
        ts=utc_now(),
        attempt=len(recording.attempts) + 1,
        provider_id=recording.provider_id,
        provider_type=recording.provider_type,
        model_id=recording.model_id,
        operation=operation,
        status="replayed",
        streamed=False,
        latency_ms=0.0,
        cost=_own_cost(recording),
        usage=recording.usage,
        served_model=recording.served_model,
        finish_reason=recording.finish_reason,
        simulated=recording.simulated,
    )


def _own_cost(recording: Recording) -> Cost:
    """Of the answer alone, without the attempts before it."""
    before, _ = total([attempt.cost.usd for attempt in recording.attempts])
    whole = recording.replayed_cost
    return whole if whole.usd is None else replace(whole, usd=max(whole.usd - before, Decimal(0)))
