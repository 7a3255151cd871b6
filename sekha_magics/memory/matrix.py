"""The vectors of one table in memory, and exact search over them: one matrix product, then the best of it.

Takes 4 bytes for each number of each vector, and twice that for a moment when it outgrows its room. Rows are scaled to
length 1 when they are read, so that a product is a cosine. New vectors are appended; deleted ones are passed over, and
left out when they have become many.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from .vector_file import Block
from .vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

    from .vector_tables import VectorTable

__all__ = ["Matrix", "Nearest", "Rows"]

_GATHER_BELOW = 0.1
"""With a smaller share of the rows it is faster to copy them together than to multiply all of them."""

_DOUBT = 2e-6
"""By how much two products of the same vectors can differ with their places in the matrix; float32 ends at 1e-7."""

_AT_ONCE = 4096


class Nearest(NamedTuple):
    """The messages nearest to a query, best first, and their cosines. Of equal ones the older message is first."""

    seqs: np.ndarray[Any, Any]
    cosines: np.ndarray[Any, Any]


class Rows(NamedTuple):
    """The matrix as it is at a moment: it stays valid while others are appended. `alive` None: all of them."""

    vectors: np.ndarray[Any, Any]
    seqs: np.ndarray[Any, Any]
    alive: np.ndarray[Any, Any] | None
    generation: int

    def allowed(self, scope: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any] | None:
        """Which rows may be found, or None for all. `scope` says for each message whether it may be."""
        if scope is None:
            return self.alive
        within: np.ndarray[Any, Any] = scope[self.seqs]
        return within if self.alive is None else within & self.alive

    def nearest(self, query: np.ndarray[Any, Any], k: int, allowed: np.ndarray[Any, Any] | None) -> Nearest:
        """The `k` nearest of the allowed rows, or as many as there are. `query` is of length 1."""
        import numpy as np

        chosen: np.ndarray[Any, Any] | None = None
        if allowed is not None:
            count = int(np.count_nonzero(allowed))
            if count < _GATHER_BELOW * len(allowed):
                chosen = np.flatnonzero(allowed)
        if chosen is not None:
            products = self.vectors[chosen] @ query
        else:
            products = self.vectors @ query
            if allowed is not None:
                products[~allowed] = -np.inf
                k = min(k, count)
        k = min(k, len(products))
        if k == 0:
            return self.ranked(np.empty(0, np.int64), query, 0)
        least = np.partition(products, len(products) - k)[len(products) - k]
        close = np.flatnonzero(products >= least - _DOUBT)
        return self.ranked(close if chosen is None else chosen[close], query, k)

    def ranked(self, rows: np.ndarray[Any, Any], query: np.ndarray[Any, Any], k: int) -> Nearest:
        """The best `k` of `rows`, by products that do not depend on a vector's place in the matrix."""
        import numpy as np

        wide = query.astype(np.float64)
        parts = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
        products = [(self.vectors[part].astype(np.float64) * wide).sum(axis=1) for part in parts]
        cosines = np.concatenate(products) if products else np.empty(0)
        seqs = self.seqs[rows]
        order = np.lexsort((seqs, -cosines))[:k]
        return Nearest(seqs[order], cosines[order])


