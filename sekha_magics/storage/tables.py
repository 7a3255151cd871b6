"""What the tables of a room look like, and which queued rows this version understands.

The columns are written once, in the room's SQL. A row of a newer version, with a table or column unknown here, is left
in the queue for a version that knows it: nothing is folded in part.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .migrations import Migration
from .queue import QueuedRow

__all__ = ["Gathered", "Tables", "quoted"]


def quoted(name: str) -> str:
    """`name` as an identifier in SQL."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Tables:
    """`steps` make the tables, or make them of those of an earlier version; `views` are made or replaced over them.

    `keys` names for each table the columns that make a row unique: of two rows with one key the first stays.
    """

    room: str
    steps: tuple[Migration, ...]
    keys: Mapping[str, tuple[str, ...]]
    views: str = ""

    @property
    def schema(self) -> str:
        """All steps: what makes the tables where there are none."""
        return "\n".join(step.sql for step in self.steps)

    @cached_property
    def columns(self) -> Mapping[str, Mapping[str, str]]:
        """Types by column by table, in the order of the schema."""
        import duckdb

        with duckdb.connect(":memory:") as connection:
            connection.execute(self.schema)
            found = connection.execute(
                "SELECT table_name, column_name, data_type FROM duckdb_columns()"
                " WHERE NOT internal ORDER BY table_name, column_index"
            ).fetchall()
        columns: dict[str, dict[str, str]] = {}
        for table, column, kind in found:
            columns.setdefault(table, {})[column] = kind
        return columns

    def gather(self, rows: Iterable[QueuedRow]) -> Gathered:
        """The rows' content by table and column, each key once."""
        gathered = Gathered(self)
        for row in rows:
            gathered.add(row)
        return gathered


class Gathered:
    """Rows on their way into DuckDB. `taken` are those understood, `left` counts the others."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.taken: list[QueuedRow] = []
        self.left = 0
        self._values: dict[str, dict[str, list[Any]]] = {}
        self._seen: dict[str, set[tuple[Any, ...]]] = {}

    def add(self, row: QueuedRow) -> None:
        content = self._understood(row.payload)
        if content is None:
            self.left += 1
            return
        self.taken.append(row)
        for table, columns in content.items():
            self._add_rows(table, columns)

    def load(self, connection: Any, table: str, name: str) -> bool:
        """Make the temporary table `name` of the rows gathered for `table`; False when there are none.

        They go as one JSON text: that needs neither pyarrow nor pandas, whose import takes longer than a fold. A value
        that is not of its column's type becomes NULL, since a row nobody can fold would stop the folding of all.
        """
        values = self._values.get(table)
        if values is None:
            return False
        types = self.tables.columns[table]
        form = {column: ["VARCHAR[]" if types[column].endswith("[]") else "VARCHAR"] for column in values}
        casts = ", ".join(
            f"TRY_CAST({quoted(column)} AS {kind}) AS {quoted(column)}"
            if column in values
            else f"CAST(NULL AS {kind}) AS {quoted(column)}"
            for column, kind in types.items()
        )
        unnested = ", ".join(f"unnest(j.{quoted(column)}) AS {quoted(column)}" for column in values)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS SELECT {casts}"
            f" FROM (SELECT {unnested} FROM (SELECT from_json($1, $2) AS j))",
            [json.dumps(values, ensure_ascii=False).encode(errors="replace").decode(), json.dumps(form)],
        )
        return True

    def _understood(self, payload: str) -> dict[str, Mapping[str, Sequence[Any]]] | None:
        try:
            # Numbers stay as written, and NaN, which is no JSON, becomes missing.
            content = json.loads(payload, parse_float=str, parse_constant=lambda _: None)
        except (ValueError, RecursionError):
            return None
        if not isinstance(content, dict):
            return None
        for table, columns in content.items():
            known = self.tables.columns.get(table)
            if table not in self.tables.keys or known is None or not isinstance(columns, dict):
                return None
            if not columns.keys() <= known.keys() or not columns.keys() >= set(self.tables.keys[table]):
                return None
            values = list(columns.values())
            if not all(isinstance(v, list) and len(v) == len(values[0]) for v in values):
                return None
            if not all(isinstance(v, (str, int)) for key in self.tables.keys[table] for v in columns[key]):
                return None
        return content

    def _add_rows(self, table: str, columns: Mapping[str, Sequence[Any]]) -> None:
        seen = self._seen.setdefault(table, set())
        keys = zip(*(columns[column] for column in self.tables.keys[table]), strict=True)
        fresh = []
        for index, key in enumerate(keys):
            if key not in seen:
                seen.add(key)
                fresh.append(index)
        if not fresh:
            return
        values = self._values.setdefault(table, {})
        before = len(next(iter(values.values()))) if values else 0
        for column, given in columns.items():
            values.setdefault(column, [None] * before).extend(given[index] for index in fresh)
        for column in values.keys() - columns.keys():
            values[column].extend([None] * len(fresh))
