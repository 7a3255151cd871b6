"""The state a front end shows, as values for JSON: see `state` in `live.v1.schema.json`.

Read from what the registry has counted: nothing is asked of a provider or of the ledger.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .. import whereabouts
from ..conditions import conditions
from ..core.budget import Line
from ..core.pricing import estimate
from ..display.money import exact
from ..display.text import one_line
from ..errors import SekhaError
from ..watch import Request, Seen, Spent

if TYPE_CHECKING:
    from ..registry import Registry

__all__ = ["PARTS", "candidates", "comparable", "read"]

PARTS = ("session", "budgets", "providers", "spend", "decisions", "running")
_MESSAGE = 500
_DECISIONS_SHOWN = 20
# In characters: what is shown while an answer is written is a guess, and its end corrects it.
_CHARACTERS_PER_TOKEN = 4
_LEVELS = ("ok", "warn", "full")
_OF_THE_MOMENT = {"retry_in_ms", "elapsed_ms"}

_SINCE = datetime.now(UTC).isoformat(timespec="microseconds")

Json = dict[str, Any]


def read(registry: Registry | None) -> Json:
    """All parts, of a kernel that may have no registry yet. `error` in budgets says why they are not known."""
    if registry is None:
        return _nothing()
    budgets = _budgets(registry)
    return {
        "session": _session(registry, budgets),
        "budgets": budgets,
        "providers": _providers(registry),
        "spend": _spend(registry),
        "decisions": [_decision(seen) for seen in registry.watch.decisions[:_DECISIONS_SHOWN]],
        "running": [_running(request) for request in registry.watch.running],
    }


def comparable(part: Any) -> Any:
    """A part without what runs on by itself at whoever shows it: equal parts need not be sent again."""
    if isinstance(part, list):
        return [{k: v for k, v in item.items() if k not in _OF_THE_MOMENT} for item in part]
    return part


def candidates(seen: Seen) -> list[Json]:
    """Every candidate of a decision, in the order of the configuration."""
    return [
        {
            "provider_id": one_line(c.provider_id),
            "model_id": one_line(c.model_id),
            "eligible": c.eligible,
            "rank": c.rank,
            "priority": c.priority,
            "estimated_usd": exact(c.estimated_cost),
            "reasons": [{"code": str(r), "detail": one_line(r.detail, _MESSAGE)} for r in c.reasons],
        }
        for c in seen.decision.candidates
    ]


def _nothing() -> Json:
    return {
        "session": {"session_id": "", "notebook": None, "started": _SINCE, **_spent(Spent(), tokens=False),
                    "replayed_calls": 0, "level": "ok"},
        "budgets": {"lines": [], "warn_at": 1.0, "error": None, "per_kernel": False},
        "providers": [],
        "spend": {"models": [], "points": []},
        "decisions": [],
        "running": [],
    }  # fmt: skip


def _session(registry: Registry, budgets: Json) -> Json:
    totals, notebook = registry.watch.totals, whereabouts.notebook()
    return {
        "session_id": registry.session_id,
        "notebook": None if notebook is None else one_line(notebook),
        "started": totals.started.isoformat(timespec="microseconds"),
        **_spent(totals.spent, tokens=False),
        "replayed_calls": totals.replayed,
        "level": max((line["level"] for line in budgets["lines"]), key=_LEVELS.index, default="ok"),
    }


def _spent(spent: Spent, *, tokens: bool = True) -> Json:
    counted = {"input_tokens": spent.input_tokens, "output_tokens": spent.output_tokens} if tokens else {}
    return {"calls": spent.calls, "cost_usd": exact(spent.usd), "unpriced_calls": spent.unpriced, **counted}


def _budgets(registry: Registry) -> Json:
    warn_at = registry.budget.warn_at
    error, lines = None, []
    try:
        lines = [_line(line, warn_at) for line in registry.budget.lines()]
    except SekhaError as unknown:
        error = one_line(unknown.message, _MESSAGE)
    return {"lines": lines, "warn_at": float(warn_at), "error": error, "per_kernel": registry.budget.per_kernel}


def _line(line: Line, warn_at: Decimal) -> Json:
    limit = line.limit
    level = "ok"
    if limit.usd is not None and line.spent >= limit.usd * warn_at:
        level = "full" if line.spent >= limit.usd else "warn"
    return {
        "scope": limit.period,
        "name": one_line(limit.name),
        "limit_usd": exact(limit.usd),
        "spent_usd": exact(line.spent),
        "reserved_usd": exact(line.reserved),
        "left_usd": exact(line.left),
        "level": level,
        "settable": not (limit.provider or limit.model),
    }


def _providers(registry: Registry) -> list[Json]:
    simulations = registry.state.simulations()
    return [
        {
            "provider_id": one_line(seen.provider_id),
            "provider_type": one_line(seen.provider_type),
            "state": seen.state,
            "failures": seen.failures,
            "retry_in_ms": None if seen.retry_in is None else round(seen.retry_in * 1000, 1),
            "last_error": None if seen.last_error is None else one_line(seen.last_error, _MESSAGE),
            "models": seen.models,
            "calls": seen.calls,
            "error_rate": seen.error_rate,
            "latency_p50_ms": None if seen.latency_p50_ms is None else round(seen.latency_p50_ms, 1),
            "simulated": str(simulations[seen.provider_id]) if seen.provider_id in simulations else None,
        }
        for seen in conditions(registry.state, {})
    ]


def _spend(registry: Registry) -> Json:
    models = sorted(registry.watch.models.items(), key=lambda item: (-item[1].usd, item[0]))
    return {
        "models": [{**_model(model), **_spent(spent)} for model, spent in models],
        "points": [
            {
                "minute": minute.start.isoformat(),
                **_model(minute.model),
                "calls": minute.spent.calls,
                "cost_usd": exact(minute.spent.usd),
            }
            for minute in registry.watch.minutes
        ],
    }


def _model(model: tuple[str, str]) -> Json:
    return {"provider_id": one_line(model[0]), "model_id": one_line(model[1])}


def _decision(seen: Seen) -> Json:
    decision = seen.decision
    return {
        "decision_id": decision.decision_id,
        "time": seen.ts,
        "cell_id": seen.origin.cell_id,
        "source": seen.origin.source,
        "task": one_line(decision.task),
        "policy": one_line(decision.policy),
        **_model((decision.provider_id, decision.model_id)),
        "reason": one_line(decision.reason, _MESSAGE),
        "outcome": seen.outcome,
        "cost_usd": exact(seen.spent.usd),
        "unpriced_calls": seen.spent.unpriced,
        "input_tokens": seen.spent.input_tokens,
        "output_tokens": seen.spent.output_tokens,
        "latency_ms": None if seen.latency_ms is None else round(seen.latency_ms, 1),
        "attempts": seen.spent.calls,
        "candidates": len(decision.candidates),
    }


def _running(request: Request) -> Json:
    entry = request.entry
    written = -(-request.characters // _CHARACTERS_PER_TOKEN)
    cost = None if entry is None else estimate(entry.price, request.input_tokens, written)
    return {
        "request_id": request.request_id,
        "decision_id": None if request.decision is None else request.decision.decision_id,
        "cell_id": request.origin.cell_id,
        "operation": request.operation,
        **_model(("", "") if entry is None else (entry.provider_id, entry.model_id)),
        "attempt": request.attempt,
        "elapsed_ms": round(request.elapsed_ms, 1),
        "output_tokens": written,
        "cost_usd": exact(cost),
    }
