"""What a query gets from the notebook: DataFrames it may read as tables, and values bound to its parameters.

A value is never made part of a query's text, so nothing in it can be taken for SQL.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from difflib import get_close_matches
from typing import Any
from uuid import UUID

from ..errors import InvalidInput

__all__ = ["bound", "is_frame", "mentioned_frames"]

_PLAIN = (str, int, float, Decimal, datetime, date, time, timedelta, UUID, bytes)
_MANY = (list, tuple, set, frozenset)
_BINDABLE = "Text, numbers, dates, Decimals, None and lists of these can be bound."


def is_frame(value: object) -> bool:
    """Whether a query can read it as a table: a DataFrame of pandas or polars, an Arrow table."""
    # By the protocol they share: none of their packages is imported. On the type: an instance may answer to all.
    return hasattr(type(value), "__arrow_c_stream__") and hasattr(type(value), "columns")


def mentioned_frames(names: set[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The frames among `variables` that one of `names` means: its own spelling first, else one of another case."""
    frames: dict[str, Any] = {}
    folded: dict[str, str] | None = None
    for name in sorted(names):
        if name in variables:
            found = name
        else:
            if folded is None:
                folded = {known.casefold(): known for known in variables if isinstance(known, str)}
            found = folded.get(name.casefold(), "")
        # SQL does not tell cases apart: of two variables that differ in it only the first can be meant.
        if found and is_frame(variables[found]) and name.casefold() not in {n.casefold() for n in frames}:
            frames[name] = variables[found]
    return frames


def bound(names: set[str], variables: Mapping[str, Any]) -> dict[str, Any]:
    """The value of each parameter. Raises `InvalidInput` for a name without a value, or one SQL has no type for."""
    if numbered := sorted(name for name in names if name.isdigit()):
        raise InvalidInput(
            f"Parameter {numbered[0]} has no name.", hint="Write $name, where name is a variable, instead of ? or $1."
        )
    values = {}
    for name in sorted(names):
        if name not in variables:
            near = get_close_matches(name, [known for known in variables if isinstance(known, str)], 3)
            hint = f"Did you mean ${', $'.join(near)}?" if near else f"Define {name} first."
            raise InvalidInput(f"${name}: there is no value of this name.", hint=hint)
        values[name] = _value(name, variables[name])
    return values


def _value(name: str, value: Any) -> Any:
    if is_frame(value):
        raise InvalidInput(f"${name} is a table, not a value.", hint=f"Read it as one: FROM {name}.")
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()  # of NumPy and pandas: scalars, arrays, Series
    if isinstance(value, _MANY):
        return [_single(name, one) for one in value]
    return _single(name, value)


def _single(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        value = value.tolist()
    kind = type(value)
    if kind.__name__ in ("NAType", "NaTType"):
        return None
    if hasattr(value, "to_pydatetime"):
        return value.to_pydatetime()
    if hasattr(value, "to_pytimedelta"):
        return value.to_pytimedelta()
    if isinstance(value, str):
        # Of a text of a class of its own (an enumeration) the text counts, whatever it shows itself as.
        return str.__str__(value)
    if isinstance(value, _PLAIN):
        return value
    raise InvalidInput(f"${name} is a {kind.__name__}, which cannot be bound.", hint=_BINDABLE)
