"""An event as rows of the ledger's tables: plain JSON values, money as decimal text.

`clean` takes keys out of every text of them; where it is None, whoever calls looks at the whole and comes again when a
key stands in it. That is most of what an event costs, and almost never finds one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..core.catalogue import Snapshot
from ..core.pricing import settle
from ..core.types import Call, Candidate, Decision, Event, ImageFacts, Quoted, Request, TokenEstimate
from ..storage.flat import encode, flat_object

__all__ = [
    "Clean",
    "Row",
    "call_row",
    "candidate_rows",
    "cleaner",
    "decision_row",
    "request_from_json",
    "snapshot_rows",
]

Row = dict[str, Any]
Clean = Callable[[str], str]

_BOUND = Decimal(10) ** 6
_FIELDS = tuple(Request.__dataclass_fields__)


def cleaner(redact: Clean) -> Clean:
    """`redact`, and half of a surrogate pair, which no file can hold, as U+FFFD."""

    def clean(text: str) -> str:
        if not text.isascii():
            text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return redact(text)

    return clean


def decision_row(event: Event, clean: Clean | None) -> Row:
    decision, origin, request = event.decision, event.origin, event.decision.request
    chosen = next((c for c in decision.candidates if _is_chosen(c, decision)), None)
    row = {
        "decision_id": decision.decision_id,
        "ts": event.ts,
        "session_id": origin.session_id,
        "notebook": origin.notebook,
        "cell_id": origin.cell_id,
        "conversation": origin.conversation,
        "source": origin.source,
        "task": decision.task,
        "policy": decision.policy,
        "requested_model": request.model,
        "preferred_model": request.preferred_model,
        "require_vision": request.require_vision,
        "image_count": len(request.images),
        "est_input_tokens": (chosen.input_tokens if chosen else request.input_tokens).expected,
        "est_output_tokens": chosen.expected_output_tokens if chosen else None,
        "max_cost_usd": _usd(request.max_cost),
        "provider_id": decision.provider_id or None,
        "provider_type": decision.provider_type or None,
        "model_id": decision.model_id or None,
        "est_cost_usd": _usd(decision.estimated_cost),
        "reason": decision.reason,
        "outcome": event.outcome,
        "experiment": origin.experiment,
        "arm": origin.arm,
        "snapshot_id": decision.snapshot.snapshot_id,
    }
    told = _request_json(request) | ({"memory": _quoted_json(event.memory)} if event.memory else {})
    row["request"] = flat_object(_cleaned(told, clean))
    return _cleaned_row(row, clean)


def candidate_rows(decision: Decision, clean: Clean | None) -> list[Row]:
    states = decision.snapshot.providers
    rows = [
        {
            "decision_id": decision.decision_id,
            "position": position,
            "provider_id": candidate.provider_id,
            "model_id": candidate.model_id,
            "eligible": candidate.eligible,
            "rank": candidate.rank,
            "reasons": [str(reason) for reason in candidate.reasons],
            "est_cost_usd": _usd(candidate.estimated_cost),
            "priority": candidate.priority,
            "breaker_state": states[candidate.provider_id].breaker if candidate.provider_id in states else "closed",
            "latency_p50_ms": candidate.latency_p50_ms,
        }
        for position, candidate in enumerate(decision.candidates)
    ]
    return rows if clean is None else [_cleaned(row, clean) for row in rows]


def call_row(call: Call, clean: Clean | None, prompt_sha256: str | None, response_sha256: str | None) -> Row:
    usage, cost = call.usage, call.cost
    row = {
        "call_id": call.call_id,
        "decision_id": call.decision_id,
        "ts": call.ts,
        "attempt": call.attempt,
        "provider_id": call.provider_id,
        "provider_type": call.provider_type,
        "model_id": call.model_id,
        "served_model": call.served_model,
        "operation": call.operation,
        "simulated": call.simulated,
        "status": call.status,
        "error_type": call.error_type,
        "error_message": call.error_message,
        "http_status": call.http_status,
        "input_tokens": usage.input_tokens if usage else None,
        "output_tokens": usage.output_tokens if usage else None,
        "cached_input_tokens": usage.cached_input_tokens if usage else None,
        "reasoning_tokens": usage.reasoning_tokens if usage else None,
        "cost_usd": _usd(cost.usd),
        "cost_source": cost.source,
        "price_as_of": cost.price_as_of.isoformat() if cost.price_as_of else None,
        "latency_ms": call.latency_ms,
        "ttft_ms": call.ttft_ms,
        "streamed": call.streamed,
        "finish_reason": call.finish_reason,
        "prompt_sha256": prompt_sha256,
        "response_sha256": response_sha256,
    }
    return _cleaned_row(row, clean)


def snapshot_rows(snapshot: Snapshot, ts: str, clean: Clean | None) -> dict[str, Callable[[], Row]]:
    """What must be kept of a snapshot, by id: the row is made only when the id is new, for a catalogue can be large."""
    catalogue = snapshot.catalogue

    def of(kind: str, row_id: str, content: Mapping[str, Any]) -> Row:
        return {
            "snapshot_id": row_id,
            "ts": ts,
            "kind": kind,
            "catalogue_id": catalogue.catalogue_id,
            "content": encode(_cleaned(content, clean)),
        }

    return {
        catalogue.catalogue_id: lambda: of("catalogue", catalogue.catalogue_id, catalogue.to_json()),
        snapshot.snapshot_id: lambda: of("state", snapshot.snapshot_id, snapshot.to_json()),
    }


def request_from_json(text: str) -> Request:
    """The request a decision was made for, equal to the one that was logged."""
    logged: dict[str, Any] = json.loads(text)
    fields = {name: value for name, value in logged.items() if name in Request.__dataclass_fields__}
    limit = fields["max_cost"]
    return Request(
        **fields
        | {
            "images": tuple(ImageFacts(*facts) for facts in fields["images"]),
            "input_tokens": TokenEstimate(*fields["input_tokens"]),
            # What an older version wrote was not counted by family.
            "counted": tuple((name, TokenEstimate(*tokens)) for name, tokens in fields.get("counted", ())),
            "max_cost": None if limit is None else Decimal(limit),
        }
    )


def _request_json(request: Request) -> Row:
    fields = {name: getattr(request, name) for name in _FIELDS}
    fields["max_cost"] = None if request.max_cost is None else str(request.max_cost)
    return fields


def _quoted_json(memory: Sequence[Quoted]) -> list[Row]:
    """Which messages were quoted, and why; where they are from is in the memory, and goes with them."""
    return [
        {name: value for name, value in q._asdict().items() if name not in ("conversation", "folder", "role", "ts")}
        for q in memory
    ]


def _is_chosen(candidate: Candidate, decision: Decision) -> bool:
    return (candidate.provider_id, candidate.model_id) == (decision.provider_id, decision.model_id)


def _usd(value: Decimal | None) -> str | None:
    """To the twelfth decimal. What no bill can be (not a number, a million dollars a call) is unknown."""
    if value is None or not value.is_finite() or abs(value) >= _BOUND:
        return None
    return format(settle(value), "f")


def _cleaned_row(row: Row, clean: Clean | None) -> Row:
    """A flat row, whose names are ours."""
    if clean is None:
        return row
    return {name: clean(value) if isinstance(value, str) else value for name, value in row.items()}


def _cleaned(value: Any, clean: Clean | None) -> Any:
    if clean is None:
        return value
    match value:
        case str():
            return clean(value)
        case Mapping():
            return {clean(name): _cleaned(inner, clean) for name, inner in value.items()}
        case list() | tuple():
            return [_cleaned(v, clean) for v in value]
        case _:
            return value
