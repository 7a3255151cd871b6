"""The memory: what was said is kept for all kernels of a user, and found again by meaning and by words.

A message is committed before the call that adds it returns; its vector follows in the background. Other kernels see
both with their next search.
"""

from __future__ import annotations

from .consulting import Consulting
from .tending import Tending

__all__ = ["Memory"]


class Memory(Consulting, Tending):
    """The memory in `folder`, by default `<data dir>/memory`, shared by any number of kernels.

    `redact` goes over every text before it is stored, `notebook` says where a new conversation comes from, `graph_from`
    is the number of vectors from which on `hnsw` is used; with fewer, exact search is as fast. `asker` is who puts
    questions to models, `elsewhere` are the other places that a forgotten text has to leave, `exclude` folders of which
    nothing is ever quoted. Safe to use from any thread, and after a fork. Every method may raise `MemoryStoreError`
    when the disk refuses.
    """
