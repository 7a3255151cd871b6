"""The named conversations of a kernel: what was said so far, turn by turn."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from .core.content import Message, Text
from .core.traces import Traces
from .storage.forks import renew_in_child

__all__ = ["Conversations"]


class Conversations:
    """By name, oldest first. A turn is kept whole: the question and its answer, or neither. Safe for threads."""

    def __init__(self) -> None:
        self._said: dict[str, list[Message]] = {}
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        with self._lock:
            return list(self._said)

    def of(self, name: str | None) -> tuple[Message, ...]:
        """What was said in the conversation; nothing in one that is not known."""
        with self._lock:
            return tuple(self._said.get(name, ())) if name is not None else ()

    def forget(self, name: str) -> None:
        with self._lock:
            self._said.pop(name, None)

    def forget_turns(self, traces: Traces) -> int:
        """Take out every turn that touches the traces, and say how many messages that were."""
        count = 0
        with self._lock:
            for name, said in self._said.items():
                kept: list[Message] = []
                for turn in _turns(said):
                    if any(traces.touched_by(message.text) for message in turn):
                        count += len(turn)
                    else:
                        kept += turn
                self._said[name] = kept
        return count

    def add(self, name: str, own: Sequence[Message], answer: str) -> None:
        """One turn. New rules take the place of earlier ones."""
        with self._lock:
            said = self._said.setdefault(name, [])
            if any(message.role == "system" for message in own):
                said[:] = [message for message in said if message.role != "system"]
            said.extend([*own, Message("assistant", (Text(answer),))])


def _turns(said: Sequence[Message]) -> list[list[Message]]:
    """What was said, up to each answer."""
    turns: list[list[Message]] = [[]]
    for message in said:
        turns[-1].append(message)
        if message.role == "assistant":
            turns.append([])
    return turns
