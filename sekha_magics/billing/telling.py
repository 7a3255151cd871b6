"""A bill as a terminal shows it, within a hundred columns, and as JSON for programs.

Every word that comes from a notebook is cleaned of control sequences; no colour and no escape is written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from ..display.money import exact, format_sum, format_usd
from ..display.tables import Table
from ..display.text import one_line
from .frame import record
from .lines import Line
from .reckoning import Bill, Sum, grouped, summed

__all__ = ["NO_OUTPUT", "as_json", "by_cell", "by_group", "cost_of", "fitted", "sum_as_json"]

WIDTH = 100
_LEAST_PROMPT, _LEAST_MODEL, _LONGEST_GROUP = 18, 12, 44
NO_OUTPUT = "Calls from plain Python, and failed ones, leave no output: --ledger adds those your ledger knows."


def by_cell(bill: Bill) -> str:
    """A row for each answer, the sum above; by model where there are several, and by notebook."""
    if len(bill.notebooks) > 1:
        names = dict.fromkeys(bill.notebooks)
        own = [Bill((name,), tuple(line for line in bill.lines if line.notebook == name)) for name in names]
        return "\n\n".join([*(_cells_of(one, ()) for one in own if one.lines), by_group(bill, "notebook")])
    if len({(line.provider_id, line.model_id) for line in bill.lines}) > 1:
        return f"{_cells_of(bill, ())}\n\n{by_group(bill, 'model', caption='')}"
    return _cells_of(bill, _notes(bill))


def _cells_of(bill: Bill, notes: tuple[str, ...]) -> str:
    day = _only_day(bill.lines)
    rows = [
        (
            line.cell,
            _prompt(line),
            _name(line),
            line.input_tokens,
            line.output_tokens,
            cost_of(line),
            _source(line),
            _time(line.ts, day),
        )
        for line in _without_loops(bill.lines)
    ]
    columns = ("cell", "prompt", "model", "in", "out", "cost", "source", "UTC")
    caption = f"{_caption(bill)}{'' if day is None else f', on {day}'}"
    return fitted(columns, rows, caption, notes, _empty(bill))


def _without_loops(lines: Sequence[Line]) -> Iterator[Line]:
    """A loop over thousands of prompts is one row: calls of the ledger that differ in nothing but their figures."""
    alike: dict[tuple[object, ...], list[Line]] = {}
    for line in lines:
        what = (line.position, line.prompt, line.provider_id, line.model_id, line.cost_source, line.replayed)
        alike.setdefault(what if line.origin == "ledger" else (id(line),), []).append(line)
    for first, *more in alike.values():
        if not more:
            yield first
            continue
        total = summed([first, *more])
        yield replace(
            first,
            prompt=f"{first.prompt}, {total.calls:,} calls",
            input_tokens=total.input_tokens,
            output_tokens=total.output_tokens,
            usd=total.replayed_usd if first.replayed else total.usd,
            unpriced=total.unpriced,
        )


def by_group(bill: Bill, by: str, caption: str | None = None) -> str:
    """A row for each model, provider, task, day or notebook."""
    rows = [
        (name, s.calls, s.input_tokens, s.output_tokens, str(s), format_usd(s.replayed_usd) if s.replayed else "")
        for name, s in grouped(bill.lines, by)
    ]
    if by == "notebook":
        # One in which nothing was asked is a row too.
        met = {row[0] for row in rows}
        rows += [(name, 0, 0, 0, "", "") for name in dict.fromkeys(bill.notebooks) if name not in met]
    columns: tuple[str, ...] = (by, "calls", "tokens in", "tokens out", "cost", "replayed")
    if not any(row[-1] for row in rows):
        columns, rows = columns[:-1], [row[:-1] for row in rows]  # type: ignore[misc]
    rows = [(_end(name) if by == "notebook" else _cut(name, _LONGEST_GROUP), *rest) for name, *rest in rows]  # type: ignore[misc]
    said = _caption(bill) if caption is None else caption
    return Table(columns, rows, said, _notes(bill), frozenset({"cost", "replayed"}), empty=_empty(bill)).to_plain()


def as_json(bill: Bill) -> str:
    """Everything a program needs; amounts are texts with every digit, times ISO 8601 in UTC."""
    total = summed(bill.lines)
    value = {
        "notebooks": [one_line(name) for name in bill.notebooks],
        "total": sum_as_json(total),
        "models": [{"model": name, **sum_as_json(s)} for name, s in grouped(bill.lines, "model")],
        "lines": [line_as_json(line) for line in bill.lines],
        "copies": bill.copies,
        "damaged": bill.damaged,
        "without_metadata": bill.bare,
        "ledger": bill.ledger,
    }
    return json.dumps(value, ensure_ascii=False, indent=2)


def sum_as_json(total: Sum) -> dict[str, Any]:
    return {
        "calls": total.calls,
        "input_tokens": total.input_tokens,
        "output_tokens": total.output_tokens,
        "cost_usd": exact(total.usd),
        "unpriced_calls": total.unpriced,
        "replayed_calls": total.replayed,
        "replayed_usd": exact(total.replayed_usd),
    }


def line_as_json(line: Line) -> dict[str, Any]:
    values = record(line)
    values["notebook"] = one_line(line.notebook)
    values["ts"] = None if line.ts is None else line.ts.isoformat()
    return values | {name: exact(values[name]) for name in ("cost_usd", "replayed_usd")}


def cost_of(line: Line) -> str:
    """The figure itself; whether it was spent is said beside it."""
    if line.unpriced:
        return format_sum(line.usd, line.unpriced) if line.usd else "unpriced"
    return format_usd(line.usd, line.cost_source)


def fitted(
    columns: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
    caption: str,
    notes: tuple[str, ...],
    empty: str,
    least_prompt: int = _LEAST_PROMPT,
) -> str:
    """A table of which `model`, and then `prompt`, is cut to what the other columns leave of the width."""
    wide = {name: max([_cells(name), *(_cells(_shown(row[i])) for row in rows)]) for i, name in enumerate(columns)}
    room = WIDTH - 2 * (len(columns) - 1) - sum(w for name, w in wide.items() if name not in ("model", "prompt"))
    model = min(wide["model"], max(_LEAST_MODEL, room - least_prompt))
    rooms = {"model": model, "prompt": max(least_prompt, room - model)}
    cut = [
        [_cut(str(value), rooms[name]) if name in rooms else value for name, value in zip(columns, row, strict=True)]
        for row in rows
    ]
    return Table(columns, cut, caption, notes, frozenset({"cell", "cost"}), empty=empty).to_plain()


def _shown(value: object) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def _cells(text: str) -> int:
    from wcwidth import wcswidth

    return max(wcswidth(text), 0)


def _cut(text: str, room: int) -> str:
    """`text` within so many columns of a terminal, where some characters take two."""
    if _cells(text) <= room:
        return text
    while text and _cells(text) > room - 1:
        text = text[:-1]
    return f"{text.rstrip()}…"


def _end(path: str) -> str:
    """The end of a long path, which tells notebooks apart."""
    clean = one_line(path)
    return clean if _cells(clean) <= _LONGEST_GROUP else f"…{_cut(clean[::-1], _LONGEST_GROUP)[:-1][::-1]}"


# --- sentences --------------------------------------------------------------------------------------


def _caption(bill: Bill) -> str:
    where = bill.notebooks[0] if len(bill.notebooks) == 1 else f"{len(bill.notebooks)} notebooks"
    total = summed(bill.lines)
    calls = f"{total.calls:,} call{'' if total.calls == 1 else 's'}"
    return f"{total} in {where}: {calls}, {total.input_tokens:,} tokens in, {total.output_tokens:,} out"


def _notes(bill: Bill) -> tuple[str, ...]:
    total, notes = summed(bill.lines), []
    if total.replayed:
        amount = format_usd(total.replayed_usd)
        answers = "1 answer was" if total.replayed == 1 else f"{total.replayed} answers were"
        notes.append(f"{answers} replayed from a cassette: recorded at {amount}, nothing was spent on them here.")
    if bill.copies:
        notes.append(f"{_times(bill.copies, 'output')} shown again or copied: each answer is counted once.")
    if bill.damaged:
        notes.append(f"{_times(bill.damaged, 'line')} damaged metadata: what cannot be read counts as unpriced.")
    if bill.bare:
        notes.append(f"{_times(bill.bare, 'answer')} no metadata any more, and cannot be counted.")
    if bill.ledger:
        notes.append("Rows in angle brackets are the ledger's: calls that left no output, or whose cell was run again.")
    else:
        notes.append(NO_OUTPUT)
    return tuple(notes)


def _times(number: int, what: str) -> str:
    verb = {"output": ("is", "are"), "answer": ("has", "have"), "line": ("has", "have")}[what]
    return f"1 {what} {verb[0]}" if number == 1 else f"{number} {what}s {verb[1]}"


def _empty(bill: Bill) -> str:
    return "no answers in its outputs" if len(bill.notebooks) == 1 else "no answers in their outputs"


def _prompt(line: Line) -> str:
    return f"<{line.prompt}>" if line.origin == "ledger" else line.prompt


def _name(line: Line) -> str:
    return " at ".join(name for name in (line.model_id, line.provider_id) if name)


def _source(line: Line) -> str:
    source = "" if line.cost_source in (None, "free", "unpriced") else str(line.cost_source)
    return "replayed" if line.replayed else source


def _only_day(lines: Sequence[Line]) -> str | None:
    days = {line.ts.date() for line in lines if line.ts is not None}
    return f"{days.pop():%Y-%m-%d}" if len(days) == 1 else None


def _time(ts: datetime | None, day: str | None) -> str:
    return "" if ts is None else f"{ts:%H:%M}" if day else f"{ts:%Y-%m-%d %H:%M}"
