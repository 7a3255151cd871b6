"""`%sekha simulate`: a provider misbehaves in this kernel until `--off`, so that a failure can be rehearsed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ...display.text import one_line
from ..arguments import Arguments
from ..standing import registry
from .words import no_words

if TYPE_CHECKING:
    import pandas as pd

    from ...registry import Registry

__all__ = ["rehearsed", "simulate"]


def simulate(arguments: Arguments) -> pd.DataFrame | None:
    """Begin or end a simulation and say so; without options, a row for each that is on."""
    no_words(arguments)
    given = dict(arguments.values)
    in_use, provider = registry(), given.pop("provider", None)
    if given.pop("off", False):
        if given:
            raise UsageError(f"--off ends a simulation: it takes no {_flag(next(iter(given)))}")
        _end(in_use, provider)
        return None
    if provider is not None:
        _begin(in_use, provider, given)
        return None
    if given:
        known = ", ".join(in_use.state.provider_ids()) or "none"
        raise UsageError(f"{_flag(next(iter(given)))} needs a provider: --provider PROVIDER. There are: {known}")
    return _listed(in_use)


def rehearsed(in_use: Registry) -> tuple[str, ...]:
    """A line for each simulation, so that nobody forgets it."""
    return tuple(
        f"{name} is simulated: {simulation}; `%sekha simulate --off` ends it"
        for name, simulation in in_use.state.simulations().items()
    )


def _begin(in_use: Registry, provider: str, given: dict[str, Any]) -> None:
    if not given:
        raise UsageError("say what is to go wrong: --down, --latency 8s, --status 429:0.3 or --cut 20; --off ends it")
    if (status := given.pop("status", None)) is not None:
        given["status"], given["probability"] = status
    in_use.simulate(provider, **given)
    simulation = in_use.state.simulations()[provider]
    sys.stdout.write(one_line(f"{provider} is simulated until `%sekha simulate --off`: {simulation}") + "\n")


def _end(in_use: Registry, provider: str | None) -> None:
    running = [name for name in in_use.state.simulations() if provider in (None, name)]
    in_use.end_simulation(provider)
    said = [f"{name} is itself again, as it was before the simulation" for name in running]
    if not said:
        said = ["nothing is simulated" if provider is None else f"{provider} is not simulated"]
    sys.stdout.write("\n".join(map(one_line, said)) + "\n")


def _listed(in_use: Registry) -> pd.DataFrame:
    from ..shown import ShownFrame

    return ShownFrame(
        in_use.simulations(),
        caption="providers that are simulated in this kernel",
        footnotes=("`%sekha simulate --off` ends all of it.",) if in_use.state.simulations() else (),
        empty="nothing is simulated",
    )


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
