"""Replies and decisions to show."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sekha_magics.core.catalogue import Catalogue, Snapshot
from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import Call, Candidate, Cost, Decision, Reply, Request, Usage

CHOSEN = Candidate("local", "smollm2-135m-instruct", True, (), Decimal(0), 1, 1)
SECOND = Candidate("openrouter", "anthropic/claude", True, (), Decimal("0.0123"), 2, 5)
KEYLESS = Candidate(
    "openai", "gpt-4o", False, (Reason("no_key", "OPENAI_API_KEY is not set"), Reason("no_vision")), None, None, 9
)


def decision(candidates: tuple[Candidate, ...] = (KEYLESS, SECOND, CHOSEN), **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "decision_id": "d-1",
        "request": Request(),
        "snapshot": Snapshot(Catalogue(())),
        "task": "chat_small",
        "policy": "priority",
        "provider_id": "local",
        "provider_type": "local",
        "model_id": "smollm2-135m-instruct",
        "estimated_cost": Decimal(0),
        "reason": "priority 1; cheapest of 1 eligible at that priority",
        "candidates": candidates,
    }
    return Decision(**{**values, **changes})


def call(**changes: Any) -> Call:
    values: dict[str, Any] = {
        "call_id": "c-1",
        "decision_id": "d-1",
        "ts": "2026-11-23T10:00:00.000000+00:00",
        "attempt": 1,
        "provider_id": "local",
        "provider_type": "local",
        "model_id": "smollm2-135m-instruct",
        "operation": "chat",
        "status": "ok",
        "streamed": True,
        "latency_ms": 812.345,
        "cost": Cost(Decimal(0), "free"),
        "served_model": "smollm2",
    }
    return Call(**{**values, **changes})


def reply(text: str = "Paris.", **changes: Any) -> Reply:
    values: dict[str, Any] = {
        "text": text,
        "decision": decision(),
        "provider_id": "local",
        "provider_type": "local",
        "model_id": "smollm2-135m-instruct",
        "calls": (call(),),
        "cost": Cost(Decimal(0), "free"),
        "usage": Usage(24, 12),
        "latency_ms": 812.345,
        "ttft_ms": 101.26,
        "finish_reason": "stop",
    }
    return Reply(**{**values, **changes})
