"""The ledger's tables and views as a user may name them: columns and DuckDB's types, without opening a ledger."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from .store import TABLES
from .views import VIEWS

__all__ = ["columns"]


@cache
def columns() -> Mapping[str, Mapping[str, str]]:
    """Types by column by table, tables first, each in the order of the SQL that makes it."""
    import duckdb

    known: dict[str, dict[str, str]] = {name: {} for name in (*TABLES.keys, *VIEWS)}
    with duckdb.connect(":memory:") as connection:
        connection.execute(TABLES.schema)
        connection.execute(TABLES.views)
        found = connection.execute(
            "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal ORDER BY column_index"
        ).fetchall()
    for table, column, kind in found:
        if table in known:
            known[table][column] = kind
    return known
