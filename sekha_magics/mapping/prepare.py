"""From rows to a job: every prompt is read, identical ones become one request, and nothing is sent yet."""

from __future__ import annotations

import hashlib
from typing import Any

from ..ask import Ask
from ..cassette import render
from ..core.messages import parse_messages
from ..engine import Engine
from ..errors import InvalidInput
from .asking import Pending
from .job import Job
from .kept import Kept
from .rows import Prompt, Rows

__all__ = ["prepare"]


def prepare(
    engine: Engine,
    base: Ask,
    rows: Rows,
    *,
    template: str | None,
    system: str | None,
    concurrency: int,
    keep: bool,
    fresh: bool,
    progress: bool | None,
) -> Job:
    """The job of asking `base` for every one of `rows`. Raises `InvalidInput` for a row that can be no prompt."""
    options = {**base.options, "max_cost": None}
    keys: list[str | None] = []
    problems: dict[int, str] = {}
    pending: dict[str, Pending] = {}
    for number, row in enumerate(rows.rows):
        key = None
        if row.prompt is None:
            problems[number] = row.problem or "there is no prompt"
        else:
            try:
                item = _pending(row.prompt, system, options)
            except InvalidInput as error:
                if not isinstance(row.prompt, str):
                    error.message = f"Prompt {number}: {error.message}"
                    raise
                problems[number] = error.message
            else:
                key = item.key
                pending.setdefault(key, item)
        keys.append(key)
    kept = None
    if keep:
        name = hashlib.sha256(f"{template}\n{render('chat', (), options).key}".encode("utf-8", "surrogatepass"))
        kept = Kept(name.hexdigest(), engine.redact)
        kept.forget_old()
    return Job(engine, base, keys, problems, pending, rows.index, concurrency, kept, fresh, progress)


def _pending(prompt: Prompt, system: str | None, options: dict[str, Any]) -> Pending:
    messages = parse_messages(prompt, (), system)
    return Pending(render("chat", messages, options).key, messages)
