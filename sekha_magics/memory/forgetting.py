"""Forgetting: a message goes, and with it all that repeats it, until no file of ours holds its text.

What is kept elsewhere (prompts and answers of the ledger, answers of `map`) goes first: what is interrupted can then be
asked for again. In the memory the rows go, the summaries made of them, the words in the full-text index, the vectors,
and at last what SQLite keeps of deleted rows in its file and its log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.traces import Traces
from ..errors import MemoryStoreError
from .archive import Archive, missing
from .vectors import Vectors

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Elsewhere", "Forgetting", "find", "forget"]

Elsewhere = Callable[[Traces], dict[str, int]]
"""Removes what touches the traces from where it is kept, and says how much of what was removed."""

_ASKED, _REPEATS = "asked for", "repeats it"


class Forgetting(NamedTuple):
    """What goes: messages with why (rows of id, conversation, role, ts, reason), summaries by id, and their traces."""

    conversation: str | None
    messages: list[tuple[str, str, str, str, str]]
    summaries: list[str]
    traces: Traces

    def frame(self) -> pd.DataFrame:
        """One row per message, without its text: an output is kept in the notebook."""
        import pandas as pd

        names = ["message_id", "conversation", "role", "ts", "why"]
        frame = pd.DataFrame(self.messages, columns=names).astype(object)
        frame["ts"] = pd.to_datetime(frame["ts"], utc=True, format="ISO8601")
        frame.attrs["summaries"] = len(self.summaries)
        return frame


def find(archive: Archive, conversation: str | None, messages: Sequence[str]) -> Forgetting:
    """What would have to go. Raises `InvalidInput` for what is not there."""
    rows = archive.rows("SELECT message_id, conversation, role, ts, content FROM remembered ORDER BY seq")
    if conversation is not None:
        if not archive.rows("SELECT 1 FROM conversations WHERE name = ?", (conversation,)):
            raise missing("conversations", conversation)
        asked = {row[0] for row in rows if row[1] == conversation}
    else:
        asked = set(messages)
        if unknown := sorted(asked - {row[0] for row in rows}):
            raise missing("messages", unknown[0])
    traces = Traces([row[4] for row in rows if row[0] in asked], asked)
    going = [
        (*row[:4], _ASKED if row[0] in asked else _REPEATS)
        for row in rows
        if row[0] in asked or traces.repeated_in(row[4])
    ]
    gone = {row[0] for row in going}
    summaries = _summaries(archive, conversation, gone, traces)
    texts = [row[4] for row in rows if row[0] in gone] + list(summaries.values())
    return Forgetting(conversation, going, list(summaries), Traces(texts, gone))


def forget(archive: Archive, vectors: Vectors, going: Forgetting, elsewhere: Sequence[Elsewhere]) -> dict[str, int]:
    """Remove all of it for good, and say how much of what. Raises `MemoryStoreError` when something is in the way."""
    counts: dict[str, int] = {}
    for remove in elsewhere:
        counts.update(remove(going.traces))
    with archive.writing() as connection:
        for message_id, *_ in going.messages:
            connection.execute("DELETE FROM messages WHERE message_id = ?", (message_id,))
        for summary_id in going.summaries:
            connection.execute("DELETE FROM summaries WHERE summary_id = ?", (summary_id,))
        if going.conversation is not None:
            connection.execute("DELETE FROM conversations WHERE name = ?", (going.conversation,))
        # A deleted row's words stay in older segments of the index until these are merged.
        connection.execute("INSERT INTO messages_text (messages_text) VALUES ('optimize')")
    if not vectors.fold(force=True):
        raise MemoryStoreError(
            "The messages are forgotten, but their vectors are not: another program holds a file of vectors open.",
            hint="Close it there, then run reg.memory.fold().",
        )
    archive.purge()
    return {"messages": len(going.messages), "summaries": len(going.summaries), **counts}


def _summaries(archive: Archive, conversation: str | None, gone: set[str], traces: Traces) -> dict[str, str]:
    """Those of the conversation, those made from what goes, and from those; by id, with their text."""
    rows = archive.rows(
        "SELECT s.summary_id, s.content, s.sources, c.name FROM summaries AS s"
        " JOIN conversations AS c ON c.seq = s.conversation"
    )
    going: dict[str, str] = {}
    while True:
        found = {
            summary_id: content
            for summary_id, content, sources, name in rows
            if summary_id not in going
            and (
                name == conversation
                or not (gone | going.keys()).isdisjoint(_sources(sources))
                or traces.repeated_in(content)
            )
        }
        if not found:
            return going
        going |= found


def _sources(text: str) -> set[str]:
    value: Any = json.loads(text)
    return {one for one in value if isinstance(one, str)}
