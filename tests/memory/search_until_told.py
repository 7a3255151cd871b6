"""Searches the memory given until its standard input ends. What it found once, it must go on finding."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from tests.memory.models import Models

memory = Models({"m": 64, "n": 64}).memory(Path(sys.argv[1]))
told = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), told.set()), daemon=True).start()
by_words: set[str] = set()
by_meaning = 0
searches = 0
while not told.is_set():
    found = set(memory.search("says", 10_000, "text")["message_id"])
    assert by_words <= found, "a message was found, and is no longer"
    by_words = found
    near = memory.search("says", 10_000, "vector")
    assert near["message_id"].is_unique and len(near) >= by_meaning
    by_meaning = len(near)
    assert set(near.attrs["skipped"]) == set()
    searches += 1
memory.close()
print(searches, len(by_words), by_meaning)
