"""What ChatGPT and Claude give their users of their conversations (`conversations.json`), as conversations of ours.

Nobody documents these files, and they change: what is not understood is left out and counted, never guessed.
(As they were in November 2025.)
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeGuard

from .checks import sound
from .transfer import Conversation, Message

__all__ = ["Read", "from_chatgpt", "from_claude"]

_LONGEST_NAME = 200
_UNKNOWN = "1970-01-01T00:00:00+00:00"


class Read(NamedTuple):
    """A conversation, None where the entry is none, and how many of its parts were left out."""

    conversation: Conversation | None
    skipped: int


def from_chatgpt(entry: Any, folder: str) -> Read:
    """A tree of nodes: kept is the branch that its user saw last, without hidden messages and those of tools."""
    mapping = entry.get("mapping") if isinstance(entry, Mapping) else None
    if not isinstance(mapping, Mapping):
        return Read(None, 1)
    own = _text(entry.get("conversation_id")) or _text(entry.get("id")) or _digest(repr(sorted(map(str, mapping))))
    skipped, messages = 0, []
    for node_id, said in _branch(entry, mapping):
        role, text = _author(said), _chatgpt_text(said)
        if role is None or not text.strip():
            continue
        messages.append((node_id, role, text, _time(said.get("create_time"))))
    skipped += sum(1 for node in mapping.values() if not isinstance(node, Mapping))
    return _made("chatgpt", own, entry.get("title"), folder, messages, skipped, _time(entry.get("create_time")))


def from_claude(entry: Any, folder: str) -> Read:
    """A list of messages, with the text of documents that were attached."""
    listed = entry.get("chat_messages") if isinstance(entry, Mapping) else None
    if not isinstance(listed, list):
        return Read(None, 1)
    own = _text(entry.get("uuid")) or _digest(repr(listed)[:10_000])
    skipped, messages = 0, []
    for number, said in enumerate(listed):
        role = {"human": "user", "assistant": "assistant"}.get(str(said.get("sender"))) if _is(said) else None
        if role is None:
            skipped += 1
            continue
        text = _claude_text(said)
        if text.strip():
            ident = _text(said.get("uuid")) or str(number)
            messages.append((ident, role, text, _time(said.get("created_at"))))
    return _made("claude", own, entry.get("name"), folder, messages, skipped, _time(entry.get("created_at")))


def _made(
    maker: str,
    own: str,
    title: Any,
    folder: str,
    messages: list[tuple[str, str, str, str | None]],
    skipped: int,
    created: str | None,
) -> Read:
    if not messages:
        return Read(None, skipped + 1)
    first = created or next((ts for *_, ts in messages if ts), None) or _UNKNOWN
    kept, last = [], first
    for ident, role, text, ts in messages:
        # One without a time was said after the one before it.
        last = ts or last
        kept.append(Message(_digest(f"{maker}:{own}:{ident}"), role, sound(text), last))
    name = " ".join("".join(c if c.isprintable() else " " for c in sound(_text(title))).split())
    fallback = f"{maker} {own[:8]}"
    conversation = Conversation(
        _digest(f"{maker}:{own}"),
        name[:_LONGEST_NAME].strip() or " ".join("".join(c if c.isprintable() else " " for c in fallback).split()),
        first,
        max(first, last),
        tuple(kept),
        folder=folder,
    )
    return Read(conversation, skipped)


def _branch(entry: Mapping[str, Any], mapping: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Nodes from the root to the current one, or where none is named, to the latest leaf."""
    node_id = _text(entry.get("current_node"))
    if node_id not in mapping:
        node_id = _latest_leaf(mapping)
    seen: set[str] = set()
    path: list[tuple[str, Mapping[str, Any]]] = []
    while node_id in mapping and node_id not in seen and _is(mapping[node_id]):
        # A node may name itself or a child as its parent.
        seen.add(node_id)
        said = mapping[node_id].get("message")
        if _is(said):
            path.append((node_id, said))
        node_id = _text(mapping[node_id].get("parent"))
    return path[::-1]


def _latest_leaf(mapping: Mapping[str, Any]) -> str:
    parents = {_text(node.get("parent")) for node in mapping.values() if _is(node)}
    leaves = [str(name) for name, node in mapping.items() if _is(node) and name not in parents]
    times = {name: _time(said.get("create_time")) or "" for name in leaves if _is(said := mapping[name].get("message"))}
    return max(times, key=lambda name: times[name], default="")


def _author(said: Mapping[str, Any]) -> str | None:
    author, metadata = said.get("author"), said.get("metadata")
    if _is(metadata) and metadata.get("is_visually_hidden_from_conversation"):
        return None
    role = author.get("role") if _is(author) else None
    return role if role in ("user", "assistant") else None


def _chatgpt_text(said: Mapping[str, Any]) -> str:
    content = said.get("content")
    if not _is(content):
        return ""
    if content.get("content_type") == "code":
        return _text(content.get("text"))
    if content.get("content_type") not in ("text", "multimodal_text"):
        return ""
    parts = content.get("parts")
    texts = [_text(p.get("text")) if _is(p) else _text(p) for p in parts] if isinstance(parts, list) else []
    return "\n".join(text for text in texts if text)


def _claude_text(said: Mapping[str, Any]) -> str:
    return "\n\n".join(text for text in _claude_texts(said) if text.strip())


def _claude_texts(said: Mapping[str, Any]) -> Iterator[str]:
    blocks = said.get("content")
    listed = [_text(b.get("text")) for b in blocks if _is(b) and b.get("type") == "text"] if _listed(blocks) else []
    yield "\n".join(text for text in listed if text) or _text(said.get("text"))
    attached = said.get("attachments")
    for one in attached if _listed(attached) else ():
        if _is(one):
            yield _text(one.get("extracted_content"))


def _is(value: Any) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _listed(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _time(value: Any) -> str | None:
    """Seconds since 1970, or ISO 8601, as UTC in ISO 8601."""
    try:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return datetime.fromtimestamp(value, UTC).isoformat(timespec="microseconds")
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            return moment.astimezone(UTC).isoformat(timespec="microseconds")
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
