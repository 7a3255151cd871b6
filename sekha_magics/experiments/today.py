"""A decision of the past beside the same request today: would the same model be chosen, and if not, what changed?

A decision depends on a handful of inputs. Each is put to its value of today while the others stay as they were; what
then chooses today's model is what made the difference. Where no input does it alone, those are named without which
today's choice would not come about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..core.catalogue import Catalogue, Entry, Price, Rate, Snapshot
from ..core.decide import decide
from ..core.policies import Policy
from ..core.types import Decision, Request
from ..errors import NoEligibleModel

__all__ = ["Today", "today"]

_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Today:
    """`decision` is what `decide()` says now; `refused` tells that nobody may answer, and its reasons are in there.

    `changed` are sentences: the inputs that made the difference, or nothing where the same model would be chosen.
    """

    decision: Decision
    refused: bool
    same: bool
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Inputs:
    """All that a choice depends on beside the request."""

    snapshot: Snapshot
    policy: Policy


def today(request: Request, then: Snapshot, now: Snapshot, policy_then: Policy, policy_now: Policy) -> Today:
    """Compare. `request` is that of the past decision, which `then` and `policy_then` took."""
    was, is_now = _Inputs(then, policy_then), _Inputs(now, policy_now)
    decision, refused = _taken(request, is_now)
    chosen_then, chosen_now = _chosen(request, was), _chosen(request, is_now)
    if chosen_then == chosen_now:
        return Today(decision, refused, True, ())
    parts = {**_PARTS, **{name: _state_part(name) for name in _STATES}}
    alone = [name for name, put in parts.items() if _chosen(request, put(was, is_now)) == chosen_now]
    needed = alone or [name for name, put in parts.items() if _chosen(request, put(is_now, was)) != chosen_now]
    involved = [name for name in (chosen_then, chosen_now) if name is not None]
    told = [_told(name, was, is_now, involved) for name in needed]
    return Today(decision, refused, False, tuple(told) or ("several inputs together",))


def _taken(request: Request, inputs: _Inputs) -> tuple[Decision, bool]:
    try:
        return decide(request, inputs.snapshot, inputs.policy), False
    except NoEligibleModel as refused:
        if refused.decision is None:
            raise
        return refused.decision, True


def _chosen(request: Request, inputs: _Inputs) -> _Name | None:
    decision, refused = _taken(request, inputs)
    return None if refused else (decision.provider_id, decision.model_id)


# --- the inputs, one by one -------------------------------------------------------------------------

_Put = Callable[[_Inputs, _Inputs], _Inputs]


def _by_name(catalogue: Catalogue) -> dict[_Name, Entry]:
    return {(e.provider_id, e.model_id): e for e in catalogue.entries}


def _with_entries(inputs: _Inputs, entries: tuple[Entry, ...]) -> _Inputs:
    catalogue = replace(inputs.snapshot.catalogue, entries=entries)
    return replace(inputs, snapshot=replace(inputs.snapshot, catalogue=catalogue))


def _fields_from(*names: str) -> _Put:
    """These fields of each model that both know, from the other side."""

    def put(inputs: _Inputs, other: _Inputs) -> _Inputs:
        theirs = _by_name(other.snapshot.catalogue)

        def mixed(entry: Entry) -> Entry:
            source = theirs.get((entry.provider_id, entry.model_id))
            return entry if source is None else replace(entry, **{name: getattr(source, name) for name in names})

        return _with_entries(inputs, tuple(map(mixed, inputs.snapshot.catalogue.entries)))

    return put


def _offer(inputs: _Inputs, other: _Inputs) -> _Inputs:
    """The other side's models, with the prices and keys of this one where it knows them."""
    ours = _by_name(inputs.snapshot.catalogue)

    def mixed(entry: Entry) -> Entry:
        known = ours.get((entry.provider_id, entry.model_id))
        return entry if known is None else replace(entry, price=known.price, missing_key=known.missing_key)

    return _with_entries(inputs, tuple(map(mixed, other.snapshot.catalogue.entries)))


def _rules(inputs: _Inputs, other: _Inputs) -> _Inputs:
    catalogue = replace(inputs.snapshot.catalogue, rules=other.snapshot.catalogue.rules)
    return replace(inputs, snapshot=replace(inputs.snapshot, catalogue=catalogue))


def _state_part(name: str) -> _Put:
    def put(inputs: _Inputs, other: _Inputs) -> _Inputs:
        return replace(inputs, snapshot=replace(inputs.snapshot, **{name: getattr(other.snapshot, name)}))

    return put


_STATES = tuple(f.name for f in fields(Snapshot) if f.name != "catalogue")
_PARTS: Mapping[str, _Put] = {
    "policy": lambda inputs, other: replace(inputs, policy=other.policy),
    "models": _offer,
    "prices": _fields_from("price"),
    "keys": _fields_from("missing_key"),
    "routing": _rules,
}
_SENTENCES = {
    "models": "the models on offer, or what is configured of them",
    "keys": "which keys are there",
    "routing": "the rules of routing",
    "providers": "the state of the providers (breakers, rests, refused keys)",
    "latencies": "how fast the models answered lately",
    "budget": "what is left of the budget",
}


def _told(name: str, was: _Inputs, is_now: _Inputs, involved: list[_Name]) -> str:
    match name:
        case "policy":
            return f"the policy: {was.policy.name} then, {is_now.policy.name} now"
        case "prices":
            before, after = _by_name(was.snapshot.catalogue), _by_name(is_now.snapshot.catalogue)
            moved = [
                f"{'/'.join(who)} {_price(before[who].price)} then, {_price(after[who].price)} now"
                for who in dict.fromkeys(involved)
                if who in before and who in after and before[who].price != after[who].price
            ]
            return "the prices" + (f": {'; '.join(moved)}" if moved else "")
        case _:
            return _SENTENCES.get(name, name.replace("_", " "))


def _price(price: Price | None) -> str:
    if price is None:
        return "unpriced"
    if price.source == "free":
        return "free"
    return f"{_rate(price.input)} in and {_rate(price.output)} out a million tokens"


def _rate(rate: Rate) -> str:
    usd: Any = f"{rate.base.normalize():f}"
    return f"${usd}" + (" and up" if rate.tiers else "")
