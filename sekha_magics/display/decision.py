"""A decision as people read it: what was chosen, why, and every candidate with what speaks against it."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.spread import spread
from .drawing import Range
from .money import exact, format_usd
from .tables import Table
from .text import one_line, to_html_text

if TYPE_CHECKING:
    from ..core.types import Candidate, Decision

__all__ = ["candidates_metadata", "candidates_table", "decision_metadata", "decision_mimebundle"]

# A notebook carries so many with each answer; a configuration may hold hundreds.
_MOST_CARRIED = 20
_COLUMNS = ("rank", "model", "provider", "priority", "estimated cost", "why not")
_RANGE = "low to high"


def candidates_table(decision: Decision, caption: str = "", *, ranges: bool = False) -> Table:
    """Every candidate: the eligible by rank, then the others as configured. The chosen one stands out.

    With `ranges`, and where one has a price, also between what its cost lies, on a scale for all.
    """
    rows = _in_order(decision)
    chosen = (decision.provider_id, decision.model_id)
    columns: tuple[str, ...] = _COLUMNS
    cells = [_row(candidate) for candidate in rows]
    drawn = _ranges(decision, rows) if ranges else []
    if any(drawn):
        columns = (*_COLUMNS[:-1], _RANGE, _COLUMNS[-1])
        cells = [(*row[:-1], span, row[-1]) for row, span in zip(cells, drawn, strict=True)]
    return Table(
        columns=columns,
        rows=cells,
        caption=caption,
        right=frozenset({"estimated cost"}),
        strong=frozenset(i for i, c in enumerate(rows) if c.eligible and (c.provider_id, c.model_id) == chosen),
        empty="no candidates: no model is configured",
    )


def decision_mimebundle(decision: Decision) -> tuple[dict[str, Any], dict[str, Any]]:
    """(data, metadata) of a decision. The data hold no id and no time, so that equal decisions look equal."""
    sentence = _sentence(decision)
    table = candidates_table(decision, ranges=True)
    data = {
        "text/plain": f"{sentence}\n\n{table.to_plain()}",
        "text/html": f"<div><p>{_html_sentence(decision)}</p>\n{table.to_html()}</div>\n",
    }
    return data, {"sekha": decision_metadata(decision)}


def decision_metadata(decision: Decision) -> dict[str, Any]:
    """What output metadata say of a decision. Money is a string: JSON numbers are binary fractions."""
    return {
        "decision_id": decision.decision_id,
        "provider_id": one_line(decision.provider_id),
        "provider_type": one_line(decision.provider_type),
        "model_id": one_line(decision.model_id),
        "task": one_line(decision.task),
        "policy": one_line(decision.policy),
        "reason": one_line(decision.reason),
        "estimated_cost_usd": exact(decision.estimated_cost),
    }


def candidates_metadata(decision: Decision) -> dict[str, Any]:
    """What output metadata say of the candidates, the likeliest first, and of how many they say nothing."""
    rows = _in_order(decision)
    return {
        "candidates": [
            {
                "provider_id": one_line(candidate.provider_id),
                "model_id": one_line(candidate.model_id),
                "eligible": candidate.eligible,
                "rank": candidate.rank,
                "priority": candidate.priority,
                "estimated_usd": exact(candidate.estimated_cost),
                "reasons": [{"code": str(code), "detail": one_line(code.detail)} for code in candidate.reasons],
            }
            for candidate in rows[:_MOST_CARRIED]
        ],
        "candidates_left_out": max(0, len(rows) - _MOST_CARRIED),
    }


def _in_order(decision: Decision) -> list[Candidate]:
    return [*decision.ranked, *(c for c in decision.candidates if not c.eligible)]


def _row(candidate: Candidate) -> tuple[object, ...]:
    return (
        candidate.rank,
        candidate.model_id,
        candidate.provider_id,
        candidate.priority,
        _estimate(candidate.estimated_cost),
        "; ".join(f"{code}: {code.detail}" if code.detail else str(code) for code in candidate.reasons),
    )


def _ranges(decision: Decision, candidates: Sequence[Candidate]) -> list[Range | None]:
    """None for what is free or has no price."""
    spreads = [spread(decision, candidate) for candidate in candidates]
    most = max((costs.high for costs in spreads if costs is not None), default=Decimal(0))
    return [
        Range(f"{format_usd(costs.low)} to {format_usd(costs.high)}", *costs, most)
        if costs is not None and costs.high
        else None
        for costs in spreads
    ]


def _circumstances(decision: Decision) -> str:
    if not decision.model_id:
        return one_line(f"{decision.task}, policy {decision.policy}")
    estimate = _estimate(decision.estimated_cost)
    about = "about " if decision.estimated_cost else ""
    return one_line(f"{decision.task}, policy {decision.policy}, {about}{estimate}{_range(decision)}")


def _range(decision: Decision) -> str:
    chosen = next((c for c in decision.ranked if c.rank == 1), None)
    costs = spread(decision, chosen) if chosen is not None and decision.estimated_cost else None
    return "" if costs is None else f" ({format_usd(costs.low)} to {format_usd(costs.high)})"


def _estimate(usd: Decimal | None) -> str:
    # Of a model, zero is a price: it is free. An unknown price is None.
    return format_usd(usd, "free" if usd == 0 else None)


def _sentence(decision: Decision) -> str:
    if not decision.model_id:
        return f"No model may answer ({_circumstances(decision)})"
    chosen = one_line(f"{decision.model_id} at {decision.provider_id}")
    return f"{chosen} ({_circumstances(decision)})\n{one_line(decision.reason)}"


def _html_sentence(decision: Decision) -> str:
    first, _, rest = _sentence(decision).partition("\n")
    if not rest:
        return to_html_text(first)
    return f"<strong>{to_html_text(first)}</strong><br>{to_html_text(rest)}"