class Matrix:
    """The vectors of `table`, as new as the last `refresh`. Any thread may use it."""

    def __init__(self, vectors: Vectors, table: VectorTable) -> None:
        self.table = table
        self._vectors = vectors
        # Protects what follows; a search works with the `Rows` it was given, and needs no lock.
        self._lock = threading.Lock()
        self._clear()
        self._generation = 0

    def _clear(self) -> None:
        import numpy as np

        self._count = 0
        self._data = np.empty((0, self.table.dimension), np.float32)
        self._seqs, self._ids, self._hashes = (np.empty(0, np.int64) for _ in range(3))
        self._alive: np.ndarray[Any, Any] | None = None
        self._last_pending = 0
        self._file: tuple[int, int, int] | None = None
        self._deletions: int | None = None

    @property
    def nbytes(self) -> int:
        """Of memory that is in use."""
        return self._count * (4 * self.table.dimension + 3 * 8)

    def refresh(self, deletions: int, newest: int) -> Rows:
        """Read what has come since. `deletions` counts vectors taken away, `newest` is the last vector's id."""
        with self._lock:
            if newest < self._last_pending:
                # Another memory stands at this place: ids have begun anew.
                self._clear()
                self._generation += 1
            # SQLite first: what a fold moves in the meantime is then met twice, never not at all.
            if newest > self._last_pending:
                block = self._vectors.pending(self.table, self._last_pending, newest)
                self._append(self._unknown(block))
                self._last_pending = newest
            file = self._vectors.file(self.table)
            identity = file.identity
            if identity != self._file:
                self._read_file(file)
                self._file = identity
                self._deletions = None
            if deletions != self._deletions:
                self._bury()
                self._deletions = deletions
            count = self._count
            return Rows(self._data[:count], self._seqs[:count], self._alive, self._generation)

    def _read_file(self, file: Any) -> None:
        import numpy as np

        ids, _ = file.keys()
        new = np.setdiff1d(ids, self._ids[: self._count])
        if not len(new):
            return
        self._reserve(self._count + len(new))
        for block in file.blocks(None if len(new) == len(ids) else new):
            self._append(block)

    def _unknown(self, block: Block) -> Block:
        """Without what a file brought already, whose fold had not yet told SQLite."""
        import numpy as np

        mine = self._ids[: self._count]
        if not len(block) or not len(mine) or block.ids[0] > mine.max():
            return block
        new = ~np.isin(block.ids, mine)
        return Block(block.ids[new], block.seqs[new], block.hashes[new], block.vectors[new], [])

    def _append(self, block: Block) -> None:
        import numpy as np

        fresh = len(block)
        if not fresh:
            return
        start, end = self._count, self._count + fresh
        self._reserve(end)
        rows = self._data[start:end]
        lengths = np.sqrt(np.einsum("ij,ij->i", block.vectors, block.vectors, dtype=np.float64))
        np.divide(block.vectors, lengths[:, None], out=rows, casting="same_kind")
        self._seqs[start:end], self._ids[start:end], self._hashes[start:end] = block.seqs, block.ids, block.hashes
        if self._alive is not None:
            self._alive = np.concatenate([self._alive, np.ones(fresh, bool)])
        self._count = end

    def _reserve(self, rows: int) -> None:
        """Room for `rows`. What was handed out before stays as it is."""
        import numpy as np

        if rows <= len(self._data):
            return
        # The spare part is not touched, and so takes no memory, before vectors come.
        room = rows + rows // 4
        data = np.empty((room, self.table.dimension), np.float32)
        data[: self._count] = self._data[: self._count]
        self._data = data
        for name in ("_seqs", "_ids", "_hashes"):
            longer = np.empty(room, np.int64)
            longer[: self._count] = getattr(self, name)[: self._count]
            setattr(self, name, longer)

    def _bury(self) -> None:
        """Pass over what counts no more; with a quarter of it gone, begin anew with the rest."""
        import numpy as np

        ids, hashes = self._vectors.live(self.table)
        mine = self._ids[: self._count]
        if len(ids):
            at = np.searchsorted(ids, mine).clip(max=len(ids) - 1)
            alive = (ids[at] == mine) & (hashes[at] == self._hashes[: self._count])
        else:
            alive = np.zeros(len(mine), bool)
        living = int(np.count_nonzero(alive))
        if living == len(alive):
            self._alive = None
        elif living < 0.75 * len(alive):
            self._data = self._data[: self._count][alive]
            for name in ("_seqs", "_ids", "_hashes"):
                setattr(self, name, getattr(self, name)[: self._count][alive])
            self._count, self._alive = living, None
            self._generation += 1
        else:
            self._alive = alive
