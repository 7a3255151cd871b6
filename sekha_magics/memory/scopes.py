"""Where every message stands, kept in memory: what a search may find is then one lookup in an array.

Messages of one conversation, folder and label share a scope. Whether a scope may be found is decided once for a search,
and applied to all messages together, however many they are.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.folders import inside
from ..storage.forks import renew_in_child
from .archive import Archive

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Scope", "Scopes", "Wanted"]


class Scope(NamedTuple):
    """What messages have in common: their own folder or label, or that of the conversation."""

    conversation: str
    folder: str
    label: str | None
    archived: bool


class Wanted(NamedTuple):
    """What a search may find. Exclusions win over everything else."""

    folder: str | None = None
    label: str | None = None
    exclude: tuple[str, ...] = ()
    without_conversations: tuple[str, ...] = ()
    archived: bool = False

    def admits(self, scope: Scope) -> bool:
        return (
            not any(inside(scope.folder, folder) for folder in self.exclude)
            and scope.conversation not in self.without_conversations
            and (self.archived or not scope.archived)
            and (self.folder is None or inside(scope.folder, self.folder))
            and (self.label is None or scope.label == self.label)
        )


class Seen(NamedTuple):
    """What can have changed since: counted moves and deletions, deleted vectors, the newest message and vector."""

    moves: int
    deletions: int
    newest_message: int
    newest_vector: int


_SEEN = """SELECT (SELECT count FROM changes WHERE what = 'scopes'), (SELECT count FROM changes WHERE what = 'vectors'),
coalesce((SELECT max(seq) FROM messages), 0), coalesce((SELECT max(id) FROM vectors), 0)"""


class Scopes:
    """The scopes of all messages in `archive`, as new as the last `refresh`. Any thread may use it."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._moves: int | None = None
        self._newest = 0
        self._numbers: dict[tuple[int, str | None, str | None], int] = {}
        self._scopes: list[Scope] = []
        self._conversations: dict[int, tuple[str, str, str | None, int]] = {}

    def seen(self) -> Seen:
        """What the memory counts now, for all that is kept of it elsewhere."""
        rows = self._archive.rows(_SEEN)
        return Seen(*rows[0]) if rows else Seen(0, 0, 0, 0)

    def allowed(self, wanted: Wanted) -> np.ndarray[Any, Any] | None:
        """For each message by its number whether it may be found; None when all may.

        It knows every message whose vector was read before.
        """
        import numpy as np

        with self._lock:
            self._refresh(self.seen())
            admitted = np.array([wanted.admits(scope) for scope in self._scopes] + [False])
            if admitted[:-1].all():
                return None
            # The last one is that of messages which are gone.
            allowed: np.ndarray[Any, Any] = admitted[self._of_message]
            return allowed

    def _refresh(self, seen: Seen) -> None:
        import numpy as np

        if self._moves != seen.moves or seen.newest_message < self._newest:
            self._numbers, self._scopes, self._newest = {}, [], 0
            self._of_message = np.full(1, -1, np.int32)
            self._conversations = {}
        if seen.newest_message > self._newest:
            self._read(seen.newest_message)
        self._moves, self._newest = seen.moves, seen.newest_message

    def _read(self, newest: int) -> None:
        import numpy as np

        rows = self._archive.rows(
            "SELECT seq, conversation, folder, label FROM messages WHERE seq > ? AND seq <= ?", (self._newest, newest)
        )
        if any(row[1] not in self._conversations for row in rows):
            found = self._archive.rows("SELECT seq, name, folder, label, archived FROM conversations")
            self._conversations = {row[0]: row[1:] for row in found}
        numbers = np.full(newest + 1, -1, np.int32)
        numbers[: len(self._of_message)] = self._of_message
        for seq, *key in rows:
            numbers[seq] = self._number(tuple(key))
        self._of_message = numbers

    def _number(self, key: tuple[Any, ...]) -> int:
        number = self._numbers.get(key)
        if number is None:
            conversation, folder, label = key
            if conversation not in self._conversations:
                # Deleted while this was read; the next refresh says so.
                return -1
            name, its_folder, its_label, archived = self._conversations[conversation]
            number = self._numbers[key] = len(self._scopes)
            self._scopes.append(Scope(name, folder or its_folder, label or its_label, bool(archived)))
        return number
