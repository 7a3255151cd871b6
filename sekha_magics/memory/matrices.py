"""The matrices of all tables, and which way of searching serves a query."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..storage.forks import renew_in_child
from .hnsw import Graph
from .matrix import Matrix
from .vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

    from .matrix import Nearest, Rows
    from .scopes import Seen
    from .vector_tables import VectorTable

__all__ = ["Matrices"]


class _Kept(NamedTuple):
    matrix: Matrix
    graph: Graph | None


class Matrices:
    """One matrix for each table of `vectors`, read when it is first searched.

    With `hnsw` those of `graph_from` vectors and more are searched by a graph, as soon as it is built.
    """

    def __init__(self, vectors: Vectors, index: Literal["exact", "hnsw"] = "exact", graph_from: int = 20_000) -> None:
        self._vectors, self._index, self._graph_from = vectors, index, graph_from
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Held on to: closing a database of the parent's, a child would wait for threads that did not come along.
        self._of_parent = getattr(self, "_of", None)
        self._lock = threading.Lock()
        self._of: dict[VectorTable, _Kept] = {}

    def tables(self) -> list[VectorTable]:
        return self._vectors.tables()

    def refresh(self, table: VectorTable, seen: Seen) -> Rows:
        """The vectors of `table`, as new as `seen`."""
        return self._kept(table).matrix.refresh(seen.deletions, seen.newest_vector)

    def nearest(
        self, table: VectorTable, rows: Rows, query: np.ndarray[Any, Any], k: int, scope: np.ndarray[Any, Any] | None
    ) -> Nearest:
        """The `k` nearest rows that `scope` allows. `query` is of length 1."""
        allowed = rows.allowed(scope)
        graph = self._kept(table).graph
        near = None if graph is None else graph.nearest(rows, query, k, allowed)
        return rows.nearest(query, k, allowed) if near is None else near

    def build(self, seen: Seen) -> None:
        """Build the graphs now, and wait for them."""
        for table in self.tables():
            graph = self._kept(table).graph
            if graph is not None:
                graph.build_now(self.refresh(table, seen))

    def nbytes(self, table: VectorTable) -> int:
        """What is kept in memory of a table, without its graph."""
        with self._lock:
            kept = self._of.get(table)
        return 0 if kept is None else kept.matrix.nbytes

    def state(self, table: VectorTable, count: int) -> str:
        """How it is searched, for people."""
        if self._index == "exact":
            return "searched exactly"
        graph = self._kept(table).graph
        return "searched exactly" if graph is None else graph.state(count)

    def forget(self) -> None:
        """Let go of the memory; the next search reads anew."""
        with self._lock:
            kept, self._of = self._of, {}
        for one in kept.values():
            if one.graph is not None:
                one.graph.close()

    def _kept(self, table: VectorTable) -> _Kept:
        with self._lock:
            if table not in self._of:
                graph = Graph(table.dimension, self._graph_from) if self._index == "hnsw" else None
                self._of[table] = _Kept(Matrix(self._vectors, table), graph)
            return self._of[table]
