"""The matrices of all tables, and which way of searching serves a query."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from ..storage.forks import renew_in_child
from .matrix import Matrix
from .vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

    from .matrix import Nearest, Rows
    from .scopes import Seen
    from .vector_tables import VectorTable

__all__ = ["Matrices"]


class Matrices:
    """One matrix for each table of `vectors`, read when it is first searched."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._of: dict[VectorTable, Matrix] = {}

    def tables(self) -> list[VectorTable]:
        return self._vectors.tables()

    def refresh(self, table: VectorTable, seen: Seen) -> Rows:
        with self._lock:
            matrix = self._of.setdefault(table, Matrix(self._vectors, table))
        return matrix.refresh(seen.deletions, seen.newest_vector)

    def nearest(
        self, table: VectorTable, rows: Rows, query: np.ndarray[Any, Any], k: int, scope: np.ndarray[Any, Any] | None
    ) -> Nearest:
        """The `k` nearest rows that `scope` allows. `query` is of length 1."""
        return rows.nearest(query, k, rows.allowed(scope))

    def nbytes(self, table: VectorTable) -> int:
        """What is kept in memory of a table."""
        with self._lock:
            matrix = self._of.get(table)
        return 0 if matrix is None else matrix.nbytes

    def state(self, table: VectorTable) -> str:
        """How it is searched, for people."""
        return "searched exactly"

    def forget(self) -> None:
        """Let go of the memory; the next search reads anew."""
        with self._lock:
            self._of.clear()
