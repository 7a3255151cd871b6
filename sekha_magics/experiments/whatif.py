"""What requests would have cost under another policy or model: each logged decision is taken again.

The snapshot is that of its own time, so prices, latencies and breakers are those that held then; only what the caller
changes is different. What was spent is never priced again: a request that would have gone to the model it went to, or
to the one that answered it in the end, keeps the cost it had. For another that would have moved the cost is a range:

- the prompt has between the lowest and the highest count estimated for the new model, moved by how far the count that
  was billed lay from what had been expected; cached tokens stay cached at the low end and are not at the high end;
- the answer is as much longer or shorter as the medians of both models' answers to that task say, where the ledger has
  at least five of each, and the range goes from there to its old length; without them from half to twice the length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.catalogue import Entry
from ..core.decide import decide
from ..core.policies import Policy
from ..core.pricing import cost_of, settle, total
from ..core.types import Candidate, Decision, Request, TokenEstimate, Usage
from ..errors import NoEligibleModel
from .past import Lengths, Past

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Range", "Retaken", "WhatIf", "retake"]


class Range(NamedTuple):
    """USD; all three None when the price is unknown."""

    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None

    @classmethod
    def exactly(cls, usd: Decimal | None) -> Range:
        return cls(usd, usd, usd)


_NOTHING = Range.exactly(Decimal(0))
# How much longer or shorter another model's answer may be, where the ledger cannot tell.
_SHORTEST, _LONGEST = 0.5, 2.0


@dataclass(frozen=True, slots=True)
class Retaken:
    """One decision of the past, and what it would have been. `reason` says why, or why nobody could have answered.

    `provider_id` and `model_id` are None where nobody could; `moved` is then False.
    """

    past: Past
    provider_id: str | None
    model_id: str | None
    reason: str
    cost: Range

    @property
    def possible(self) -> bool:
        return self.model_id is not None

    @property
    def moved(self) -> bool:
        return self.possible and (self.provider_id, self.model_id) != self.past.chosen


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What `changes` would have made of the requests in `scope`, oldest first."""

    changes: Mapping[str, Any]
    rows: tuple[Retaken, ...]
    scope: str = ""
    _columns: tuple[str, ...] = field(
        default=("ts", "decision_id", "source", "task", "provider_then", "model_then", "cost_then", "provider", "model",
                 "cost_low", "cost_expected", "cost_high", "moved", "possible", "reason"),
        init=False, repr=False, compare=False,
    )  # fmt: skip

    @property
    def then(self) -> tuple[Decimal, int]:
        """USD that were spent, and how many requests' cost is unknown."""
        return total([row.past.cost for row in self.rows])

    @property
    def now(self) -> tuple[Range, int]:
        """USD it would have been, and how many requests' cost is unknown."""
        sums = [total([row.cost[i] for row in self.rows]) for i in range(3)]
        return Range(*(usd for usd, _ in sums)), sums[0][1]

    @property
    def moved(self) -> int:
        return sum(row.moved for row in self.rows)

    @property
    def impossible(self) -> int:
        return sum(not row.possible for row in self.rows)

    def to_frame(self) -> pd.DataFrame:
        """One row per request; money is `Decimal` USD, None when unknown."""
        import pandas as pd

        rows = [
            (r.past.ts, r.past.decision_id, r.past.source, r.past.task, r.past.provider_id, r.past.model_id,
             r.past.cost, r.provider_id, r.model_id, *r.cost, r.moved, r.possible, r.reason)
            for r in self.rows
        ]  # fmt: skip
        frame = pd.DataFrame(rows, columns=list(self._columns))
        return frame.astype({"ts": "datetime64[us, UTC]", "moved": bool, "possible": bool})


def retake(
    requests: Iterable[Past],
    changes: Mapping[str, Any],
    policies: Mapping[str, Policy],
    lengths: Lengths,
    *,
    scope: str = "",
    told: Callable[[], object] = lambda: None,
) -> WhatIf:
    """Take each decision again with `changes`, which are fields of a `Request`. `told` is called after each."""
    rows = []
    for request in requests:
        rows.append(_retaken(request, changes, policies, lengths))
        told()
    return WhatIf(dict(changes), tuple(rows), scope)


