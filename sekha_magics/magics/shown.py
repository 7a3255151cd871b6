"""DataFrames that show themselves as the tables of this package, and are DataFrames in every other respect.

What is made from one (a selection, a sum) is a plain DataFrame again. Names and messages in it come from other people's
servers, so both faces are cleaned of markup and control sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from ..display.tables import Table

__all__ = ["ShownFrame", "shown_value"]

_MOST_ROWS = 200


class ShownFrame(pd.DataFrame):
    """`frame` with a caption and footnotes; `column` turns the values of a column of that name into what is shown.

    `only` names the columns that are shown, in their order, where not all are; those in `right` are aligned right.
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        caption: str = "",
        footnotes: tuple[str, ...] = (),
        empty: str = "nothing to show",
        column: Mapping[str, Callable[[Any], object]] | None = None,
        only: tuple[str, ...] = (),
        right: tuple[str, ...] = (),
    ) -> None:
        super().__init__(frame)  # type: ignore[call-arg]
        object.__setattr__(self, "_shown_with", (caption, footnotes, empty, column or {}, only, right))

    @property
    def _constructor(self) -> Callable[..., pd.DataFrame]:
        return pd.DataFrame

    def table(self) -> Table:
        """The table that is shown: the first rows, when there are very many."""
        caption, footnotes, empty, column, only, right_too = self.__dict__["_shown_with"]
        seen = self[[name for name in only or self.columns if name in self.columns]]
        names = [str(name) for name in seen.columns]
        as_shown = [column.get(name, shown_value) for name in names]
        rows = [
            [show(value) for show, value in zip(as_shown, row, strict=True)]
            for row in seen.head(_MOST_ROWS).itertuples(index=False, name=None)
        ]
        if len(self) > _MOST_ROWS:
            footnotes = (*footnotes, f"the first {_MOST_ROWS} of {len(self)} rows")
        right = frozenset(str(name) for name in seen.columns if name in right_too or _is_number(seen[name]))
        return Table(tuple(names), rows, caption, footnotes, right=right, empty=empty)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return self.table().mimebundle()


def shown_value(value: Any) -> object:
    """A value of a frame as a table shows it: gaps as nothing, lists in one line."""
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat(sep=" ", timespec="seconds")
    return bool(value) if pd.api.types.is_bool(value) else value


def _is_number(column: pd.Series[Any]) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
