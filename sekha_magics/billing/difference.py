"""What changed in the bill between two versions of a notebook, or two runs of it: cell by cell.

Cells are the same by their id, else by what stands in them, else by what they ask; in this order, each at most once.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..display.money import exact, format_sum, format_usd
from .lines import Line, prompt_of
from .reading import Cell, Notebook
from .reckoning import reckon, summed
from .telling import cost_of, fitted, line_as_json, sum_as_json

__all__ = ["Change", "Difference", "as_json", "as_text", "difference"]

Kind = Literal["changed", "added", "removed", "same"]
_SIGNS = {"changed": "~", "added": "+", "removed": "-"}


@dataclass(frozen=True, slots=True)
class Change:
    """One cell with its lines then and now; what is the same in both is `same`."""

    kind: Kind
    then: tuple[Line, ...]
    now: tuple[Line, ...]

    @property
    def lines(self) -> tuple[Line, ...]:
        return self.now or self.then


@dataclass(frozen=True, slots=True)
class Difference:
    """`changes` are in the order of the new notebook, removed cells at the end."""

    names: tuple[str, str]
    changes: tuple[Change, ...]

    @property
    def then(self) -> list[Line]:
        return [line for change in self.changes for line in change.then]

    @property
    def now(self) -> list[Line]:
        return [line for change in self.changes for line in change.now]


def difference(then: Notebook, now: Notebook) -> Difference:
    """The cells of both that hold answers, matched."""
    before, after = _cells(then), _cells(now)
    pairs = _matched([cell for cell, _ in before], [cell for cell, _ in after])
    changes = [_change(before[pairs[i]][1] if i in pairs else (), lines) for i, (_, lines) in enumerate(after)]
    gone = set(range(len(before))) - set(pairs.values())
    changes += [_change(before[i][1], ()) for i in sorted(gone)]
    return Difference((then.name, now.name), tuple(c for c in changes if c.then or c.now))


def as_text(found: Difference) -> str:
    """A row for each cell that changed, within a hundred columns: `then → now` where the two differ."""
    rows = [_row(change) for change in found.changes if change.kind != "same"]
    same = sum(change.kind == "same" for change in found.changes)
    then, now = summed(found.then), summed(found.now)
    caption = f"{then} → {now}{_by(now.usd - then.usd)}"
    calls = f"calls {_arrow(then.calls, now.calls)}, tokens in {_arrow(then.input_tokens, now.input_tokens)}"
    notes = [f"{calls}, out {_arrow(then.output_tokens, now.output_tokens)}; {same} unchanged"]
    if then.replayed or now.replayed:
        notes.append("Replayed answers show their recorded cost, and count for nothing in the sums.")
    columns = ("", "cell", "prompt", "model", "tokens in/out", "cost")
    table = fitted(columns, rows, caption, tuple(notes), "nothing changed", least_prompt=12)
    return f"--- {found.names[0]}\n+++ {found.names[1]}\n{table}"


def as_json(found: Difference) -> str:
    then, now = summed(found.then), summed(found.now)
    value = {
        "then": {"notebook": found.names[0], **sum_as_json(then)},
        "now": {"notebook": found.names[1], **sum_as_json(now)},
        "difference_usd": exact(now.usd - then.usd),
        "cells": [
            {
                "kind": change.kind,
                "cell_id": change.lines[0].cell_id,
                "prompt": change.lines[0].prompt,
                "then": [line_as_json(line) for line in change.then],
                "now": [line_as_json(line) for line in change.now],
            }
            for change in found.changes
        ],
    }
    return json.dumps(value, ensure_ascii=False, indent=2)


def _cells(notebook: Notebook) -> list[tuple[Cell, tuple[Line, ...]]]:
    lines = reckon([notebook]).lines
    return [(cell, tuple(line for line in lines if line.position == cell.position)) for cell in notebook.cells]


def _matched(then: Sequence[Cell], now: Sequence[Cell]) -> dict[int, int]:
    """Indexes into `then` by indexes into `now`."""
    keys: tuple[Callable[[Cell], Hashable], ...] = (
        lambda cell: cell.cell_id,
        lambda cell: cell.source.strip() or None,
        lambda cell: prompt_of(cell.source) or None,
    )
    pairs: dict[int, int] = {}
    for key in keys:
        taken = set(pairs.values())
        free: dict[Hashable, list[int]] = {}
        for i, cell in enumerate(then):
            if i not in taken and key(cell) is not None:
                free.setdefault(key(cell), []).append(i)
        for i, cell in enumerate(now):
            if i not in pairs and (candidates := free.get(key(cell))):
                pairs[i] = candidates.pop(0)
    return pairs


def _change(then: tuple[Line, ...], now: tuple[Line, ...]) -> Change:
    kind: Kind = "changed"
    if list(map(_facts, then)) == list(map(_facts, now)):
        kind = "same"
    elif not then or not now:
        kind = "removed" if then else "added"
    return Change(kind, then, now)


def _facts(line: Line) -> tuple[Any, ...]:
    """What makes two lines differ: ids and times do not."""
    return (line.provider_id, line.model_id, line.input_tokens, line.output_tokens, line.usd, line.unpriced,
            line.replayed, line.prompt)  # fmt: skip


def _row(change: Change) -> tuple[object, ...]:
    then, now = change.then, change.now
    return (
        _SIGNS[change.kind],
        change.lines[0].cell,
        change.lines[0].prompt,
        _arrow(*_both(then, now, _models)),
        _arrow(*_both(then, now, _tokens)),
        _arrow(*_both(then, now, _cost)),
    )


def _both(then: Sequence[Line], now: Sequence[Line], of: Callable[[Sequence[Line]], str]) -> tuple[str, str]:
    return of(then or now), of(now or then)


def _models(lines: Sequence[Line]) -> str:
    return ", ".join(dict.fromkeys(_short(line.model_id or "", 20) for line in lines))


def _short(name: str, most: int) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _tokens(lines: Sequence[Line]) -> str:
    total = summed(lines)
    return f"{total.input_tokens:,}/{total.output_tokens:,}"


def _cost(lines: Sequence[Line]) -> str:
    if len(lines) == 1:
        return f"{cost_of(lines[0])}{' replayed' if lines[0].replayed else ''}"
    total = summed(lines)
    return f"{format_usd(total.replayed_usd)} replayed" if total.replayed == total.calls else str(total)


def _arrow(then: object, now: object) -> str:
    def shown(value: object) -> str:
        return f"{value:,}" if isinstance(value, int) else str(value)

    return shown(now) if then == now else f"{shown(then)} → {shown(now)}"


def _by(usd: Any) -> str:
    return "" if not usd else f" ({'+' if usd > 0 else '-'}{format_sum(abs(usd))})"
