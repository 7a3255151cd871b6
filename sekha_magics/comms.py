"""The two comms between a kernel and its front end, which opens them: `sekha.state` and `sekha.control`.

Two, because a message to a comm that the kernel writes to waits for the running cell. What they say is described in
`live/live.v1.schema.json`. Nothing is counted, sent or imported for them before one is opened.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from . import whereabouts

if TYPE_CHECKING:
    from comm.base_comm import BaseComm

    from .live.feed import Subscription

__all__ = ["CONTROL", "STATE", "register", "unregister"]

# A page that was closed does not say so, and one that was reloaded opens anew.
_MOST = 8

STATE, CONTROL = "sekha.state", "sekha.control"


class _Listener(NamedTuple):
    comm: BaseComm
    subscription: Subscription

    def end(self) -> None:
        self.subscription.close()
        self.comm.close()


class _Fronts:
    """The pages that show this kernel: whom the state is sent to, by the session of who opened, the oldest first."""

    def __init__(self) -> None:
        self._listeners: dict[str, _Listener] = {}
        self._lock = threading.Lock()

    def open_state(self, comm: BaseComm, message: dict[str, Any]) -> None:
        if not _is_understood(comm, message):
            return
        from .live.feed import subscribe

        client, listener = _client(message), _Listener(comm, subscribe(comm.send))
        comm.on_close(lambda _message: self._closed(client, listener))
        with self._lock:
            ended = [self._listeners.pop(client)] if client in self._listeners else []
            self._listeners[client] = listener
            while len(self._listeners) > _MOST:
                ended.append(self._listeners.pop(next(iter(self._listeners))))
        for other in ended:
            other.end()

    def _closed(self, client: str, listener: _Listener) -> None:
        listener.subscription.close()
        with self._lock:
            if self._listeners.get(client) is listener:
                del self._listeners[client]

    def open_control(self, comm: BaseComm, message: dict[str, Any]) -> None:
        if not _is_understood(comm, message):
            return
        client = _client(message)

        def asked(message: dict[str, Any]) -> None:
            from .live.control import answer

            listener = self._listeners.get(client)
            comm.send(answer(message["content"]["data"], listener and listener.subscription))

        comm.on_msg(asked)

    def end_all(self) -> None:
        with self._lock:
            ended = list(self._listeners.values())
            self._listeners.clear()
        for listener in ended:
            listener.end()


def _is_understood(comm: BaseComm, message: dict[str, Any]) -> bool:
    from .live.feed import VERSION

    data = message["content"].get("data")
    if isinstance(data, dict) and data.get("version") == VERSION:
        return True
    comm.send({"version": VERSION, "type": "unsupported", "supported": [VERSION]})
    comm.close()
    return False


def _client(message: dict[str, Any]) -> str:
    return str(message["header"].get("session", ""))


_fronts = _Fronts()
_targets = {STATE: _fronts.open_state, CONTROL: _fronts.open_control}


def register() -> None:
    """Let front ends open both, in a kernel; elsewhere, do nothing."""
    if not whereabouts.in_kernel():
        return
    from comm import get_comm_manager

    for name, opened in _targets.items():
        get_comm_manager().register_target(name, opened)


def unregister() -> None:
    """Let no front end open one any more, and end what was opened."""
    if not whereabouts.in_kernel():
        return
    from comm import get_comm_manager

    manager = get_comm_manager()
    for name, opened in _targets.items():
        if manager.targets.get(name) == opened:
            manager.unregister_target(name, opened)
    _fronts.end_all()
    for comm in list(manager.comms.values()):
        if comm.target_name == CONTROL:
            comm.close()
