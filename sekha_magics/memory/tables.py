"""A user's query over the memory: its tables and vectors in a private connection to DuckDB, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import MemoryStoreError
from ..ledger.sandbox import answer
from .archive import Archive
from .vectors import Vectors

if TYPE_CHECKING:
    import pandas as pd

    from .vector_tables import VectorTable

__all__ = ["TABLES", "query"]

TABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "conversations": (
        "SELECT name AS conversation, conversation_id, label, folder, importance, pinned, archived, notebook,"
        " created_at, updated_at FROM conversations ORDER BY seq",
        {"importance": "TINYINT", "pinned": "BOOLEAN", "archived": "BOOLEAN", "created_at": "TIMESTAMPTZ",
         "updated_at": "TIMESTAMPTZ"},
    ),
    "messages": (
        "SELECT message_id, conversation, role, content, sha256, ts, importance, label, folder, pinned, archived,"
        " notebook FROM remembered ORDER BY seq",
        {"ts": "TIMESTAMPTZ", "importance": "TINYINT", "pinned": "BOOLEAN", "archived": "BOOLEAN"},
    ),
    "summaries": (
        "SELECT s.summary_id, c.name AS conversation, s.level, s.starts_at, s.ends_at, s.content, s.sources,"
        " s.provider_id, s.model_id, s.decision_id, s.created_at FROM summaries AS s"
        " JOIN conversations AS c ON c.seq = s.conversation ORDER BY s.created_at",
        {"starts_at": "TIMESTAMPTZ", "ends_at": "TIMESTAMPTZ", "created_at": "TIMESTAMPTZ"},
    ),
}  # fmt: skip
"""How each table is read, and the types of the columns that are no text."""


def query(archive: Archive, vectors: Vectors, text: str, frames: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of the last statement of `text`. Raises `MemoryStoreError` when DuckDB refuses it."""
    import duckdb

    spoken_of = text.casefold()
    found = vectors.tables()
    names = [*TABLES, *(table.name for table in found), *(f"embeddings_{table.dimension}" for table in found)]
    with duckdb.connect(":memory:", config={"python_enable_replacements": False}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET temp_directory = ''")
        # Only what is spoken of: a large memory takes seconds to read as a whole.
        for name, (select, types) in TABLES.items():
            if name in spoken_of:
                _copy(connection, archive, name, select, types)
        if "embeddings_" in spoken_of:
            for table in found:
                _view(connection, vectors, table)
            for dimension in sorted({table.dimension for table in found}):
                parts = [f"SELECT * FROM {table.name}" for table in found if table.dimension == dimension]
                connection.execute(f"CREATE VIEW embeddings_{dimension} AS {' UNION ALL '.join(parts)}")
        sees = f"It sees {', '.join(names)} and your DataFrames."
        return answer(connection, text, frames, {}, set(names), MemoryStoreError, sees)


def _copy(connection: Any, archive: Archive, name: str, select: str, types: Mapping[str, str]) -> None:
    columns, rows = archive.columns(select)
    _register(connection, "read", columns, rows)
    casts = ", ".join(f"CAST({c} AS {types.get(c, 'VARCHAR')}) AS {c}" for c in columns)
    connection.execute(f"CREATE TABLE {name} AS SELECT {casts} FROM read")
    connection.unregister("read")


def _register(connection: Any, name: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    import pyarrow as pa

    def texts(i: int) -> Any:
        return pa.array([None if row[i] is None else str(row[i]) for row in rows], pa.string())

    connection.register(name, pa.table([texts(i) for i in range(len(columns))], list(columns)))


def _view(connection: Any, vectors: Vectors, table: VectorTable) -> None:
    """The vectors of one table that count: message_id, model, vector."""
    import pyarrow as pa

    # SQLite first: what a fold moves in the meantime is met twice, and shown once.
    pending = vectors.pending(table)
    ids, hashes = vectors.live(table)
    number, dimension = table.id, table.dimension
    flat = pa.FixedSizeListArray.from_arrays(pa.array(pending.vectors.ravel()), dimension)
    columns = [pending.ids, pending.hashes, pa.array(pending.message_ids, pa.string()), flat]
    connection.register(f"pending_{number}", pa.table(columns, ["id", "content_hash", "message_id", "vector"]))
    connection.register(f"live_{number}", pa.table([ids, hashes], ["id", "content_hash"]))
    file = vectors.file(table)
    there = file.path.exists() and file.attach(connection, f"file_{number}")
    rows = f"SELECT id, content_hash, message_id, vector::FLOAT[{dimension}] AS vector FROM pending_{number} AS p"
    if there:
        inner = f"file_{number}.{table.name}"
        rows += (
            f" WHERE NOT EXISTS (SELECT 1 FROM {inner} AS f WHERE f.id = p.id)"
            f" UNION ALL SELECT id, content_hash, message_id, vector FROM {inner}"
        )
    model = table.model.replace("'", "''")
    connection.execute(
        f"CREATE VIEW {table.name} AS SELECT r.message_id, '{model}' AS model, r.vector FROM ({rows}) AS r"
        f" SEMI JOIN live_{number} AS l ON l.id = r.id AND l.content_hash = r.content_hash"
    )
