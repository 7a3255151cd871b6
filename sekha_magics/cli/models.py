"""`sekha models`: what is on offer; and the embedded model's file, fetched."""

from __future__ import annotations

import sys
from argparse import Namespace as Options
from collections.abc import Mapping
from typing import Any

from .terminal import known, note, opened, say

__all__ = ["models", "pull"]


def models(options: Options) -> None:
    from ..display.tables import Table
    from ..providers.local.files import KNOWN, installed

    with opened(options) as registry:
        frame = registry.models()
        source = registry.state.loaded.source
    missing = [m for t, m in zip(frame["provider_type"], frame["model_id"], strict=True)
               if t == "local" and m in KNOWN and m not in installed()]  # fmt: skip
    notes = ["Prices are USD per million tokens, in and out."]
    notes += [f"The file of {name} is not here yet: `sekha models pull {name}`." for name in missing]
    rows = [
        (row["provider_id"], row["model_id"], ", ".join(row["tasks"]), known(row["context_window"]), _price(row))
        for row in frame.to_dict("records")
    ]
    columns = ("provider", "model", "tasks", "window", "price")
    say(Table(columns, rows, source, tuple(notes), empty="no model is configured").to_plain())


def _price(row: Mapping[Any, Any]) -> str:
    if row["price_input"] is None or row["price_source"] == "free":
        return str(row["price_source"])
    return f"{row['price_input']} / {row['price_output']}"


def pull(options: Options) -> None:
    from ..providers.local.files import DEFAULT_MODEL, KNOWN
    from ..providers.local.files import pull as fetch

    name = options.name or DEFAULT_MODEL
    progress = _Progress()
    try:
        path = fetch(name, source=options.source, progress=progress)
    finally:
        progress.end()
    license_ = f" ({KNOWN[name].license})" if name in KNOWN else ""
    say(f"{name}{license_} is at {path}")


class _Progress:
    """One line that counts on a terminal; elsewhere a line for each step."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._said = ""
        self._open = False

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if self._terminal and total:
            sys.stderr.write(f"\r{what}: {done / 1e6:.0f} of {total / 1e6:.0f} MB")
            sys.stderr.flush()
            self._open = True
        elif what != self._said:
            self.end()
            note(what)
        self._said = what

    def end(self) -> None:
        if self._open:
            sys.stderr.write("\n")
            self._open = False
