"""Which table a vector belongs into: one for each dimension and model, since vectors of two are never compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import MemoryStoreError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["VectorTable", "check_vectors", "table_name"]

_LONGEST_SLUG = 60


class VectorTable(NamedTuple):
    """`name` is that of the table, and of its DuckDB file."""

    id: int
    dimension: int
    model: str
    name: str


def table_name(dimension: int, model: str, taken: Container[str]) -> str:
    """`embeddings_768_nomic_embed_text`; a hash ends it where the model's slug is taken, shortened or empty."""
    slug = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")
    name = f"embeddings_{dimension}_{slug}"
    if slug and len(slug) <= _LONGEST_SLUG and name not in taken:
        return name
    mark = hashlib.sha256(model.encode()).hexdigest()[:8]
    return "_".join(["embeddings", str(dimension), *([slug[:_LONGEST_SLUG]] if slug else []), mark])


def check_vectors(table: VectorTable, vectors: Any, count: int) -> np.ndarray[Any, Any]:
    """`vectors` as float32 of shape [count, dimension]. Raises `MemoryStoreError` for what cannot be compared."""
    import numpy as np

    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.shape != (count, table.dimension):
        raise MemoryStoreError(
            f"Vectors of shape {list(array.shape)} do not fit the table {table.name}, which takes"
            f" {count} vectors of dimension {table.dimension}.",
            hint=f"Set `dimension` of {table.model} to what it gives: each dimension has a table of its own.",
        )
    lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
    if not np.isfinite(array).all():
        raise MemoryStoreError(f"A vector for {table.name} holds NaN or an infinite number.")
    if not (lengths > 0).all():
        raise MemoryStoreError(
            f"A vector for {table.name} is zero throughout and has no direction.",
            hint=f"{table.model} knows no word of that text.",
        )
    return array
