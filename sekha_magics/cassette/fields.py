"""Values as a cassette writes them, and read with suspicion: a file is not to be trusted in anything.

All readers raise `ValueError` with what is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from decimal import Decimal
from math import isfinite
from typing import Any, get_args

from ..core.types import Cost, CostSource, Usage

__all__ = [
    "cost_from",
    "cost_to",
    "count",
    "flag",
    "money",
    "number",
    "optional_text",
    "section",
    "sections",
    "text",
    "usage_from",
    "usd",
]

Section = Mapping[str, Any]


def money(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def cost_to(cost: Cost) -> dict[str, Any]:
    as_of = {} if cost.price_as_of is None else {"price_as_of": cost.price_as_of.isoformat()}
    return {"usd": money(cost.usd), "source": cost.source, **as_of}


def section(value: Section, name: str) -> Section:
    found = value.get(name)
    if not isinstance(found, dict):
        raise ValueError(f"`{name}` is missing or no mapping")  # noqa: TRY004 - the file is wrong, not a caller
    return found


def sections(value: Section, name: str) -> list[Section]:
    """None of them where the name is not there."""
    found = value.get(name, [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"`{name}` must be a list of mappings")
    return found


def text(value: Section, name: str) -> str:
    found = value.get(name)
    if not isinstance(found, str):
        raise ValueError(f"`{name}` is missing or no text")  # noqa: TRY004
    return found


def optional_text(value: Section, name: str) -> str | None:
    return None if value.get(name) is None else text(value, name)


def flag(value: Section, name: str) -> bool:
    found = value.get(name, False)
    if not isinstance(found, bool):
        raise ValueError(f"`{name}` must be true or false")  # noqa: TRY004
    return found


def count(value: Section, name: str) -> int:
    found = value.get(name, 0)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise ValueError(f"`{name}` must be a whole number of 0 or more")
    return found


def number(value: Section, name: str) -> float | None:
    found = value.get(name)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not isfinite(found) or found < 0:
        raise ValueError(f"`{name}` must be a number of 0 or more")
    return found


def usd(value: Section, name: str) -> Decimal | None:
    written = optional_text(value, name)
    if written is None:
        return None
    try:
        amount = Decimal(written)
    except ArithmeticError:
        raise ValueError(f"`{name}` is no amount of money") from None
    # An exponent of a billion is a short text, and fills the memory when it is written out.
    if not amount.is_finite() or amount < 0 or len(written) > 60 or not -40 <= amount.adjusted() <= 15:
        raise ValueError(f"`{name}` is no amount of money")
    return amount


def cost_from(value: Section) -> Cost:
    source = text(value, "source")
    for known in get_args(CostSource):
        if source == known:
            as_of = optional_text(value, "price_as_of")
            return Cost(usd(value, "usd"), known, None, None if as_of is None else date.fromisoformat(as_of))
    raise ValueError(f"`source` of the cost is {source!r}, which is none of {', '.join(get_args(CostSource))}")


def usage_from(value: Section) -> Usage | None:
    if value.get("usage") is None:
        return None
    found = section(value, "usage")
    return Usage(**{f.name: count(found, f.name) for f in fields(Usage)})
