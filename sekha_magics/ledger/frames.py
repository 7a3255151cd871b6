"""DataFrames from DuckDB: money stays `Decimal`, whole numbers stay whole beside a missing one, times are UTC."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CATEGORIES", "to_frame"]

# Columns of the ledger with few values among many rows. Ids, notebooks and conversations are left text.
CATEGORIES = frozenset(
    (
        *("provider_id", "provider_type", "model_id", "served_model", "requested_model", "preferred_model"),
        *("chosen_provider_id", "chosen_model_id", "answered_provider_id", "answered_model_id"),
        *("task", "policy", "source", "outcome", "operation", "status", "error_type", "cost_source", "finish_reason"),
        *("breaker_state", "experiment", "arm"),
    )
)


def to_frame(relation: Any, categories: Collection[str] = ()) -> pd.DataFrame:
    """The rows of a DuckDB relation. Lists are Python lists, a missing list is None, a missing Decimal or text is None.

    Text in the columns named in `categories` becomes a categorical whose categories are sorted; those of all models are
    the same, and those of all providers. A name that a query gives two columns gets a number the second time.
    """
    import pandas as pd
    import pyarrow as pa

    # Not by `.df()`, which makes float64 of DECIMAL.
    table = relation.to_arrow_table()
    table = table.rename_columns(_distinct(table.column_names))
    lists = {}
    for index, field in enumerate(table.schema):
        if pa.types.is_decimal(field.type) and field.type.precision == 38 and field.type.scale == 0:
            # A sum of whole numbers is a HUGEINT, which arrives in this form.
            table = table.set_column(index, field.name, _whole(table.column(index)))
        elif pa.types.is_nested(field.type):
            lists[field.name] = table.column(index).to_pylist()
        elif field.name in categories and pa.types.is_string(field.type):
            table = table.set_column(index, field.name, table.column(index).dictionary_encode())
    whole = {
        pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(),
    }  # fmt: skip
    frame: pd.DataFrame = table.to_pandas(types_mapper=whole.get, use_threads=False, date_as_object=False)
    for name, values in lists.items():
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    alike: dict[str, list[Any]] = {}
    for name in frame.columns.intersection(list(categories)):
        if isinstance(frame[name].dtype, pd.CategoricalDtype):
            alike.setdefault(_kind(name), []).append(name)
    for names in alike.values():
        found = sorted({value for name in names for value in frame[name].cat.categories})
        for name in names:
            frame[name] = frame[name].cat.set_categories(found)
    return frame


def _kind(name: str) -> str:
    """Columns of one kind get the same categories, since others cannot be compared: who was chosen, who answered."""
    return next((kind for kind in ("provider_id", "model_id") if name.endswith(kind)), name)


def _whole(column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(pa.int64())
    except pa.ArrowInvalid:
        return column


def _distinct(names: list[str]) -> list[str]:
    given: list[str] = []
    for name in names:
        free, number = name, 1
        while free in given:
            free, number = f"{name}_{number}", number + 1
        given.append(free)
    return given
