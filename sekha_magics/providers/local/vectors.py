"""Embeddings without a network: token vectors from a table, averaged. Unit length, 256 dimensions, float32.

A text without tokens (the empty one) is the zero vector, which is like nothing. Equal texts get equal vectors, whatever
they are embedded together with, up to float32 rounding.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

__all__ = ["DIMENSION", "embed"]

DIMENSION = 256
# A batch is padded to its longest text, so one long text among short ones would cost gigabytes.
_BATCH_TEXTS, _BATCH_CHARACTERS = 64, 1 << 16

_loading = threading.Lock()


def embed(texts: Sequence[str]) -> tuple[np.ndarray[Any, Any], int]:
    """Vectors [len(texts), 256] in the order of the texts, and the number of tokens. Loads the table at first use."""
    import numpy as np

    with _loading:
        model = _model()
    vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
    tokens = 0
    for batch in _batches(texts):
        chosen = [texts[i] for i in batch]
        tokens += sum(sum(encoding.attention_mask) for encoding in model.tokenize(chosen))
        vectors[batch] = model.embed(chosen)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 0), tokens


def _batches(texts: Sequence[str]) -> Iterator[list[int]]:
    batch: list[int] = []
    for i in sorted(range(len(texts)), key=lambda i: len(texts[i])):
        if batch and (len(batch) == _BATCH_TEXTS or (len(batch) + 1) * len(texts[i]) > _BATCH_CHARACTERS):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


@cache
def _model() -> Any:
    # The package configures the root logger when imported, which would print other packages' debris in notebooks;
    # a logger that has a handler is left alone.
    root, guard = logging.getLogger(), logging.NullHandler()
    root.addHandler(guard)
    try:
        import wordllama
    finally:
        root.removeHandler(guard)
    # Its weights are in the wheel, and so is its tokenizer, which it does not find by itself.
    return wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
