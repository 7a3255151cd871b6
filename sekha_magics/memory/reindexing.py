"""Vectors of another model for what is remembered already: its price first, then batch after batch.

Each batch is kept when it is paid for. What is interrupted, by Ctrl-C or the end of a kernel, goes on where it was
when it is asked for again: nothing is embedded twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from ..core.pricing import total
from ..core.tokens import estimate_text
from ..errors import InvalidInput, MemoryStoreError
from .archive import Archive
from .embedding import CHARACTERS, Embedder, Embedding
from .vectors import Text

__all__ = ["Reindexing", "plan", "reindex"]

_BATCH, _PRICED = 128, 1_000


class Reindexing(NamedTuple):
    """How many messages have no vector of the model yet, about how many tokens they are, and the price in USD (None
    where it is unknown). Afterwards `done` counts those that have one now, and `messages` those that are left."""

    model: str
    messages: int
    tokens: int
    price_usd: Decimal | None
    done: int = 0


def plan(archive: Archive, embedder: Embedder, embedding: Embedding, model: str) -> Reindexing:
    """What it would take. Nothing is sent. Raises `InvalidInput` for a model that nobody serves."""
    _check_served(embedder, model)
    if not archive.rows("SELECT 1 FROM messages LIMIT 1"):
        return Reindexing(model, 0, 0, Decimal(0))
    messages = tokens = 0
    prices: list[Decimal | None] = []
    for batch in _missing(archive, model, embedding.holder, _PRICED):
        texts = [one.content[:CHARACTERS] for one in batch]
        messages += len(texts)
        tokens += sum(estimate_text(text).expected for text in texts)
        prices.append(embedder.price(texts, model) if embedder.price else None)
    usd, unknown = total(prices)
    return Reindexing(model, messages, tokens, None if unknown else usd)


def reindex(archive: Archive, embedder: Embedder, embedding: Embedding, model: str, folder: Path) -> Reindexing:
    """Embed all that has no vector of `model`, in this thread.

    Raises as embedding does, and `MemoryStoreError` while another kernel is at it; what was done until then is kept.
    """
    import filelock

    _check_served(embedder, model)
    done = 0
    if not archive.rows("SELECT 1 FROM messages LIMIT 1"):
        return Reindexing(model, 0, 0, Decimal(0))
    lock = filelock.FileLock(folder / "reindex.lock", mode=0o600, timeout=0)
    try:
        # Ours alone: the thread that embeds what is new must not be given the same texts.
        with lock, embedding.alone():
            for batch in _missing(archive, model, embedding.holder, _BATCH):
                done += embedding.embed_with(model, batch)
    except filelock.Timeout:
        raise MemoryStoreError("Another kernel is reindexing.", hint="Run it again when that one has ended.") from None
    left = plan(archive, embedder, embedding, model)
    return left._replace(done=done)


def _check_served(embedder: Embedder, model: str) -> None:
    served = list(embedder.served())
    if model not in served:
        raise InvalidInput(
            f"There is no embedding model {model!r:.80}.", hint=f"There is {', '.join(served) or 'none configured'}."
        )


def _missing(archive: Archive, model: str, holder: str, size: int) -> Iterator[list[Text]]:
    """Messages without a vector of the model, in batches; without those that wait for another kernel to embed them."""
    after = 0
    while True:
        rows = archive.rows(
            "SELECT m.seq, m.message_id, m.content FROM messages AS m WHERE m.seq > ?"
            " AND NOT EXISTS (SELECT 1 FROM vectors AS v JOIN vector_tables AS t ON t.id = v.table_id"
            " WHERE v.message = m.seq AND t.model = ?)"
            " AND NOT EXISTS (SELECT 1 FROM unembedded AS u WHERE u.message = m.seq AND u.holder <> ?)"
            " ORDER BY m.seq LIMIT ?",
            (after, model, holder, size),
        )
        if not rows:
            return
        after = rows[-1][0]
        yield [Text(*row) for row in rows]