def _retaken(past: Past, changes: Mapping[str, Any], policies: Mapping[str, Policy], lengths: Lengths) -> Retaken:
    request = _with(past.request, changes)
    name = changes.get("policy") or past.policy
    policy = policies.get(name)
    if past.snapshot is None or policy is None:
        missing = f"the policy {name} is not known here" if policy is None else "its snapshot is not in the ledger"
        return Retaken(past, None, None, missing, _NOTHING)
    try:
        decision = decide(request, past.snapshot, policy, decision_id=past.decision_id)
    except NoEligibleModel as refused:
        return Retaken(past, None, None, _why_nobody(refused, changes), _NOTHING)
    found = decision.provider_id, decision.model_id
    asked_then = past.chosen, (past.answered_provider, past.answered_model)
    cost = Range.exactly(past.cost) if found in asked_then else _cost(past, decision, lengths)
    return Retaken(past, *found, decision.reason, cost)


def _with(request: Request, changes: Mapping[str, Any]) -> Request:
    return replace(request, **changes)


def _why_nobody(refused: NoEligibleModel, changes: Mapping[str, Any]) -> str:
    pinned = changes.get("model")
    meant = [c for c in refused.candidates if "not_pinned" not in c.reasons]
    if pinned is not None and not meant:
        return f"{pinned} was not configured then"
    against = dict.fromkeys(str(reason) for c in meant for reason in c.reasons)
    return f"every candidate is ruled out ({', '.join(against)})" if against else "no model was configured then"


def _cost(past: Past, decision: Decision, lengths: Lengths) -> Range:
    """What the answer would have cost at the candidate chosen now."""
    chosen = next(c for c in decision.candidates if (c.provider_id, c.model_id) == _of(decision))
    entry = _entry(decision)
    if entry.price is None:
        return Range.exactly(None)
    answered = past.output_tokens is not None and past.input_tokens is not None
    low, expected, high = _usages(past, entry, chosen, lengths) if answered else _unanswered(past, chosen)
    return Range(*(settle(cost_of(entry.price, usage)) for usage in (low, expected, high)))


def _of(decision: Decision) -> tuple[str, str]:
    return decision.provider_id, decision.model_id


def _entry(decision: Decision) -> Entry:
    entries = decision.snapshot.catalogue.entries
    return next(e for e in entries if (e.provider_id, e.model_id) == _of(decision))


def _usages(past: Past, entry: Entry, chosen: Candidate, lengths: Lengths) -> tuple[Usage, Usage, Usage]:
    billed, written = past.input_tokens or 0, past.output_tokens or 0
    estimated = past.request.input_tokens
    size = _scaled(estimated, billed)
    cached = past.cached_input_tokens
    longest = chosen.planned_output_tokens if past.request.max_tokens else None
    low, expected, high = (_bounded(written * factor, longest) for factor in _factors(past, entry, lengths))
    return (
        Usage(size.low, low, min(cached, size.low)),
        Usage(size.expected, expected, min(cached, size.expected)),
        Usage(size.high, high),
    )


def _unanswered(past: Past, chosen: Candidate) -> tuple[Usage, Usage, Usage]:
    """A request that nobody answered: as it was estimated, from no answer to the longest that was planned for."""
    size, planned = past.request.input_tokens, chosen.planned_output_tokens
    return Usage(size.low), Usage(size.expected, planned), Usage(size.high, planned)


def _scaled(estimated: TokenEstimate, billed: int) -> TokenEstimate:
    if not estimated.expected:
        return TokenEstimate(billed, billed, billed)
    ratio = billed / estimated.expected
    return TokenEstimate(round(estimated.low * ratio), billed, round(estimated.high * ratio))


def _bounded(tokens: float, longest: int | None) -> int:
    return round(tokens) if longest is None else min(round(tokens), longest)


def _factors(past: Past, entry: Entry, lengths: Lengths) -> tuple[float, float, float]:
    then = lengths.get((past.task, past.answered_provider or "", past.answered_model or ""))
    there = lengths.get((past.task, entry.provider_id, entry.model_id))
    if not then or not there:
        return _SHORTEST, 1.0, _LONGEST
    ratio = there / then
    return min(1.0, ratio), ratio, max(1.0, ratio)
