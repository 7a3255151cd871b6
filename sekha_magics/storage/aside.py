"""A damaged file makes room for a new one and stays, under another name: somebody may still save what is in it."""

from __future__ import annotations

from pathlib import Path

__all__ = ["set_aside"]


def set_aside(path: Path) -> Path:
    """Give `path` and what its database keeps beside it another name, and say which. Raises `OSError`."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("-wal", "-shm"):
        beside = path.with_name(path.name + suffix)
        if beside.exists():
            beside.rename(aside.with_name(aside.name + suffix))
    return path.rename(aside)
