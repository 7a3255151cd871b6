"""Answers as columns: their text, or one column for each field of the schema, with the reason where there is none."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

from .answers import Answer

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["answer_columns", "field_names", "frame"]

_BESIDE = ("error", "provider_id", "model_id", "cost_usd", "input_tokens", "output_tokens", "asked")


def field_names(schema: Any) -> tuple[str, ...]:
    """The fields an answer of this schema has; none where it is a single value or free text."""
    if isinstance(schema, Mapping):
        return tuple(schema.get("properties", ()))
    if hasattr(schema, "model_fields"):
        return tuple(schema.model_fields)
    if dataclasses.is_dataclass(schema):
        return tuple(f.name for f in dataclasses.fields(schema))
    # Not `is_typeddict`, which does not know the TypedDict of typing_extensions.
    return tuple(schema.__annotations__) if hasattr(schema, "__required_keys__") else ()


def answer_columns(answers: Sequence[Answer], schema: Any, into: str, taken: Sequence[str]) -> dict[str, list[Any]]:
    """Column name to values, None where there is no answer. A field whose name is `taken` becomes `<into>_<field>`."""
    names = field_names(schema)
    if names:
        return {
            (f"{into}_{name}" if name in taken else name): [_field(a.parsed, name) if a.ok else None for a in answers]
            for name in names
        }
    return {into: [None if not a.ok else a.text if schema is None else _plain(a.parsed) for a in answers]}


def _field(parsed: Any, name: str) -> Any:
    return _plain(parsed.get(name) if isinstance(parsed, Mapping) else getattr(parsed, name, None))


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def frame(answers: Sequence[Answer], schema: Any, index: Any) -> pd.DataFrame:
    """One row per answer; `cost_usd` is Decimal, None where unpriced, and 0 where an identical row was paid for."""
    import pandas as pd

    columns = answer_columns(answers, schema, "answer", _BESIDE)
    columns |= {
        "error": [a.error for a in answers],
        "provider_id": [a.provider_id for a in answers],
        "model_id": [a.model_id for a in answers],
        "input_tokens": [a.usage.input_tokens if a.usage else None for a in answers],
        "output_tokens": [a.usage.output_tokens if a.usage else None for a in answers],
        "asked": [a.asked for a in answers],
    }
    told = pd.DataFrame({name: column(values, index) for name, values in columns.items()})
    few = ("provider_id", "model_id", "asked")
    told = told.astype(dict.fromkeys(few, "str")).astype(dict.fromkeys(few, "category"))
    place = list(told.columns).index("input_tokens")
    told.insert(place, "cost_usd", pd.Series([_usd(a) for a in answers], index, dtype=object))
    return told


def _usd(answer: Answer) -> Decimal | None:
    return Decimal(0) if answer.cost is None and not answer.ok else answer.cost.usd if answer.cost else None


def column(values: list[Any], index: Any) -> pd.Series[Any]:
    """With the narrowest type that knows NA; what fits none stays as it is."""
    import pandas as pd

    kinds = {type(value) for value in values if value is not None}
    dtypes = ((frozenset({str}), "string"), (frozenset({bool}), "boolean"), (frozenset({int}), "Int64"),
              (frozenset({float, int}), "Float64"))  # fmt: skip
    dtype = next((name for taken, name in dtypes if kinds and kinds <= taken), None)
    if dtype == "Int64" and any(abs(value) >= 2**63 for value in values if value is not None):
        dtype = None
    if dtype is not None:
        return pd.Series(values, index=index, dtype=dtype)
    return pd.Series([pd.NA if value is None else value for value in values], index=index, dtype=object)
