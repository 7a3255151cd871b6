"""`%sekha models`, `%sekha tasks`, `%sekha health`: what is on offer, and in what state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..arguments import Arguments
from ..standing import registry
from .simulate import rehearsed
from .words import no_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["health", "models", "tasks"]


def models(arguments: Arguments) -> pd.DataFrame:
    from ..shown import ShownFrame

    no_words(arguments)
    return ShownFrame(
        registry().models(),
        caption="models",
        footnotes=("Prices are USD per million tokens.",),
        empty="no model is configured",
    )


def tasks(arguments: Arguments) -> list[str]:
    no_words(arguments)
    return registry().tasks()


def health(arguments: Arguments) -> pd.DataFrame:
    from ..health_table import HealthFrame

    no_words(arguments)
    probe = "probe" in arguments.values
    if "reset" in arguments.values:
        registry().reset(arguments.values["reset"] or None)
    in_use = registry()
    return HealthFrame(
        in_use.health(probe=probe),
        in_use.state.recent_latencies(),
        caption="providers, asked just now" if probe else "providers, as seen in this session",
        footnotes=rehearsed(in_use),
        empty="no provider is configured",
    )
