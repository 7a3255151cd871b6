"""Tells whoever subscribed what is different in the state, soon after it is, and not more often than eyes can follow.

One thread for all subscribers, which is there while there are any.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from ..registry import current_registry
from ..storage.forks import renew_in_child
from ..watch import wakers
from .state import PARTS, comparable, read

__all__ = ["VERSION", "Subscription", "subscribe"]

VERSION = 1
# What is seen at most within 200 ms of a call's end has half of that for its way.
_SHORTEST_INTERVAL = 0.1
# Breakers that half-open by time, and what other kernels spend, wake nobody here.
_LONGEST_INTERVAL = 1.0

Message = dict[str, Any]
_log = logging.getLogger("sekha_magics")


class Subscription:
    """One listener: `send` gets a snapshot at once, in this thread, and then changes, in another. `close` it."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send, self._sequence = send, -1
        self._sent: dict[str, Any] = {}
        # A snapshot and a change must not overtake each other.
        self._lock = threading.RLock()

    def snapshot(self) -> Message:
        """All of it as it is now; the next change follows on this."""
        with self._lock:
            state = read(current_registry())
            self._sent = {part: comparable(value) for part, value in state.items()}
            return {"version": VERSION, "type": "snapshot", "sequence": self._next(), "state": state}

    def send_snapshot(self) -> None:
        with self._lock:
            self._send(self.snapshot())

    def send_changes(self, state: dict[str, Any]) -> None:
        with self._lock:
            changes = {part: state[part] for part in PARTS if comparable(state[part]) != self._sent.get(part)}
            if not changes:
                return
            self._sent |= {part: comparable(value) for part, value in changes.items()}
            self._send({"version": VERSION, "type": "change", "sequence": self._next(), "changes": changes})

    def close(self) -> None:
        _feed.remove(self)

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence


class _Feed:
    def __init__(self) -> None:
        self._subscriptions: tuple[Subscription, ...] = ()
        self._changed = threading.Event()
        # Protects the tuple above, and that there is one thread or none.
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        renew_in_child(self)

    def add(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            if self._thread is None:
                wakers.add(self._changed.set)
                self._thread = threading.Thread(target=self._serve, name="sekha-live", daemon=True)
                self._thread.start()

    def remove(self, subscription: Subscription) -> None:
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
        self._changed.set()

    def renew_after_fork(self) -> None:
        # Whoever listens listens to the parent.
        self._lock, self._changed = threading.Lock(), threading.Event()
        self._subscriptions, self._thread = (), None

    def _serve(self) -> None:
        pause = threading.Event()
        while True:
            self._changed.wait(_LONGEST_INTERVAL)
            self._changed.clear()
            with self._lock:
                listening = self._subscriptions
                if not listening:
                    wakers.remove(self._changed.set)
                    self._thread = None
                    return
            self._tell(listening)
            pause.wait(_SHORTEST_INTERVAL)

    def _tell(self, listening: tuple[Subscription, ...]) -> None:
        try:
            state = read(current_registry())
        except Exception:  # noqa: BLE001 - what cannot be read now may be read in a second, and nobody waits for this thread
            _log.exception("The live state could not be read")
            return
        for subscription in listening:
            try:
                subscription.send_changes(state)
            except Exception:  # noqa: BLE001 - whoever cannot be reached must not keep the others from hearing
                _log.exception("The live state could not be sent; this listener hears no more of it")
                self.remove(subscription)


_feed = _Feed()


def subscribe(send: Callable[[Message], None]) -> Subscription:
    """Send the state now, and every change until the subscription is closed. What `send` raises now is raised here."""
    subscription = Subscription(send)
    subscription.send_snapshot()
    _feed.add(subscription)
    return subscription
