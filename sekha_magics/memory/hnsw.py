"""An HNSW graph over a matrix, by DuckDB's `vss` extension, and never in the way: until it is ready search is exact.

What crashes or lies in the extension is not done. The index is in the memory of a private database and of nobody else;
one lock stands around every use of it, since inserting beside a search crashes; it only grows, since deleting from it
makes it return too few; after deletions it is dropped and built again; no filter is given to it.
"""

from __future__ import annotations

import importlib.util
import threading
import warnings
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from .matrix import Nearest, Rows

__all__ = ["Graph", "extension"]

_PART = 256
"""Rows that are added at once: a search waits for them, and the end of a kernel too."""

_LEAST_SHARE = 0.5
"""Of rows that a filter admits. With less, exact search is faster than asking for as many more."""

_TAIL = 4096
"""Rows not in the graph yet that are searched exactly beside it."""


@cache
def extension() -> Path | None:
    """The file of the extension that fits this DuckDB, or None, which is said once."""
    import duckdb

    spec = importlib.util.find_spec("duckdb_extension_vss")
    for folder in (spec and spec.submodule_search_locations) or ():
        path = Path(folder) / "extensions" / f"v{duckdb.__version__}" / "vss.duckdb_extension"
        if path.is_file():
            return path
    warnings.warn(
        f"memory.index is hnsw, and there is no vss extension for DuckDB {duckdb.__version__}: search is exact."
        " To install it: pip install 'sekha-magics[vss]'",
        stacklevel=2,
    )
    return None


class Graph:
    """The graph over one matrix, built by a thread of its own from `least` vectors on."""

    def __init__(self, dimension: int, least: int) -> None:
        self._dimension, self._least = dimension, least
        # Around every use of the database, and of what says what is in it.
        self._lock = threading.Lock()
        self._database: Any = None
        self._generation, self._dead, self._built = -1, 0, 0
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None
        self._ending = False
        self._failure = ""

    def state(self, count: int) -> str:
        if extension() is None:
            return "searched exactly: the vss extension is not installed"
        if self._failure:
            return f"searched exactly: {self._failure}"
        if count < self._least:
            return f"searched exactly: hnsw begins at {self._least} vectors"
        if self._thread is not None and self._thread.is_alive():
            return f"hnsw, being built: {self._built} of {count}"
        return "hnsw" if self._database is not None else "searched exactly until the first search has begun an hnsw"

    def nearest(
        self, rows: Rows, query: np.ndarray[Any, Any], k: int, allowed: np.ndarray[Any, Any] | None
    ) -> Nearest | None:
        """The `k` nearest of the allowed rows; None where exact search must answer."""
        import numpy as np

        count = len(rows.seqs)
        if count < self._least or self._failure or extension() is None:
            return None
        permitted = count if allowed is None else int(np.count_nonzero(allowed))
        behind = self._behind(rows)
        if behind:
            self._build(rows)
        if permitted < _LEAST_SHARE * count or behind > _TAIL:
            return None
        wanted = k if permitted == count else int(1.3 * k * count / permitted) + 10
        found = self._ask(rows, query, min(wanted, count))
        if found is None:
            return None
        near, built = found
        tail = np.arange(built, count)
        if allowed is not None:
            near, tail = near[allowed[near]], tail[allowed[tail]]
        if len(near) + len(tail) < min(k, permitted):
            return None
        return rows.ranked(np.concatenate([near, tail]), query, k)

    def build_now(self, rows: Rows) -> None:
        """Build it, and wait for it."""
        while len(rows.seqs) >= self._least and extension() is not None and self._behind(rows):
            self._build(rows)
            thread = self._thread
            if thread is None or self._failure:
                return
            thread.join()

    def close(self) -> None:
        """Drop the graph, and wait for the thread's last part: what comes back into an ended interpreter crashes it."""
        with self._starting:
            self._ending = True
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        with self._lock:
            self._drop()

    def _behind(self, rows: Rows) -> int:
        """How many rows the graph lacks; all of them, when it was built of others.

        None for rows read before those it was built of, by another thread: it is not built anew for them.
        """
        count = len(rows.seqs)
        with self._lock:
            if self._database is None or rows.generation > self._generation:
                return count
            if rows.generation < self._generation or count < self._built:
                return 0
            buried = _dead(rows, self._built) - self._dead
            return count if buried > 0 else count - self._built if buried == 0 else 0

    def _is_of(self, rows: Rows) -> bool:
        """Rows never come to life again: the same number of dead ones is the same ones."""
        if self._database is None or self._generation != rows.generation or self._built > len(rows.seqs):
            return False
        return self._dead == _dead(rows, self._built)

    def _ask(self, rows: Rows, query: np.ndarray[Any, Any], wanted: int) -> tuple[np.ndarray[Any, Any], int] | None:
        """The places of the nearest, and how many rows were looked at. None unless there are as many as asked for."""
        import numpy as np

        # The form the index is used for; through a view, with a filter or another expression it would not be.
        distance = f"array_cosine_distance(vector, ?::FLOAT[{self._dimension}])"
        asked = f"SELECT place FROM graph ORDER BY {distance} LIMIT {wanted}"
        with self._lock:
            if not self._is_of(rows):
                return None
            built, dead = self._built, self._dead
            self._database.execute(f"SET hnsw_ef_search = {max(64, 2 * wanted)}")
            found = self._database.execute(asked, [query.tolist()]).fetchall()
        if len(found) < min(wanted, built - dead):
            return None
        return np.array([place for (place,) in found], np.int64), built

    # --- building ---

    def _build(self, rows: Rows) -> None:
        with self._starting:
            if self._ending or (self._thread is not None and self._thread.is_alive()):
                return
            self._thread = threading.Thread(target=self._grow, args=(rows,), name="sekha-hnsw", daemon=True)
            self._thread.start()

    def _grow(self, rows: Rows) -> None:
        import duckdb

        try:
            self._add(rows)
        except (duckdb.Error, MemoryError) as error:
            # Too little memory, most likely. Nobody waits here who could be told, and exact search goes on.
            with self._lock:
                self._failure = f"the graph could not be built: {error}"
                self._drop()

    def _add(self, rows: Rows) -> None:
        import numpy as np

        with self._lock:
            if not self._is_of(rows):
                self._drop()
                self._database = _database(self._dimension)
                self._generation = rows.generation
        count = len(rows.seqs)
        while self._built < count and not self._ending:
            places = np.arange(self._built, min(self._built + _PART, count))
            alive = places if rows.alive is None else places[rows.alive[places]]
            with self._lock:
                self._insert(alive, rows.vectors[alive])
                self._built += len(places)
                self._dead += len(places) - len(alive)

    def _insert(self, places: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> None:
        import pyarrow as pa

        flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), self._dimension)
        self._database.register("part", pa.table([places, flat], ["place", "vector"]))
        self._database.execute("INSERT INTO graph SELECT * FROM part")
        self._database.unregister("part")

    def _drop(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database, self._built, self._dead = None, 0, 0


def _dead(rows: Rows, count: int) -> int:
    import numpy as np

    return 0 if rows.alive is None else count - int(np.count_nonzero(rows.alive[:count]))


def _database(dimension: int) -> Any:
    import duckdb

    database = duckdb.connect(":memory:", config={"python_enable_replacements": False})
    path = str(extension()).replace("'", "''")
    database.execute(f"LOAD '{path}'")
    database.execute(f"CREATE TABLE graph (place BIGINT, vector FLOAT[{dimension}])")
    database.execute("CREATE INDEX nearest ON graph USING HNSW (vector) WITH (metric = 'cosine')")
    return database
