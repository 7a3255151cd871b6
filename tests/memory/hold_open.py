"""A kernel that has every file open, searches and asks, until its standard input ends."""

from __future__ import annotations

import sys

from .registries import registry, scripted


def main() -> None:
    with registry(scripted()) as reg:
        reg.memory.add("said by the other kernel", conversation="other")
        while True:
            reg.memory.search("anything", 3)
            reg.memory.sql("SELECT count(*) FROM embeddings_64")
            reg.chat("still here", conversation="other")
            reg.ledger.calls(content=True)
            print("once", flush=True)
            if not sys.stdin.readline():
                return


if __name__ == "__main__":
    main()
