"""Queue and DuckDB file read as one: every row once, and no read goes back behind an earlier one.

The queue is read first and the file second. A row leaves the queue only after the file that holds it is in place, so in
this order it can be met twice, never not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .fold import attach
from .queue import QueuedRow
from .tables import Tables, quoted

__all__ = ["reading"]


@contextmanager
def reading(
    path: Path, rows: Callable[[], Sequence[QueuedRow]], tables: Tables, *, views: bool = True
) -> Iterator[Any]:
    """A private in-memory connection with one view for each table, and the views over them unless nobody asks for any:
    they take as long as the rest.

    Made anew for each read: DuckDB keeps an open path for a whole process, and would go on serving the file that was
    replaced. Raises `LedgerError` when the file is not one of ours.
    """
    import duckdb

    gathered = tables.gather(rows())
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_directory = ''")
        # The last hundred rows of a million: by default all columns of all rows are read for more than fifty.
        connection.execute("SET late_materialization_max_rows = 10000")
        present: set[tuple[str, str]] = set()
        if path.exists():
            attach(connection, path, "folded", tables)
            present = {(table, column) for table in tables.keys for column in _columns(connection, table)}
        for table, key in tables.keys.items():
            queued = f"sekha_queued_{table}"
            parts = []
            if any(name == table for name, _ in present):
                parts.append(_folded(table, tables, present))
            if gathered.load(connection, table, queued):
                parts.append(_queued(queued, table if parts else None, key))
            connection.execute(
                f"CREATE VIEW {quoted(table)} AS " + (" UNION ALL ".join(parts) or _empty(table, tables))
            )
        if tables.views and views:
            connection.execute(tables.views)
        yield connection


def _columns(connection: Any, table: str) -> list[str]:
    """Those it has in the file; none when an older version made the file without it."""
    import duckdb

    # Not from DuckDB's own tables, which list every column of every function it has.
    try:
        return [name for name, *_ in connection.execute(f"FROM folded.main.{quoted(table)} LIMIT 0").description]
    except duckdb.CatalogException:
        return []


def _folded(table: str, tables: Tables, present: set[tuple[str, str]]) -> str:
    # A file folded by an older version lacks a column, one by a newer version has more.
    chosen = ", ".join(
        quoted(column) if (table, column) in present else f"CAST(NULL AS {kind}) AS {quoted(column)}"
        for column, kind in tables.columns[table].items()
    )
    return f"SELECT {chosen} FROM folded.main.{quoted(table)}"


def _queued(queued: str, folded: str | None, key: tuple[str, ...]) -> str:
    everything = f"SELECT * FROM {quoted(queued)} AS q"
    if folded is None:
        return everything
    same = " AND ".join(f"t.{quoted(column)} = q.{quoted(column)}" for column in key)
    return f"{everything} WHERE NOT EXISTS (SELECT 1 FROM folded.main.{quoted(folded)} AS t WHERE {same})"


def _empty(table: str, tables: Tables) -> str:
    chosen = ", ".join(f"CAST(NULL AS {kind}) AS {quoted(column)}" for column, kind in tables.columns[table].items())
    return f"SELECT {chosen} WHERE false"
