"""Texts kept once, by the SHA-256 of their bytes: a message that a conversation repeats is one row.

A prompt is the list of its messages' hashes, itself kept by hash. Of images and sound only facts are kept (format,
size, hash), never the bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from ..core.content import Audio, Image, Message, Part, Text
from ..core.traces import Traces
from .flat import quoted_json
from .migrations import migrations
from .queue import QueuedRow
from .sqlite import Database

__all__ = ["ContentStore", "Hashed", "hash_prompt", "hash_text", "message_text", "texts_of"]

STEPS = migrations(Path(__file__).with_name("schemas") / "content")
# One form for equal values, since its hash is the identity of a message.
_canonical = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode
_AT_ONCE = 500  # host parameters of one statement; SQLite's own limit was 999 for long


class Hashed:
    """A text or prompt by its hash, with every body that must be kept for it to be read again."""

    __slots__ = ("bodies", "sha256")

    def __init__(self, sha256: str, bodies: Mapping[str, str]) -> None:
        self.sha256, self.bodies = sha256, bodies


def hash_text(text: str) -> Hashed:
    # Half of a surrogate pair has a hash too, so that a text may be hashed before it is cleaned.
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return Hashed(digest, {digest: text})


def hash_prompt(messages: Sequence[Message], clean: Callable[[str], str]) -> Hashed:
    """The hash of a whole prompt. `clean` goes over every text before it is hashed."""
    stored = [hash_text(_body(message, clean)) for message in messages]
    prompt = hash_text(_canonical([message.sha256 for message in stored]))
    bodies: dict[str, str] = {}
    for hashed in (*stored, prompt):
        bodies.update(hashed.bodies)
    return Hashed(prompt.sha256, bodies)


def message_text(body: str) -> str | None:
    """What people read of a message, by its body; None where the body is no message."""
    if not body.startswith('{"parts":'):
        return None
    try:
        message = json.loads(body)
        return "".join(_readable_part(part) for part in message["parts"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def texts_of(rows: Iterable[QueuedRow]) -> dict[str, str]:
    """Bodies by hash that came with queued rows. What is no JSON object of texts has none."""
    bodies: dict[str, str] = {}
    for row in rows:
        try:
            found = json.loads(row.texts) if row.texts else {}
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            bodies.update((sha256, body) for sha256, body in found.items() if isinstance(body, str))
    return bodies


class ContentStore:
    """The texts in the file at `path`. Raises `sqlite3.Error` or `OSError` when the file cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        # Written by whoever holds the fold lock.
        self._database = Database(path, STEPS, alone=True)

    def put(self, bodies: Mapping[str, str]) -> None:
        with self._database.write() as connection:
            connection.executemany(
                "INSERT INTO contents (sha256, body) VALUES (?, ?) ON CONFLICT (sha256) DO NOTHING", bodies.items()
            )

    def get(self, hashes: Iterable[str]) -> dict[str, str]:
        """Bodies by hash; what is not kept is not in the answer."""
        wanted = list(dict.fromkeys(hashes))
        found: dict[str, str] = {}
        with self._database.read() as connection:
            if connection is None:
                return found
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                found.update(connection.execute(f"SELECT sha256, body FROM contents WHERE sha256 IN ({marks})", part))
        return found

    def prompts(self, hashes: Iterable[str], kept: Mapping[str, str] | None = None) -> dict[str, str]:
        """Prompts as people read them: one message is its text, several each stand under their role.

        `kept` are bodies that did not reach the file yet. One of which no message is left is not in the answer.
        """
        lists = {sha256: json.loads(body) for sha256, body in self._known(hashes, kept).items()}
        messages = self._known((sha256 for members in lists.values() for sha256 in members), kept)
        found = {sha256: [messages.get(m) for m in members] for sha256, members in lists.items()}
        return {sha256: _readable(bodies) for sha256, bodies in found.items() if any(bodies)}

    def texts(self, hashes: Iterable[str], kept: Mapping[str, str] | None = None) -> dict[str, str]:
        return self._known(hashes, kept)

    def reading(self) -> AbstractContextManager[Connection | None]:
        """A connection to ask `contents` of; None where no text was kept yet."""
        return self._database.read()

    def writing(self) -> AbstractContextManager[Connection]:
        """One transaction that changes `contents`."""
        return self._database.write()

    def scrub(self) -> bool:
        """Leave nothing of deleted texts on the disk; False where that has to wait for a reader elsewhere."""
        return self._database.scrub()

    def everything(self) -> Iterator[tuple[str, str]]:
        """All bodies by hash, read by a connection of their own: it takes long, and others go on meanwhile."""
        if not self.path.exists():
            return
        with closing(self._database.stray()) as connection:
            yield from connection.execute("SELECT sha256, body FROM contents")

    def forget(self, traces: Traces) -> int:
        """Remove for good every text that touches the traces, and say how many."""
        with self._database.write() as connection:
            gone = [
                (sha256,)
                for sha256, body in connection.execute("SELECT sha256, body FROM contents")
                if traces.touched_by(body)
            ]
            connection.executemany("DELETE FROM contents WHERE sha256 = ?", gone)
            connection.executemany("INSERT OR IGNORE INTO forgotten VALUES (?)", gone)
        self._database.purge()
        return len(gone)

    def forgotten(self) -> list[str]:
        """Hashes of the texts that were."""
        if not self.path.exists():
            return []
        with closing(self._database.stray()) as connection:
            # A file of an earlier version that may only be read has no such table.
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'forgotten'").fetchone():
                return []
            return [row[0] for row in connection.execute("SELECT sha256 FROM forgotten")]

    def hold(self, rows: Iterable[QueuedRow]) -> None:
        """Make durable the texts that came with `rows`, before these leave the queue."""
        bodies = texts_of(rows)
        if bodies:
            self.put(bodies)
            self.tidy()

    def tidy(self) -> None:
        """Do now, where nobody waits, what SQLite would do inside some later commit."""
        self._database.checkpoint()

    def close(self) -> None:
        self._database.close()

    def _known(self, hashes: Iterable[str], kept: Mapping[str, str] | None) -> dict[str, str]:
        wanted = list(hashes)
        return {sha256: kept[sha256] for sha256 in wanted if kept and sha256 in kept} | self.get(wanted)


