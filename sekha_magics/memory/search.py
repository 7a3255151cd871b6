"""Finding messages: by meaning in every table of vectors, by words, and both merged by rank.

Distances of two models say nothing about each other, so what the tables find is merged by reciprocal rank fusion
(G. V. Cormack, C. L. A. Clarke, S. Buettcher: Reciprocal Rank Fusion outperforms Condorcet and individual rank learning
methods, SIGIR 2009): a message's score is the sum of 1 / (60 + rank) over the lists whose first ten it is among. What
is among none of these follows by its best rank, so the first hits are the same however many are asked for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import SekhaError
from .archive import Archive
from .embedding import Embedder
from .matrices import Matrices
from .scopes import Scopes, Wanted

if TYPE_CHECKING:
    import numpy as np

    from .matrix import Nearest, Rows
    from .vector_tables import VectorTable

__all__ = ["TEXT", "Found", "Hit", "fuse", "look"]

TEXT = "text"
_K_OF_THE_PAPER = 60
_COUNTED = 10
"""The ranks that are added up. Two low ones would else count more than a first one (2 / (60 + 61) against 1 / 61), and
in a small memory chance alone puts a message low into every list."""

_WORDS = 64
_QUERY_CHARACTERS = 6_000


class Hit(NamedTuple):
    """A message by its number. `ranks` and `cosines` are by source: a table of vectors, or `text`."""

    seq: int
    score: float
    ranks: dict[str, int]
    cosines: dict[str, float]


class Found(NamedTuple):
    """Hits, best first; `skipped` says of models out of reach why."""

    hits: list[Hit]
    skipped: dict[str, str]


def look(
    query: str,
    k: int,
    mode: str,
    wanted: Wanted,
    models: Sequence[str] | None,
    *,
    archive: Archive,
    scopes: Scopes,
    matrices: Matrices,
    embedder: Embedder,
) -> Found:
    """The `k` best messages for `query`, or as many as there are."""
    depth = max(k, _COUNTED)
    lists: dict[str, list[int]] = {}
    cosines: dict[str, dict[int, float]] = {}
    skipped: dict[str, str] = {}
    if mode != TEXT:
        seen = scopes.seen()
        embedded: dict[str, np.ndarray[Any, Any] | None] = {}
        asked: dict[VectorTable, tuple[np.ndarray[Any, Any], Rows]] = {}
        for table in matrices.tables():
            if models is not None and table.model not in models:
                continue
            if table.model not in embedded:
                embedded[table.model] = _embedded(query, table.model, embedder, skipped)
            vector = embedded[table.model]
            if vector is None:
                continue
            if len(vector) == table.dimension:
                asked[table] = (vector, matrices.refresh(table, seen))
            else:
                skipped[table.model] = (
                    f"it gives vectors of dimension {len(vector)}, and {table.name} has {table.dimension}"
                )
        # After the matrices, so that it knows the messages of all their rows.
        scope = scopes.allowed(wanted)
        for table, (vector, rows) in asked.items():
            nearest: Nearest = matrices.nearest(table, rows, vector, depth, scope)
            lists[table.name] = nearest.seqs.tolist()
            cosines[table.name] = dict(zip(lists[table.name], nearest.cosines.tolist(), strict=True))
    if mode != "vector":
        lists[TEXT] = _by_words(query, depth, archive, scopes.allowed(wanted))
    return Found(fuse(lists, cosines)[:k], skipped)


def fuse(lists: dict[str, list[int]], cosines: dict[str, dict[int, float]]) -> list[Hit]:
    """One hit per message, best score first; equal scores by the best rank, then in the order of the messages."""
    ranks: dict[int, dict[str, int]] = {}
    for source, seqs in lists.items():
        for rank, seq in enumerate(seqs, 1):
            ranks.setdefault(seq, {})[source] = rank
    hits = [
        Hit(
            seq,
            sum(1.0 / (_K_OF_THE_PAPER + rank) for rank in _counted(of)),
            of,
            {source: found[seq] for source, found in cosines.items() if seq in found},
        )
        for seq, of in ranks.items()
    ]
    return sorted(hits, key=lambda hit: (-hit.score, min(hit.ranks.values()), hit.seq))


def _counted(ranks: dict[str, int]) -> list[int]:
    best = sorted(ranks.values())
    return [rank for rank in best if rank <= _COUNTED] or best[:1]


def _embedded(query: str, model: str, embedder: Embedder, skipped: dict[str, str]) -> np.ndarray[Any, Any] | None:
    """The query as this model sees it, of length 1; None, with the reason in `skipped`, where that fails."""
    import numpy as np

    try:
        if model not in embedder.served():
            skipped[model] = "it is not configured here"
            return None
        vector = np.asarray(embedder.embed([query[:_QUERY_CHARACTERS]], model).vectors, np.float32)[0]
    except SekhaError as error:
        skipped[model] = error.message
        return None
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0.0:
        skipped[model] = "it gives this query no direction"
        return None
    unit: np.ndarray[Any, Any] = (vector / length).astype(np.float32)
    return unit


def _by_words(query: str, depth: int, archive: Archive, scope: np.ndarray[Any, Any] | None) -> list[int]:
    """Messages that hold any of the query's words, by BM25."""
    # As quoted strings: whatever the query holds is looked for, and nothing of it is syntax.
    words = list(dict.fromkeys(re.findall(r"\w+", query[:_QUERY_CHARACTERS].lower())))[:_WORDS]
    if not words:
        return []
    asked = " OR ".join(f'"{word}"' for word in words)
    found: list[int] = []
    with archive.reading() as connection:
        if connection is None:
            return found
        cursor = connection.execute(
            "SELECT rowid FROM messages_text WHERE messages_text MATCH ? ORDER BY rank, rowid", (asked,)
        )
        for (seq,) in cursor:
            if scope is None or (seq < len(scope) and scope[seq]):
                found.append(seq)
                if len(found) == depth:
                    break
        cursor.close()
    return found
