"""From an answer to its recording and back: a replayed answer is a `Reply` like any other, marked as replayed."""

from __future__ import annotations

import uuid
from typing import Any, Literal

from .attempt import utc_now
from .cassette import Choice, Recording, Vectors
from .core.catalogue import Snapshot
from .core.decide import decide
from .core.policies import Policy
from .core.types import Call, Decision, Embedding, Reply, Request, Usage
from .errors import NoEligibleModel

__all__ = ["decision", "embedding", "recording_of", "recording_of_embedding", "reply"]


def recording_of(reply: Reply) -> Recording:
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
    )


def recording_of_embedding(embedding: Embedding) -> Recording:
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
        calls=(_call(decision, recording, "chat"),),
        cost=recording.replayed_cost,
        usage=recording.usage or Usage(),
        latency_ms=0.0,
        finish_reason=recording.finish_reason,
        parsed=parsed,
        notes=tuple(dict.fromkeys((*recording.notes, *complaint))),
        conversation=conversation,
        replayed=True,
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
        calls=(_call(decision, recording, "embed"),),
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
    )


def _call(decision: Decision, recording: Recording, operation: Literal["chat", "embed"]) -> Call:
    return Call(
        call_id=uuid.uuid4().hex,
        decision_id=decision.decision_id,
        ts=utc_now(),
        attempt=1,
        provider_id=recording.provider_id,
        provider_type=recording.provider_type,
        model_id=recording.model_id,
        operation=operation,
        status="replayed",
        streamed=False,
        latency_ms=0.0,
        cost=recording.replayed_cost,
        usage=recording.usage,
        served_model=recording.served_model,
        finish_reason=recording.finish_reason,
    )
