"""DataFrames from DuckDB: money stays `Decimal`, whole numbers stay whole beside a missing one, times are UTC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["to_frame"]


def to_frame(relation: Any) -> pd.DataFrame:
    """The rows of a DuckDB relation. Lists are Python lists, a missing Decimal, text or list is None.

    A name that a query gives two columns gets a number the second time.
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
    whole = {
        pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype(),
    }  # fmt: skip
    frame: pd.DataFrame = table.to_pandas(types_mapper=whole.get, use_threads=False)
    for name, values in lists.items():
        frame[name] = pd.Series(values, index=frame.index, dtype=object)
    return frame


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
