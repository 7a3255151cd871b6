"""Where a text stands among all that are kept: every body is read once, in the order of the file.

A plain scan and no index: FTS5 finds words, not `%s` or half a word; its trigrams would make the file three times as
long, cost every event more than the event itself, and keep what was pruned in places of their own. SQLite reads some
hundred megabytes a second, and a search is asked for seldom.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from .content import ContentStore, message_text

__all__ = ["Found", "pattern", "scan"]


@dataclass(slots=True)
class Found:
    """`texts` are the hashes of plain bodies in which it stands; `prompts` those of prompts, each with a number for
    every message that holds it. Equal messages have equal numbers, and an answer has that of the message repeating it.
    """

    texts: dict[str, int] = field(default_factory=dict)
    prompts: dict[str, frozenset[int]] = field(default_factory=dict)


def pattern(text: str) -> re.Pattern[str]:
    """`text` as it stands, in any case."""
    return re.compile(re.escape(text), re.IGNORECASE)


def scan(contents: ContentStore, text: str, waiting: Mapping[str, str]) -> Found:
    """Find `text`, literally and in any case. `waiting` are bodies that did not reach the file yet."""
    found, messages, wanted = Found(), {}, pattern(text)
    forms = dict.fromkeys((text, json.dumps(text, ensure_ascii=False)[1:-1]))
    with contents.reading() as connection:
        for sha256, body in (*_holding(connection, list(forms)), *waiting.items()):
            if wanted.search(body):
                found.texts[sha256] = hash(body)
            said = message_text(body)
            if said is not None and wanted.search(said):
                messages[sha256] = hash(said)
        if messages:
            for sha256, body in (*_lists(connection), *waiting.items()):
                if held := messages.keys() & _members(body):
                    found.prompts[sha256] = frozenset(messages[member] for member in held)
    return found


def _holding(connection: sqlite3.Connection | None, forms: list[str]) -> Iterator[tuple[str, str]]:
    """Bodies that hold one of `forms` in any case, and perhaps some more."""
    if connection is None:
        return iter(())
    for number, form in enumerate(forms):
        folded = form.casefold()
        # SQLite's LIKE is twice as fast, but knows the case of ASCII alone and stops at a NUL.
        connection.create_function(f"sekha_holds_{number}", 1, lambda body, folded=folded: folded in body.casefold())
    condition = " OR ".join(f"sekha_holds_{number}(body)" for number in range(len(forms)))
    return connection.execute(f"SELECT sha256, body FROM contents WHERE {condition}")


def _lists(connection: sqlite3.Connection | None) -> Iterator[tuple[str, str]]:
    if connection is None:
        return iter(())
    return connection.execute("SELECT sha256, body FROM contents WHERE body GLOB '[[]\"*'")


def _members(body: str) -> frozenset[str]:
    """The hashes a prompt consists of; of anything else none."""
    if not body.startswith('["'):
        return frozenset()
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(member for member in members if isinstance(member, str))
