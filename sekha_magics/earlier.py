"""What earlier sessions taught, read from the ledger in the background while the first request is under way."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING

from .errors import LedgerError
from .habits import Observed
from .state import State

if TYPE_CHECKING:
    from .ledger.store import Ledger

__all__ = ["learn_in_background"]

# Both come back from compiled code: into an interpreter that has ended, or into a forked child, they must not.
_threads: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def learn_in_background(ledger: Ledger, state: State, session_id: str) -> threading.Thread | None:
    """Teach `state` what the calls of other sessions counted. Returns at once; None where there is nothing to read."""
    if not ledger.path.exists():
        return None
    thread = threading.Thread(target=_learn, args=(ledger, state, session_id), name="sekha-earlier")
    _threads.add(thread)
    thread.start()
    return thread


def _learn(ledger: Ledger, state: State, session_id: str) -> None:
    try:
        state.learned_earlier(_observed(ledger, state, session_id))
    except (LedgerError, OSError) as error:
        warnings.warn(f"What earlier calls teach about the length of prompts could not be read: {error}", stacklevel=1)


def _observed(ledger: Ledger, state: State, session_id: str) -> Iterator[Observed]:
    entries = {(entry.provider_id, entry.model_id): entry for entry in state.catalogue.entries}
    for call in ledger.counted(session_id):
        entry = entries.get((call.provider_id, call.model_id))
        if entry is not None:
            yield state.observed(entry, call.request, call.task, call.input_tokens, call.output_tokens)


def _finish_before_fork() -> None:
    for thread in list(_threads):
        if thread is not threading.current_thread():
            thread.join()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_before_fork)
