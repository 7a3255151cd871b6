"""How a file gets from the form an earlier version gave it to today's: SQL files in order, and a table of their names.

A file that names a step unknown here was made by a newer version. Steps add, so that older versions go on reading and
writing beside newer ones; one that they could not live with says so in its name (`004_amounts.breaking.sql`), and a
version that does not know it leaves the file as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["APPLIED", "Migration", "Standing", "migrations", "record", "standing"]

APPLIED = "sekha_applied"
_BREAKING = ".breaking"


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    sql: str

    @property
    def breaking(self) -> bool:
        return self.name.endswith(_BREAKING)


@dataclass(frozen=True, slots=True)
class Standing:
    """`missing` must be applied yet; `unknown` were applied by a newer version."""

    missing: tuple[Migration, ...]
    unknown: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether this version must not write to the file."""
        return any(name.endswith(_BREAKING) for name in self.unknown)


def migrations(folder: Path) -> tuple[Migration, ...]:
    """The steps in `folder`, in the order of their names."""
    return tuple(Migration(path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.sql")))


def standing(steps: Iterable[Migration], applied: Iterable[str]) -> Standing:
    """What the names found in a file mean for this version. One without names is of before there were any."""
    names = set(applied)
    known = tuple(steps)
    return Standing(
        tuple(step for step in known if step.name not in names), tuple(sorted(names - {step.name for step in known}))
    )


def record(steps: Iterable[Migration], execute: Any) -> None:
    """Write the names of `steps`, by a connection's `execute`. They are file names of ours."""
    for step in steps:
        execute(f"INSERT INTO {APPLIED} VALUES ('{step.name}')")
