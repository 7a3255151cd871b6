"""A user's query over the ledger: it reads the ledger and the frames it was given, and reaches nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError, SekhaError
from .frames import to_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["answer"]


_LEDGER = "It sees decisions, candidates, calls, ratings, snapshots, costs, provider_stats and your DataFrames."


def answer(
    connection: Any,
    query: str,
    frames: Mapping[str, pd.DataFrame],
    refusal: type[SekhaError] = LedgerError,
    sees: str = _LEDGER,
) -> pd.DataFrame:
    """The rows of the last statement of `query`; no rows and no columns for a statement that gives none.

    `connection` is of no use for anything else afterwards. Raises `refusal` when DuckDB refuses the query; `sees` says
    what it can see.
    """
    import duckdb
    import pandas as pd

    spoken_of = query.casefold()
    try:
        for name, frame in frames.items():
            # A frame that is not asked for may hold anything, also what DuckDB cannot take.
            if name.casefold() in spoken_of:
                connection.register(name, frame)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        relation = connection.sql(query)
        return pd.DataFrame() if relation is None else to_frame(relation)
    except duckdb.Error as error:
        raise refusal(f"DuckDB refuses the query: {error}", hint=sees) from error
