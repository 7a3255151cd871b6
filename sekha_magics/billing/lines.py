"""From the outputs of a cell to lines of a bill.

Whoever can edit a notebook can write anything into it. A figure that has not the form in which it was written makes
its line damaged: it is counted as unpriced, never as 0, and nothing of it can reach a terminal but plain text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, TypeVar, get_args

from ..core.types import CostSource
from ..display.text import one_line
from .reading import Cell, Notebook

__all__ = ["Line", "answers_without_metadata", "lines_of", "prompt_of"]

MIME_TYPE = "application/vnd.sekha.chat.v1+json"
_SOURCES = get_args(CostSource)
_LONGEST_NAME = 200
_MOST_TOKENS = 10**12
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One answered request. `usd` is what is known of its cost, `unpriced` how many of its calls have no price.

    `cost_source` is where the figure came from when it was made, also of a replayed answer, which spent nothing.
    `origin` says whether the line is read from an output or from the ledger; `damaged`, that its output was tampered
    with.
    """

    notebook: str
    position: int | None
    number: int | None
    cell_id: str | None
    prompt: str
    decision_id: str | None
    ts: datetime | None
    provider_id: str | None
    model_id: str | None
    task: str | None
    conversation: str | None
    input_tokens: int | None
    output_tokens: int | None
    usd: Decimal
    unpriced: int
    cost_source: str | None
    latency_ms: float | None
    replayed: bool = False
    origin: Literal["output", "ledger"] = "output"
    damaged: bool = False

    @property
    def spent(self) -> Decimal:
        """USD; a replayed answer spent none."""
        return Decimal(0) if self.replayed else self.usd

    @property
    def cell(self) -> str:
        """How a reader finds the cell: `[3]` as beside it, or its place among all cells."""
        if self.number is not None:
            return f"[{self.number}]"
        return "" if self.position is None else f"cell {self.position}"


def lines_of(notebook: Notebook) -> Iterator[Line]:
    """A line for each output that an answer left, in order; also for one that is there twice."""
    for cell in notebook.cells:
        for output in cell.outputs:
            facts = _facts(output)
            # A decision that was only shown (a dry run, a route) has no cost and is no call.
            if facts is not None and ("cost_source" in facts or "cost_usd" in facts):
                yield _line(notebook, cell, facts)


def answers_without_metadata(notebook: Notebook) -> int:
    """How many outputs are answers whose metadata a tool has removed, so that nothing is known of their cost."""
    outputs = (output for cell in notebook.cells for output in cell.outputs)
    return sum(MIME_TYPE in _mapping(output.get("data")) and _facts(output) is None for output in outputs)


def prompt_of(source: str) -> str:
    """What a cell asks, on one line: below the options of a chat cell, or else its first words of code."""
    first, _, rest = source.strip().partition("\n")
    return one_line(rest if first.startswith("%%sekha_") and rest.strip() else source, 300)


def _facts(output: Mapping[str, Any]) -> Mapping[str, Any] | None:
    facts = _mapping(output.get("metadata")).get("sekha")
    return facts if isinstance(facts, dict) else None


def _line(notebook: Notebook, cell: Cell, facts: Mapping[str, Any]) -> Line:
    read = _Reader(facts)
    replayed = facts.get("replayed") is True or facts.get("cost_source") == "replayed"
    usd, unpriced = _money(read)
    source = read.get("recorded_cost_source" if "recorded_cost_source" in facts else "cost_source", _cost_source)
    return Line(
        notebook=notebook.name,
        position=cell.position,
        number=cell.number,
        cell_id=None if cell.cell_id is None else one_line(cell.cell_id, _LONGEST_NAME),
        prompt=prompt_of(cell.source),
        decision_id=read.get("decision_id", _name),
        ts=read.get("ts", _moment),
        provider_id=read.get("provider_id", _name),
        model_id=read.get("model_id", _name),
        task=read.get("task", _name),
        conversation=read.get("conversation", _name),
        input_tokens=read.get("input_tokens", _count),
        output_tokens=read.get("output_tokens", _count),
        usd=usd,
        unpriced=unpriced,
        cost_source=None if source == "replayed" else source,
        latency_ms=read.get("latency_ms", _duration),
        replayed=replayed,
        damaged=read.damaged,
    )


def _money(read: _Reader) -> tuple[Decimal, int]:
    """What is known of the cost in USD, and how many calls have no price."""
    if read.facts.get("simulated") is True:
        return Decimal(0), 0
    usd = read.get("cost_usd", _usd)
    if "priced_usd" not in read.facts:
        return (Decimal(0), 1) if usd is None else (usd, 0)
    priced, unpriced = read.get("priced_usd", _usd), read.get("unpriced_calls", _count)
    if priced is None or unpriced is None or (usd is not None and usd != priced):
        read.damaged = True
        return Decimal(0), 1
    return priced, unpriced


class _Reader:
    """Values of one output's metadata by name: each is of its kind, or None; `damaged` says that one was not."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = facts
        self.damaged = False

    def get(self, name: str, kind: Callable[[Any], T]) -> T | None:
        if (value := self.facts.get(name)) is None:
            return None
        try:
            return kind(value)
        except (TypeError, ValueError, ArithmeticError):
            self.damaged = True
            return None


def _name(value: Any) -> str | None:
    if not isinstance(value, str):
        raise TypeError
    return one_line(value, _LONGEST_NAME) or None


def _cost_source(value: Any) -> str:
    if value not in _SOURCES:
        raise ValueError
    return str(value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_TOKENS:
        raise ValueError
    return value


def _duration(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError
    return float(value)


def _usd(value: Any) -> Decimal:
    if not isinstance(value, str) or len(value) > 60:
        raise ValueError
    usd = Decimal(value)
    # An exponent of a billion is a short text, and fills the memory when it is written out.
    if not usd.is_finite() or usd < 0 or not -40 <= usd.adjusted() <= 15:
        raise ValueError
    return usd


def _moment(value: Any) -> datetime:
    moment = datetime.fromisoformat(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