def _body(message: Message, clean: Callable[[str], str]) -> str:
    if len(message.parts) == 1 and isinstance(part := message.parts[0], Text):
        # What the line below makes of it, in a fifth of the time.
        return f'{{"parts":[{{"text":{quoted_json(clean(part.text))}}}],"role":{quoted_json(message.role)}}}'
    return _canonical(_message(message, clean))


def _message(message: Message, clean: Callable[[str], str]) -> dict[str, Any]:
    return {"role": message.role, "parts": [_part(part, clean) for part in message.parts]}


def _part(part: Part, clean: Callable[[str], str]) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"text": clean(text)}
        case Image(format=format, data=None, url=url):
            return {"image": {"format": format, "url": clean(url or ""), "sha256": part.sha256}}
        case Image(format=format, data=data):
            return {"image": {"format": format, "size": len(data or b""), "sha256": part.sha256}}
        case Audio(format=format, data=data):
            return {"audio": {"format": format, "size": len(data), "sha256": part.sha256}}


def _readable(bodies: Sequence[str | None]) -> str:
    messages: list[dict[str, Any]] = [
        {"role": "?", "parts": [{"text": "[not kept]"}]} if body is None else json.loads(body) for body in bodies
    ]
    texts = ["".join(_readable_part(part) for part in message["parts"]) for message in messages]
    if len(messages) == 1:
        return texts[0]
    return "\n\n".join(f"{message['role']}: {text}" for message, text in zip(messages, texts, strict=True))


def _readable_part(part: Mapping[str, Any]) -> str:
    if "text" in part:
        return str(part["text"])
    ((kind, facts),) = part.items()
    where = facts["url"] if "url" in facts else f"{facts['size']} bytes, sha256 {facts['sha256'][:12]}"
    return f"[{kind} {facts['format']}, {where}]"
