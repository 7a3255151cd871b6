"""`%sekha search`: what notebooks remember of a question."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..standing import registry
from .words import unquoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["search"]

_OPTIONS = ("k", "mode", "folder", "exclude", "label")
_SHOWN = ("score", "snippet", "conversation", "folder", "label", "role", "age", "ranks", "message_id")
_PREFIX = r"^embeddings_\d+_"
_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def search(arguments: Arguments) -> pd.DataFrame:
    """The messages that fit best, best first; `.content` of the DataFrame is the whole text."""
    from ..shown import ShownFrame

    query = unquoted(arguments.rest.strip())
    if not query:
        raise UsageError('there is nothing to look for: %sekha search "what was said"')
    given = {name: arguments.values[name] for name in _OPTIONS if name in arguments.values}
    found = registry().memory.search(query, **given)
    whole = ("The DataFrame has the whole texts and ids.",) if len(found) else ()
    return ShownFrame(
        found,
        caption="what is remembered",
        footnotes=tuple(f"not asked: {model}, since {why}" for model, why in found.attrs["skipped"].items()) + whole,
        empty="nothing that fits is remembered",
        column={"score": _score, "ranks": _ranks, "age": _age, "message_id": _beginning},
        only=_SHOWN,
    )


def _beginning(message_id: str) -> str:
    return message_id[:8]


def _score(score: float) -> str:
    return f"{score:.4f}"


def _ranks(ranks: dict[str, int]) -> str:
    return ", ".join(f"{re.sub(_PREFIX, '', source)} {rank}" for source, rank in ranks.items())


def _age(age: Any) -> str:
    """In the largest unit of which there is one."""
    seconds = max(0, int(age.total_seconds()))
    unit, size = next(((unit, size) for unit, size in _UNITS if seconds >= size), _UNITS[-1])
    return f"{seconds // size} {unit}"
