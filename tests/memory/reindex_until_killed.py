"""Reindexes the memory in the folder given, and says each text before it is embedded."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .models import Models, Vectors


@dataclass
class Telling(Models):
    def embed(self, texts: Sequence[str], model: str | None) -> Vectors:
        if model == "new":
            for text in texts:
                print(text, flush=True)
        return super().embed(texts, model)


def main() -> None:
    memory = Telling({"old": 8, "new": 16}).memory(Path(sys.argv[1]))
    memory.reindex("new")
    memory.close()


if __name__ == "__main__":
    main()
