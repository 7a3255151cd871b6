"""Events as the engine logs them, with whatever a test wants to be different."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sekha_magics.core.catalogue import Catalogue, Entry, Latency, Price, ProviderState, Rate, RoutingRules, Snapshot
from sekha_magics.core.content import Message, Text
from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import (
    Call,
    Candidate,
    Cost,
    Decision,
    Event,
    ImageFacts,
    Origin,
    Request,
    TokenEstimate,
    Usage,
)

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
PRICE = Price("config", Rate(Decimal("2.5")), Rate(Decimal(10)))
CATALOGUE = Catalogue(
    (
        Entry(0, "openai", "openai", "gpt", ("chat_small",), priority=1, price=PRICE, supports_vision=True),
        Entry(1, "attic", "ollama", "llama:8b", ("chat_small", "chat_smart"), priority=2, local=True),
    ),
    RoutingRules(max_cost_per_request=Decimal("0.5")),
)
SNAPSHOT = Snapshot(CATALOGUE, {"attic": ProviderState("no")}, {("openai", "gpt"): Latency(812.5, 12)})
REQUEST = Request(
    task="chat_small",
    preferred_model="gpt",
    require_vision=True,
    images=(ImageFacts("png", 1234), ImageFacts("jpeg", None)),
    input_tokens=TokenEstimate(80, 100, 130),
    max_tokens=64,
    max_cost=Decimal("0.25"),
)
CANDIDATES = (
    Candidate(
        "openai",
        "gpt",
        True,
        (),
        Decimal("3.75E-8"),
        1,
        1,
        "openai",
        planned_output_tokens=64,
        input_tokens=TokenEstimate(50, 100, 200),
        expected_output_tokens=40,
    ),
    Candidate(
        "attic", "llama:8b", False, (Reason("no_vision", "it reads no images"), Reason("auth_failed")), None, None, 2
    ),
)


def at(second: float) -> str:
    """A time in the form of the events, some seconds after the start."""
    return (START + timedelta(seconds=second)).isoformat(timespec="microseconds")


def decision(**changes: Any) -> Decision:
    made = Decision(
        decision_id=uuid.uuid4().hex,
        request=REQUEST,
        snapshot=SNAPSHOT,
        task="chat_small",
        policy="priority",
        provider_id="openai",
        provider_type="openai",
        model_id="gpt",
        estimated_cost=Decimal("3.75E-8"),
        reason="priority 1; only one eligible",
        candidates=CANDIDATES,
    )
    return replace(made, **changes)


def call(decision_id: str, **changes: Any) -> Call:
    made = Call(
        call_id=uuid.uuid4().hex,
        decision_id=decision_id,
        ts=at(1),
        attempt=1,
        provider_id="openai",
        provider_type="openai",
        model_id="gpt",
        operation="chat",
        status="ok",
        streamed=True,
        latency_ms=1500.0,
        cost=Cost(Decimal("0.0000000375"), "computed"),
        usage=Usage(100, 20, 30, 5),
        served_model="gpt-2026",
        ttft_ms=250.5,
        finish_reason="stop",
    )
    return replace(made, **changes)


def event(
    *, prompt: str | None = "What is in the picture?", answer: str | None = "A cat.", second: float = 1, **changes: Any
) -> Event:
    """One answered request; `calls` given as a list of changes make that many calls."""
    of_decision = {k: changes.pop(k) for k in list(changes) if k in Decision.__dataclass_fields__}
    made = decision(**of_decision)
    calls = tuple(call(made.decision_id, **({"ts": at(second)} | c)) for c in changes.pop("calls", [{}]))
    return Event(
        ts=at(second),
        decision=made,
        origin=changes.pop("origin", Origin("session-1")),
        outcome=changes.pop("outcome", "ok"),
        calls=calls,
        messages=changes.pop("messages", () if prompt is None else (Message("user", (Text(prompt),)),)),
        responses={c.call_id: answer for c in calls} if answer is not None else {},
    )
