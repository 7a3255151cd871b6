"""Arithmetic over lines of a bill: each decision once, sums that say what they leave out, groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from ..core.pricing import EXACT
from ..display.money import format_sum
from .lines import Line, answers_without_metadata, lines_of
from .reading import Notebook

if TYPE_CHECKING:
    from ..ledger.store import Ledger

__all__ = ["GROUPS", "Bill", "Sum", "grouped", "reckon", "summed"]

GROUPS: Mapping[str, Callable[[Line], str]] = {
    "notebook": lambda line: line.notebook,
    "model": lambda line: " at ".join(name for name in (line.model_id, line.provider_id) if name),
    "provider": lambda line: line.provider_id or "",
    "task": lambda line: line.task or "",
    "day": lambda line: "" if line.ts is None else f"{line.ts:%Y-%m-%d}",
}


@dataclass(frozen=True, slots=True)
class Bill:
    """`lines` hold every decision once; `copies` says how often one was met again, `bare` how many answers have no
    metadata any more. `ledger` says whether one was asked for what left no output."""

    notebooks: tuple[str, ...]
    lines: tuple[Line, ...]
    copies: int = 0
    bare: int = 0
    ledger: bool = False

    @property
    def damaged(self) -> int:
        return sum(line.damaged for line in self.lines)


class Sum(NamedTuple):
    """`str()` of it is `$0.0123 + 2 unpriced calls`. `replayed_usd` was spent at another time, and is not in `usd`."""

    calls: int
    input_tokens: int
    output_tokens: int
    usd: Decimal
    unpriced: int
    replayed: int
    replayed_usd: Decimal

    def __str__(self) -> str:
        return format_sum(self.usd, self.unpriced)


def reckon(notebooks: Sequence[Notebook], ledger: Ledger | None = None) -> Bill:
    """The bill of all of them together. With a `ledger`, what it knows of them beyond their outputs is added."""
    lines, copies, bare = [], 0, 0
    seen: set[str] = set()
    for notebook in notebooks:
        own = list(lines_of(notebook))
        bare += answers_without_metadata(notebook)
        for line in own:
            copies += line.decision_id in seen
            if line.decision_id not in seen:
                lines.append(line)
            if line.decision_id is not None:
                seen.add(line.decision_id)
        if ledger is not None:
            from .logged import lines_without_output

            added = [a for a in lines_without_output(ledger, notebook, own) if a.decision_id not in seen]
            seen.update(a.decision_id for a in added if a.decision_id is not None)
            lines += added
    return Bill(tuple(n.name for n in notebooks), tuple(lines), copies, bare, ledger is not None)


def summed(lines: Iterable[Line]) -> Sum:
    every = list(lines)
    live = [line for line in every if not line.replayed]
    return Sum(
        calls=len(every),
        input_tokens=sum(line.input_tokens or 0 for line in every),
        output_tokens=sum(line.output_tokens or 0 for line in every),
        usd=_total(live),
        unpriced=sum(line.unpriced for line in live),
        replayed=len(every) - len(live),
        replayed_usd=_total([line for line in every if line.replayed]),
    )


def grouped(lines: Iterable[Line], by: str) -> list[tuple[str, Sum]]:
    """A sum for each group: days in order, everything else by what was spent, the dearest first."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(GROUPS[by](line), []).append(line)
    sums = [(name, summed(members)) for name, members in groups.items()]
    return sorted(sums, key=lambda s: s[0]) if by == "day" else sorted(sums, key=lambda s: (-s[1].usd, -s[1].calls))


def _total(lines: Sequence[Line]) -> Decimal:
    usd = Decimal(0)
    for line in lines:
        usd = EXACT.add(usd, line.usd)
    return usd
