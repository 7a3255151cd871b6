"""Asks every provider whether it is there: all at once, and none for longer than a person waits.

Whatever one of them does, the others are told of, and Ctrl-C ends it.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from . import whereabouts
from .core.wire import Probe
from .loop import Emit, run_blocking
from .state import State

__all__ = ["LONGEST_SECONDS", "probe_all"]

LONGEST_SECONDS = 15.0


def probe_all(state: State) -> dict[str, Probe]:
    """What each enabled provider says of itself; a bar grows with each answer where a person watches."""
    ids = [p.id for p in state.loaded.config.llm_providers if p.enabled]

    async def ask_all(emit: Emit) -> dict[str, Probe]:
        async def ask(provider_id: str) -> Probe:
            probe = await _probe(state, provider_id)
            emit(provider_id)
            return probe

        return dict(zip(ids, await asyncio.gather(*map(ask, ids)), strict=True))

    if not ids:
        return {}
    with _bar(len(ids)) as bar:

        def answered(provider_id: str) -> None:
            if bar is not None:
                bar.set_postfix_str(f"{provider_id} answered", refresh=False)
                bar.update()

        return run_blocking(ask_all, answered)


async def _probe(state: State, provider_id: str) -> Probe:
    seconds = LONGEST_SECONDS
    try:
        provider = state.provider(provider_id)
        seconds = min(seconds, provider.endpoint.timeout)
        async with asyncio.timeout(seconds):
            return await provider.probe()
    except TimeoutError:
        return Probe(False, f"did not say within {seconds:g} s whether it is there")
    except Exception as error:  # noqa: BLE001 - one broken provider class must not hide how the others are
        return Probe(False, f"{type(error).__name__}: {error}")


def _bar(total: int) -> AbstractContextManager[Any]:
    if not whereabouts.is_person():
        return nullcontext(None)
    from tqdm.auto import tqdm

    bar: AbstractContextManager[Any] = tqdm(total=total, unit="provider", desc="asking", leave=False)
    return bar
