"""Candidates of a decision that another kernel made, or this one long ago: from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..display.money import exact
from ..display.text import one_line

if TYPE_CHECKING:
    from ..ledger.store import Ledger

__all__ = ["logged_candidates"]


def logged_candidates(ledger: Ledger, decision_id: str) -> list[dict[str, Any]]:
    """As `state.candidates`; the ledger keeps the codes of the reasons alone. Raises `LedgerError`."""
    rows: list[dict[Any, Any]] = ledger.decision(decision_id).candidates.to_dict("records")
    return [
        {
            "provider_id": one_line(row["provider_id"]),
            "model_id": one_line(row["model_id"]),
            "eligible": bool(row["eligible"]),
            "rank": int(row["rank"]) if row["eligible"] else None,
            "priority": int(row["priority"]),
            "estimated_usd": exact(row["est_cost_usd"]),
            "reasons": [{"code": str(code), "detail": ""} for code in row["reasons"]],
        }
        for row in rows
    ]
