"""`%%sekha_sql` and `%sekha_sql`: a query over the ledger and the notebook's own DataFrames, which changes nothing.

The value is the whole answer; what is shown of it is bounded. Values come in as `$name` and are bound, never pasted.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from .options import SQL
from .standing import registry

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["sql"]

_LONGEST_CELL = 120


def sql(shell: InteractiveShell, line: str, cell: str | None, names: Mapping[str, Any]) -> pd.DataFrame | None:
    """Answer a line or a cell; `names` are the variables that a query may read or bind."""
    from .chat import hand_over

    arguments = SQL.parse(line)
    if arguments.help:
        sys.stdout.write(SQL.help_text())
        return None
    if cell is not None and arguments.rest.strip():
        raise UsageError(
            f"{arguments.rest.split()[0]!r} is no option: the query of a cell begins on its second line "
            "(`%sekha_sql QUERY` takes one on the same line)"
        )
    query = arguments.rest if cell is None else cell
    if _says_nothing(query):
        raise UsageError("there is no query: try `%sekha_sql SHOW TABLES`, and `%sekha_sql --help`")
    try:
        answer = registry().ledger.sql(query, frames=names, parameters=names)
    except KeyboardInterrupt as interrupt:
        said = ["KeyboardInterrupt: the query was ended"]
        interrupt._render_traceback_ = lambda: said  # type: ignore[attr-defined]
        raise
    shown = _shown(answer)
    if arguments.values.get("quiet"):
        hand_over(shell, shown, None)
    if (name := arguments.values.get("out")) is not None:
        shell.user_ns[name] = shown
    return shown


def _says_nothing(query: str) -> bool:
    import duckdb

    try:
        return not duckdb.extract_statements(query)
    except (duckdb.Error, UnicodeError):
        return False  # The ledger says what is wrong with it.


def _shown(answer: pd.DataFrame) -> pd.DataFrame:
    from .shown import ShownFrame

    count = len(answer)
    columns = [str(name) for name in answer.columns]
    if not columns:
        return ShownFrame(answer, empty="done; the statement gives no rows")
    money = tuple(name for name in columns if any(isinstance(value, Decimal) for value in answer[name].head(1000)))
    return ShownFrame(
        answer,
        caption=f"{count:,} row{'' if count == 1 else 's'}" if count else "",
        empty=f"no rows; the columns are {', '.join(columns)}",
        column=dict.fromkeys(columns, _cell),
        right=money,
    )


def _cell(value: Any) -> object:
    from ..display.text import one_line
    from .shown import shown_value

    seen = shown_value(value)
    if isinstance(seen, Decimal) and seen.is_finite():
        return f"{seen.normalize():f}"  # every digit, and never an exponent
    return seen if seen is None or isinstance(seen, bool | int | float) else one_line(seen, _LONGEST_CELL)
