"""The live state as tables: what a saved notebook, an export and a terminal show of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..display.bars import Bar
from ..display.money import format_sum, format_usd
from ..display.tables import Table
from ..display.text import to_html_text

__all__ = ["plain_of", "tables_of", "to_html"]

Json = Mapping[str, Any]

_LEVELS = {"ok": "", "warn": "near the limit", "full": "at the limit"}
_STATES: Mapping[str, str] = {
    "closed": "in service",
    "open": "resting after failures (breaker open)",
    "half_open": "being tried again (breaker half open)",
    "rate_limited": "resting, rate limited",
    "auth_failed": "key refused",
    "no_key": "no key",
    "disabled": "switched off",
}
_OUTCOMES: Mapping[str | None, str] = {None: "running", "ok": "answered", "dry_run": "not sent"}


def tables_of(state: Json) -> tuple[str, Sequence[Table]]:
    """A sentence on the session, and the tables below it. Those that would say nothing are left out."""
    session = state["session"]
    calls = "1 call" if session["calls"] == 1 else f"{session['calls']:,} calls"
    replayed = f", {session['replayed_calls']:,} replayed" if session["replayed_calls"] else ""
    sentence = f"This session: {_cost(session)} in {calls}{replayed}"
    tables = [_running(state["running"]), _budgets(state["budgets"]), _spend(state["spend"]["models"]),
              _providers(state["providers"]), _decisions(state["decisions"])]  # fmt: skip
    return sentence, [table for table in tables if table is not None]


def to_html(shown: tuple[str, Sequence[Table]]) -> str:
    sentence, tables = shown
    return f"<div><p>{to_html_text(sentence)}</p>\n{''.join(table.to_html() for table in tables)}</div>\n"


def plain_of(state: Json) -> str:
    sentence, tables = tables_of(state)
    return "\n\n".join([sentence, *(table.to_plain() for table in tables)])


def _running(running: Sequence[Json]) -> Table | None:
    rows = [
        (
            one["model_id"],
            one["provider_id"],
            f"{one['elapsed_ms'] / 1000:.0f} s",
            one["output_tokens"],
            _usd(one["cost_usd"]),
        )
        for one in running
    ]
    right = frozenset({"for", "cost"})
    return Table(("model", "provider", "for", "~tokens", "cost"), rows, "running", right=right) if rows else None


def _budgets(budgets: Json) -> Table:
    rows = [
        (
            line["name"],
            format_usd(Decimal(line["spent_usd"])),
            "no limit" if line["limit_usd"] is None else _usd(line["limit_usd"]),
            _used(line),
            _LEVELS[line["level"]],
        )
        for line in budgets["lines"]
    ]
    notes = [budgets["error"]] if budgets["error"] else []
    notes += ["These limits hold for this kernel alone."] if budgets["per_kernel"] else []
    return Table(
        ("budget", "spent", "limit", "used", "level"),
        rows,
        "budgets",
        tuple(notes),
        right=frozenset({"spent", "limit"}),
        strong=frozenset(n for n, line in enumerate(budgets["lines"]) if line["level"] == "full"),
        empty="not known" if budgets["error"] else "none yet",
    )


def _used(line: Json) -> Bar | None:
    """What is spent or reserved, of the limit."""
    if line["limit_usd"] is None:
        return None
    limit, used = Decimal(line["limit_usd"]), Decimal(line["spent_usd"]) + Decimal(line["reserved_usd"])
    share = min(used / limit, Decimal(1)) if limit else Decimal(1)
    return Bar(share, share)


def _spend(models: Sequence[Json]) -> Table | None:
    rows = [
        (one["model_id"], one["provider_id"], one["calls"], one["input_tokens"], one["output_tokens"], _cost(one))
        for one in models
    ]
    columns = ("model", "provider", "calls", "tokens in", "tokens out", "cost")
    return Table(columns, rows, "spend by model", right=frozenset({"cost"})) if rows else None


def _providers(providers: Sequence[Json]) -> Table:
    rows = [
        (
            one["provider_id"],
            _STATES[one["state"]] + _again(one["retry_in_ms"]),
            one["calls"],
            None if not one["calls"] or one["error_rate"] is None else f"{round(one['error_rate'] * 100)} %",
            None if one["latency_p50_ms"] is None else f"{one['latency_p50_ms']:,.0f} ms",
            one["last_error"],
            one["simulated"],
        )
        for one in providers
    ]
    columns = ("provider", "state", "calls", "failed", "median", "last error", "simulated")
    # A column in which nothing stands says nothing.
    kept = [n for n, name in enumerate(columns) if n < 3 or any(row[n] is not None for row in rows)]
    return Table(
        tuple(columns[n] for n in kept),
        [tuple(row[n] for n in kept) for row in rows],
        "providers",
        right=frozenset({"failed", "median"}),
        empty="no provider is configured",
    )


def _again(retry_in_ms: float | None) -> str:
    return "" if retry_in_ms is None else f", again in {retry_in_ms / 1000:.0f} s"


def _decisions(decisions: Sequence[Json]) -> Table | None:
    rows = [
        (
            one["time"][11:16],
            f"{one['model_id']} at {one['provider_id']}" if one["model_id"] else "no model",
            _OUTCOMES.get(one["outcome"], one["outcome"]),
            _cost(one) if one["attempts"] else None,
            one["task"],
            one["reason"],
        )
        for one in decisions
    ]
    columns = ("UTC", "chosen", "outcome", "cost", "task", "why")
    return Table(columns, rows, "last decisions", right=frozenset({"cost"})) if rows else None


def _cost(of: Json) -> str:
    return format_sum(Decimal(of["cost_usd"]), of["unpriced_calls"])


def _usd(usd: str | None) -> str:
    return format_usd(None if usd is None else Decimal(usd))
