"""Embedding models for tests: a text's vector follows from the text, so that every cosine is known beforehand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sekha_magics.errors import BadRequest, ConnectionFailed
from sekha_magics.memory.embedding import Embedder
from sekha_magics.memory.store import Memory


class Vectors(NamedTuple):
    vectors: Any
    model_id: str


@lru_cache(maxsize=5000)
def vector(text: str, model: str, dimension: int) -> np.ndarray[Any, Any]:
    """One of eight clusters, by the text's hash, and a way off its middle."""
    digest = hashlib.sha256(f"{model}:{text}".encode()).digest()
    middle = np.random.default_rng(digest[0] % 8).standard_normal(dimension)
    off = np.random.default_rng(int.from_bytes(digest[1:9], "big")).standard_normal(dimension)
    made = (middle + 0.7 * off).astype(np.float32)
    made.flags.writeable = False
    return made


@dataclass
class Models:
    """`dimensions` by model; the first one answers when none is asked for. Those in `down` cannot be reached."""

    dimensions: dict[str, int]
    down: set[str] = field(default_factory=set)
    strange: dict[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    mixes: bool = True
    lock: Any = field(default_factory=threading.Lock)

    def embed(self, texts: Sequence[str], model: str | None) -> Vectors:
        model = model or next(iter(self.dimensions))
        with self.lock:
            self.asked.append((model, tuple(texts)))
        if model in self.down or model not in self.dimensions:
            raise ConnectionFailed(f"{model} cannot be reached")
        if "refuse me" in texts:
            raise BadRequest("a text that no model takes")
        rows = [self.strange.get(text, vector(text, model, self.dimensions[model])) for text in texts]
        return Vectors(np.array(rows, np.float32), model)

    @property
    def embedder(self) -> Embedder:
        return Embedder(self.embed, lambda: list(self.dimensions), lambda: self.mixes)

    def memory(self, folder: Path, **more: Any) -> Memory:
        return Memory(folder, self.embedder, **more)

    def cosines(self, query: str, texts: Sequence[str], model: str | None = None) -> np.ndarray[Any, Any]:
        """The truth, in float64."""
        model = model or next(iter(self.dimensions))
        dimension = self.dimensions[model]
        rows = np.array([vector(text, model, dimension) for text in texts], np.float64).reshape(-1, dimension)
        asked = vector(query, model, dimension).astype(np.float64)
        return rows @ asked / (np.linalg.norm(rows, axis=1) * np.linalg.norm(asked))
