"""Conversations and messages in SQLite. What was added is committed before the call returns, from any kernel.

A message has a folder, label and importance of its own only where they differ from its conversation's: a conversation
that is moved takes the others along.
"""

from __future__ import annotations

import hashlib
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, MemoryStoreError
from ..storage.sqlite import Database

__all__ = ["SCHEMA", "Archive", "NewMessage", "content_hash", "missing", "utc_now"]

SCHEMA = Path(__file__).with_name("schema.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to add. `ts` is a UTC time in ISO 8601; None is now."""

    role: str
    content: str
    ts: str | None = None


def content_hash(content: str) -> tuple[str, int]:
    """The SHA-256 of a text in hexadecimal, and its first eight bytes as a number: what ties a vector to its text."""
    digest = hashlib.sha256(content.encode()).digest()
    return digest.hex(), int.from_bytes(digest[:8], "big", signed=True)


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


class Archive:
    """The file `memory.sqlite`. Raises `MemoryStoreError` when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, SCHEMA)

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction."""
        with self._refusals(), self._database.write() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection to read from; None where nothing was ever added."""
        with self._refusals(), self._database.read() as connection:
            yield connection

    @property
    def generation(self) -> int:
        """Grows when the file was deleted and made anew."""
        return self._database.generation

    def tidy(self) -> None:
        """Move what is committed from the log into the file."""
        with self._refusals():
            self._database.checkpoint()

    def purge(self) -> None:
        """Leave nothing of what was deleted, in the file or its log."""
        with self._refusals():
            self._database.purge()

    def close(self) -> None:
        self._database.close()

    # --- adding ---

    def add(
        self,
        messages: Sequence[NewMessage],
        conversation: str,
        *,
        holder: str,
        folder: str | None = None,
        label: str | None = None,
        importance: int | None = None,
        notebook: str | None = None,
        model: str | None = None,
    ) -> list[str]:
        """Add messages to the conversation of this name, all or none, and queue them for embedding by `holder`.

        A conversation that is made by this takes folder, label and importance; in one that is there already they
        become the messages' own, where they differ.
        """
        if not messages:
            return []
        batch, now = uuid.uuid4().hex, utc_now()
        ids = [uuid.uuid4().hex for _ in messages]
        with self.writing() as connection:
            seq, own = self._conversation(connection, conversation, now, folder, label, importance, notebook)
            for message_id, message in zip(ids, messages, strict=True):
                sha256, _ = content_hash(message.content)
                added = connection.execute(
                    "INSERT INTO messages (message_id, conversation, role, content, sha256, ts, importance, label,"
                    " folder) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (message_id, seq, message.role, message.content, sha256, message.ts or now, *own),
                ).lastrowid
                connection.execute(
                    "INSERT INTO unembedded (message, batch, holder, model) VALUES (?, ?, ?, ?)",
                    (added, batch, holder, model),
                )
            connection.execute("UPDATE conversations SET updated_at = ? WHERE seq = ?", (now, seq))
        return ids

    def _conversation(
        self,
        connection: sqlite3.Connection,
        name: str,
        now: str,
        folder: str | None,
        label: str | None,
        importance: int | None,
        notebook: str | None,
    ) -> tuple[int, tuple[int | None, str | None, str | None]]:
        """Its number, and what the messages added now have of their own: importance, label, folder."""
        found = connection.execute(
            "SELECT seq, importance, label, folder FROM conversations WHERE name = ?", (name,)
        ).fetchone()
        if found is None:
            seq = connection.execute(
                "INSERT INTO conversations (conversation_id, name, label, folder, importance, notebook, created_at,"
                " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (uuid.uuid4().hex, name, label, folder or "/", importance or 5, notebook, now, now),
            ).lastrowid
            return int(seq or 0), (None, None, None)
        seq, *theirs = found
        wanted = (importance, label, folder)
        own = tuple(None if w == t else w for w, t in zip(wanted, theirs, strict=True))
        return seq, own  # type: ignore[return-value]

    # --- changing ---

    def change_conversation(self, name: str, fields: Mapping[str, Any]) -> None:
        """Set columns of it. Raises `InvalidInput` for one that is not there."""
        with self.writing() as connection:
            _change(connection, "conversations", "name", name, {**fields, "updated_at": utc_now()})

    def change_message(self, message_id: str, fields: Mapping[str, Any], *, holder: str) -> None:
        """Set columns of it. A new text loses its vectors, and waits for new ones. Raises `InvalidInput`."""
        content = fields.get("content")
        extra = {"sha256": content_hash(content)[0]} if content is not None else {}
        with self.writing() as connection:
            _change(connection, "messages", "message_id", message_id, {**fields, **extra})
            if content is not None:
                connection.execute(
                    "INSERT OR REPLACE INTO unembedded (message, batch, holder)"
                    " SELECT seq, ?, ? FROM messages WHERE message_id = ?",
                    (uuid.uuid4().hex, holder, message_id),
                )

    def delete_conversation(self, name: str) -> int:
        """Delete it with its messages, summaries and vectors, and say how many messages that were."""
        with self.writing() as connection:
            count = connection.execute("SELECT count(*) FROM remembered WHERE conversation = ?", (name,)).fetchone()[0]
            if not connection.execute("DELETE FROM conversations WHERE name = ?", (name,)).rowcount:
                raise missing("conversations", name)
        return int(count)

    def delete_messages(self, message_ids: Sequence[str]) -> int:
        """Delete them, all or, when one is not there, none."""
        with self.writing() as connection:
            for message_id in message_ids:
                if not connection.execute("DELETE FROM messages WHERE message_id = ?", (message_id,)).rowcount:
                    raise missing("messages", message_id)
        return len(message_ids)

    # --- reading ---

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query; none where nothing was ever added."""
        with self.reading() as connection:
            return [] if connection is None else connection.execute(query, parameters).fetchall()

    def columns(self, query: str, parameters: Sequence[Any] = ()) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Names of the columns, and the rows."""
        with self.reading() as connection:
            if connection is None:
                with closing(sqlite3.connect(":memory:")) as empty:
                    empty.executescript(SCHEMA)
                    return _columns(empty.execute(query, parameters))
            return _columns(connection.execute(query, parameters))

    def epoch(self) -> str:
        """What tells this memory from another one at the same path; empty where there is none."""
        rows = self.rows("SELECT epoch FROM identity")
        return str(rows[0][0]) if rows else ""

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise MemoryStoreError(
                f"The memory in {self.path} cannot be used: {error}",
                hint="Look whether the disk is full and the folder may be written; `memory.path` names another one.",
            ) from error


def _change(connection: sqlite3.Connection, table: str, key: str, value: str, fields: Mapping[str, Any]) -> None:
    setting = ", ".join(f"{name} = ?" for name in fields)
    if not connection.execute(f"UPDATE {table} SET {setting} WHERE {key} = ?", (*fields.values(), value)).rowcount:
        raise missing(table, value)


def _columns(cursor: sqlite3.Cursor) -> tuple[list[str], list[tuple[Any, ...]]]:
    return [column[0] for column in cursor.description], cursor.fetchall()


def missing(table: str, value: str) -> InvalidInput:
    what = "conversation" if table == "conversations" else "message"
    return InvalidInput(
        f"There is no {what} {value!r:.80} in the memory.", hint=f"reg.memory.{what}s() lists those there are."
    )
