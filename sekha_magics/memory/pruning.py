"""Which conversations have had their time: by the age of their newest message, their importance, their folder.

Pinned ones never have. A conversation is as important as the most important message in it, and in a folder when all of
it is.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from ..core.folders import inside
from .archive import Archive

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ACTIONS", "Rules", "prune"]

ACTIONS = ("archive", "delete")


class Rules(NamedTuple):
    """All that are given must hold. `importance` is the highest that goes."""

    older_than: timedelta | None = None
    importance: int | None = None
    folder: str | None = None


class _Conversation(NamedTuple):
    name: str
    messages: int
    newest: str
    importance: int
    folders: frozenset[str]


def prune(archive: Archive, rules: Rules, action: str, *, dry_run: bool) -> pd.DataFrame:
    """One row per conversation that goes, or would: name, messages, newest, importance, folder."""
    import pandas as pd

    going = [c for c in _conversations(archive, archived=action == "delete") if _fits(c, rules)]
    if not dry_run:
        for one in going:
            if action == "archive":
                archive.change_conversation(one.name, {"archived": 1})
            else:
                archive.delete_conversation(one.name)
    rows = [(c.name, c.messages, c.newest, c.importance, ", ".join(sorted(c.folders))) for c in going]
    frame = pd.DataFrame(rows, columns=["conversation", "messages", "newest", "importance", "folder"])
    frame = frame.astype({"conversation": object, "messages": int, "importance": int, "folder": object})
    frame["newest"] = pd.to_datetime(frame["newest"], utc=True, format="ISO8601")
    frame.attrs.update(action=action, done=not dry_run)
    return frame


def _fits(one: _Conversation, rules: Rules) -> bool:
    newest = datetime.fromisoformat(one.newest)
    newest = newest if newest.tzinfo else newest.replace(tzinfo=UTC)
    return (
        (rules.older_than is None or datetime.now(UTC) - newest > rules.older_than)
        and (rules.importance is None or one.importance <= rules.importance)
        and (rules.folder is None or all(inside(folder, rules.folder) for folder in one.folders))
    )


def _conversations(archive: Archive, *, archived: bool) -> list[_Conversation]:
    """Those that may go, oldest first; with `archived` also those that are."""
    owns = archive.rows(
        "SELECT name, folder, importance, updated_at FROM conversations WHERE NOT pinned AND (? OR NOT archived)"
        " ORDER BY seq",
        (archived,),
    )
    said: dict[str, list[tuple[str, int, str]]] = {name: [] for name, *_ in owns}
    for name, ts, importance, folder in archive.rows("SELECT conversation, ts, importance, folder FROM remembered"):
        if name in said:
            said[name].append((ts, importance, folder))
    return [
        _Conversation(
            name,
            len(said[name]),
            max((ts for ts, *_ in said[name]), default=updated_at),
            max((i for _, i, _ in said[name]), default=importance),
            frozenset(f for *_, f in said[name]) or frozenset({folder}),
        )
        for name, folder, importance, updated_at in owns
    ]
