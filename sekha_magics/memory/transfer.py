"""Conversations on their way out of a memory and into one, whole: every field, so that going out and in loses nothing.

Coming in a second time changes nothing: what is there, by its id, stays as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from .archive import Archive, content_hash, utc_now

__all__ = ["Brought", "Conversation", "Message", "Summary", "bring", "take"]


@dataclass(frozen=True, slots=True)
class Message:
    """`importance`, `label` and `folder` are its own, None for those of the conversation. `ts` is UTC in ISO 8601."""

    message_id: str
    role: str
    content: str
    ts: str
    importance: int | None = None
    label: str | None = None
    folder: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """`sources` is a JSON list of ids."""

    summary_id: str
    level: str
    content: str
    sources: str
    created_at: str
    starts_at: str | None = None
    ends_at: str | None = None
    provider_id: str | None = None
    model_id: str | None = None
    decision_id: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    conversation_id: str
    name: str
    created_at: str
    updated_at: str
    messages: tuple[Message, ...]
    summaries: tuple[Summary, ...] = ()
    label: str | None = None
    folder: str = "/"
    importance: int = 5
    pinned: bool = False
    archived: bool = False
    notebook: str | None = None


@dataclass(frozen=True, slots=True)
class Brought:
    """How much came in, was there already, and could not be understood."""

    conversations: int = 0
    messages: int = 0
    known: int = 0
    skipped: int = 0

    def __add__(self, other: Brought) -> Brought:
        return Brought(*(a + b for a, b in zip(asdict(self).values(), asdict(other).values(), strict=True)))


_LONGEST_BEFORE_A_NUMBER = 280
_OF_A_MESSAGE = [field.name for field in fields(Message)]
_OF_A_SUMMARY = [field.name for field in fields(Summary)]
_OF_A_CONVERSATION = [field.name for field in fields(Conversation) if field.name not in ("messages", "summaries")]


def take(archive: Archive, name: str | None = None) -> Iterator[Conversation]:
    """The conversation of that name, or all, oldest first."""
    query = f"SELECT seq, {', '.join(_OF_A_CONVERSATION)} FROM conversations"
    where, given = ("", ()) if name is None else (" WHERE name = ?", (name,))
    for seq, *told in archive.rows(f"{query}{where} ORDER BY seq", given):
        own = dict(zip(_OF_A_CONVERSATION, told, strict=True))
        own |= {"pinned": bool(own["pinned"]), "archived": bool(own["archived"])}
        messages = tuple(Message(*row) for row in _rows(archive, "messages", _OF_A_MESSAGE, seq, "seq"))
        order = "created_at, summary_id"
        summaries = tuple(Summary(*row) for row in _rows(archive, "summaries", _OF_A_SUMMARY, seq, order))
        yield Conversation(**own, messages=messages, summaries=summaries)


def bring(
    archive: Archive, conversations: Iterable[Conversation], redact: Callable[[str], str], *, holder: str
) -> Brought:
    """Keep what is not there yet, conversation by conversation; each is there whole or not at all.

    Its messages wait to be embedded by `holder`. A name that another conversation has gets a number.
    """
    brought = Brought()
    for conversation in conversations:
        brought += _bring(archive, _redacted(conversation, redact), holder)
    return brought


def _bring(archive: Archive, given: Conversation, holder: str) -> Brought:
    batch = uuid.uuid4().hex
    with archive.writing() as connection:
        found = connection.execute(
            "SELECT seq FROM conversations WHERE conversation_id = ?", (given.conversation_id,)
        ).fetchone()
        new = found is None
        if found is None:
            taken = {row[0] for row in connection.execute("SELECT name FROM conversations")}
            values = [getattr(given, name) for name in _OF_A_CONVERSATION]
            values[_OF_A_CONVERSATION.index("name")] = _free(given.name, taken)
            seq = connection.execute(_insert("conversations", _OF_A_CONVERSATION), values).lastrowid
        else:
            (seq,) = found
        added = 0
        for message in given.messages:
            values = [getattr(message, name) for name in _OF_A_MESSAGE]
            done = connection.execute(
                _insert("messages", [*_OF_A_MESSAGE, "sha256", "conversation"]),
                (*values, content_hash(message.content)[0], seq),
            )
            if done.rowcount:
                added += 1
                connection.execute(
                    "INSERT INTO unembedded (message, batch, holder)"
                    " SELECT seq, ?, ? FROM messages WHERE message_id = ?",
                    (batch, holder, message.message_id),
                )
        for summary in given.summaries:
            values = [getattr(summary, name) for name in _OF_A_SUMMARY]
            connection.execute(_insert("summaries", [*_OF_A_SUMMARY, "conversation"]), (*values, seq))
        if added and not new:
            connection.execute("UPDATE conversations SET updated_at = ? WHERE seq = ?", (utc_now(), seq))
    return Brought(int(new), added, len(given.messages) - added)


def _rows(archive: Archive, table: str, columns: list[str], seq: int, order: str) -> list[tuple[Any, ...]]:
    query = f"SELECT {', '.join(columns)} FROM {table} WHERE conversation = ? ORDER BY {order}"
    return archive.rows(query, (seq,))


def _insert(table: str, columns: list[str]) -> str:
    marks = ", ".join("?" * len(columns))
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free in taken:
        free, number = f"{name[:_LONGEST_BEFORE_A_NUMBER]} ({number})", number + 1
    return free


def _redacted(given: Conversation, redact: Callable[[str], str]) -> Conversation:
    return replace(
        given,
        name=redact(given.name),
        messages=tuple(replace(message, content=redact(message.content)) for message in given.messages),
        summaries=tuple(replace(summary, content=redact(summary.content)) for summary in given.summaries),
    )
