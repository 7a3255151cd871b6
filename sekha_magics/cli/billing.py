"""`sekha cost NOTEBOOK`: the bill a notebook carries, and what changed between two of them."""

from __future__ import annotations

import sys
from argparse import Namespace as Options
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from .terminal import note, opened, say

if TYPE_CHECKING:
    from ..billing.reading import Notebook
    from ..billing.reckoning import Bill

__all__ = ["cost_of_notebooks"]


def cost_of_notebooks(options: Options) -> None:
    """Every notebook that can be read is billed; afterwards `InvalidInput` is raised if one could not."""
    if options.diff:
        _difference(options)
        return
    read, unread = _read(options.notebooks)
    if read:
        _tell(_reckoned(read, options), options)
    if unread:
        several = f"{len(unread)} of {len(read) + len(unread)} notebooks could not be read."
        raise unread[0] if len(read) + len(unread) == 1 else InvalidInput(several)


def _tell(bill: Bill, options: Options) -> None:
    from ..billing import telling

    by = options.by or ("cell" if len(bill.notebooks) == 1 else "notebook")
    if options.json:
        say(telling.as_json(bill))
    else:
        say(telling.by_cell(bill) if by == "cell" else telling.by_group(bill, by))


def _reckoned(read: list[Notebook], options: Options) -> Bill:
    from dataclasses import replace

    from ..billing.reckoning import reckon

    if options.ledger:
        with opened(options) as registry:
            bill = reckon(read, registry.ledger)
    else:
        bill = reckon(read)
    if options.since is None:
        return bill
    start = datetime.combine(options.since, datetime.min.time()).astimezone(UTC)
    return replace(bill, lines=tuple(line for line in bill.lines if line.ts is not None and line.ts >= start))


def _difference(options: Options) -> None:
    from ..billing import difference

    if len(options.notebooks) != 2 or options.ledger or options.by or options.since:
        raise InvalidInput(
            "--diff compares two notebooks.",
            hint="`sekha cost --diff OLD.ipynb NEW.ipynb`, with --json if you like, and no other option.",
        )
    found = difference.difference(*(_one(name) for name in options.notebooks))
    say(difference.as_json(found) if options.json else difference.as_text(found))


def _read(names: list[str]) -> tuple[list[Notebook], list[InvalidInput]]:
    from ..billing.reading import find

    read: list[Notebook] = []
    unread: list[InvalidInput] = []
    for name in names:
        try:
            paths = [name] if name == "-" else [str(path) for path in find(Path(name).expanduser())]
        except InvalidInput as error:
            unread.append(error)
            continue
        for path in paths:
            try:
                read.append(_one(path))
            except InvalidInput as error:
                unread.append(error)
    if len(read) + len(unread) > 1:
        for problem in unread:
            note(f"{type(problem).__name__}: {problem.message}")
    return read, unread


def _one(name: str) -> Notebook:
    from ..billing.reading import parse, read

    if name != "-":
        return read(name)
    if sys.stdin is None or sys.stdin.isatty():
        raise InvalidInput("There is no notebook on standard input.", hint="Name a file, or pipe one in.")
    return parse(sys.stdin.buffer.read(), "standard input")
