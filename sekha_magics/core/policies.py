"""How the eligible are ordered. A policy gives each a key to sort by and can say which part of the key decided."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from .catalogue import Entry, Latency

__all__ = ["BUILT_IN", "Policy", "Standing"]

# A median of fewer calls says more of chance than of the provider.
_ENOUGH_CALLS = 5
_NOTHING = Decimal(0)


class Standing(NamedTuple):
    """What a policy may look at: one eligible candidate. `estimated_cost` is USD, None when unpriced."""

    entry: Entry
    estimated_cost: Decimal | None
    latency: Latency | None
    preferred: bool
    default: bool


class Policy(Protocol):
    """`key` sorts ascending. `because(part, chosen, rivals)` says in words what part `part` of the key means.

    `rivals` is how many eligible candidates were equal to the chosen one up to that part, the chosen one included.
    """

    name: str

    def key(self, standing: Standing) -> tuple[Any, ...]: ...

    def because(self, part: int, chosen: Standing, rivals: int) -> str: ...


class Priority:
    """Preferred, provider priority, `default_models`, estimated cost (unknown last), order in the file."""

    name = "priority"

    def key(self, standing: Standing) -> tuple[Any, ...]:
        entry, usd, _, preferred, default = standing
        return (not preferred, entry.priority, not default, usd is None, usd or _NOTHING, entry.position)

    def because(self, part: int, chosen: Standing, rivals: int) -> str:
        at = f"priority {chosen.entry.priority}"
        return (
            "preferred, as asked",
            f"{at}, the lowest of {rivals} eligible",
            f"{at}; named in default_models",
            f"{at}; the price of the other{'s' if rivals > 2 else ''} at that priority is unknown",
            f"{at}; cheapest of {rivals} eligible at that priority",
            f"{at}; first in the configuration of {rivals} alike at that priority",
        )[part]


class Cheapest:
    """Preferred, estimated cost (unknown last), provider priority, order in the file."""

    name = "cheapest"

    def key(self, standing: Standing) -> tuple[Any, ...]:
        entry, usd, _, preferred, _ = standing
        return (not preferred, usd is None, usd or _NOTHING, entry.priority, entry.position)

    def because(self, part: int, chosen: Standing, rivals: int) -> str:
        return (
            "preferred, as asked",
            "its price is known",
            f"cheapest of {rivals} eligible",
            f"priority {chosen.entry.priority}, the lowest of {rivals} at that cost",
            f"first in the configuration of {rivals} alike in cost and priority",
        )[part]


class Fastest:
    """Preferred, median latency of the last calls (fewer than five: after the others), priority, order in the file."""

    name = "fastest"

    def key(self, standing: Standing) -> tuple[Any, ...]:
        latency = standing.latency
        measured = latency is not None and latency.calls >= _ENOUGH_CALLS
        return (
            not standing.preferred,
            not measured,
            latency.p50_ms if latency is not None and measured else 0.0,
            standing.entry.priority,
            standing.entry.position,
        )

    def because(self, part: int, chosen: Standing, rivals: int) -> str:
        latency = chosen.latency
        median = f"median {latency.p50_ms:.0f} ms over {latency.calls} calls" if latency else ""
        return (
            "preferred, as asked",
            f"{median}; the others were measured too rarely",
            f"{median}, the fastest of {rivals}",
            f"priority {chosen.entry.priority}, the lowest of {rivals} not told apart by latency",
            f"first in the configuration of {rivals} not told apart by latency and priority",
        )[part]


BUILT_IN: Mapping[str, Policy] = MappingProxyType({p.name: p for p in (Priority(), Cheapest(), Fastest())})
