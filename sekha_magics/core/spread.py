"""Between what and what a request may cost: the low and the high end beside the expected cost of a decision."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from .pricing import estimate
from .types import Candidate, Decision

__all__ = ["Spread", "spread"]


class Spread(NamedTuple):
    """USD."""

    low: Decimal
    expected: Decimal
    high: Decimal


def spread(decision: Decision, candidate: Candidate) -> Spread | None:
    """What `candidate` may cost for that request; None where its price is unknown.

    The low end is the fewest tokens the prompt may have and the shortest answer seen, or none where none was seen; the
    high end the most tokens, and an answer as long as was planned, or as the longest seen where nothing limits it.
    """
    names = (candidate.provider_id, candidate.model_id)
    entry = next((e for e in decision.snapshot.catalogue.entries if (e.provider_id, e.model_id) == names), None)
    if entry is None or entry.price is None or candidate.estimated_cost is None:
        return None
    seen = decision.snapshot.lengths.get((*names, decision.task))
    planned = candidate.planned_output_tokens
    shortest = min(seen.low, candidate.expected_output_tokens) if seen else 0
    request, snapshot = decision.request, decision.snapshot
    limits = (request.max_tokens, request.max_cost, snapshot.catalogue.rules.max_cost_per_request, snapshot.budget)
    limited = any(limit is not None for limit in limits)
    longest = planned if limited or not seen else max(planned, seen.high)
    low = estimate(entry.price, candidate.input_tokens.low, shortest)
    high = estimate(entry.price, candidate.input_tokens.high, longest)
    if low is None or high is None:
        return None
    return Spread(low, candidate.estimated_cost, high)
