"""Summaries of a conversation by day, week and month, each level made from the one below.

What has its summary already is not asked about again, and what is done stays when the rest is interrupted. A summary is
kept only if everything it was made from is still there, unchanged, when it is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, MemoryStoreError
from .archive import Archive, utc_now
from .asking import Answer, Asker, Errand, Progress, Task
from .checks import sound
from .condensing import PART as PART_TASK
from .condensing import fitting, summary_of
from .material import Piece
from .periods import LEVELS, PART, Period, name_of, periods, summary_id

__all__ = ["WORDS", "make", "pieces_of", "the_conversation"]

WORDS = {"daily": 200, "weekly": 500, "monthly": 1000}
"""How many words a summary has at most."""

_UNCHANGED = Path(__file__).with_name("unchanged.sql").read_text(encoding="utf-8")


def make(
    archive: Archive,
    asker: Asker,
    redact: Callable[[str], str],
    conversation: str,
    level: str,
    *,
    fresh: bool,
    wishes: dict[str, Any],
) -> tuple[Errand, int]:
    """Make the summaries of this level and those below that are missing or of what is no longer so; all, if `fresh`.

    Gives what it took, and how many were made.
    """
    number, conversation_id = the_conversation(archive, conversation)
    messages = archive.rows(
        "SELECT message_id, sha256, ts FROM messages WHERE conversation = ? ORDER BY seq", (number,)
    )
    by_level = periods(conversation_id, messages)
    levels = LEVELS[: LEVELS.index(level) + 1]
    wanted = [period for name in levels for period in by_level[name]]
    there = archive.rows("SELECT summary_id, level, starts_at FROM summaries WHERE conversation = ?", (number,))
    starts = {(period.level, _midnight(period.start)) for period in wanted}
    gone = [row[0] for row in there if row[1] in levels and (row[1], row[2]) not in starts]
    if gone:
        with archive.writing() as connection:
            connection.executemany("DELETE FROM summaries WHERE summary_id = ?", [(each,) for each in gone])
    kept = set() if fresh else {row[0] for row in there}
    missing = [period for period in wanted if period.summary_id not in kept]
    errand = Errand(asker, "summarize", conversation, wishes)
    with asker.progress("summary") as bar:
        bar.more(len(missing))
        for period in missing:
            _Making(archive, number, conversation_id, redact, errand, bar, period, fresh).make()
            bar.done()
    return errand, len(missing)


def the_conversation(archive: Archive, name: str) -> tuple[int, str]:
    """Its number and its id. Raises `InvalidInput`."""
    rows = archive.rows("SELECT seq, conversation_id FROM conversations WHERE name = ?", (name,))
    if not rows:
        raise InvalidInput(
            f"There is no conversation {name!r:.80} in the memory.",
            hint="reg.memory.conversations() lists those there are.",
        )
    return rows[0][0], rows[0][1]


def pieces_of(archive: Archive, where: str, value: Any) -> list[Piece]:
    """Messages as material, oldest first: those whose column `where` has this value."""
    rows = archive.rows(f"SELECT message_id, role, content FROM messages WHERE {where} = ? ORDER BY ts, seq", (value,))
    return [Piece(message_id, role, content) for message_id, role, content in rows]


@dataclass(frozen=True, slots=True)
class _Making:
    """One summary on its way."""

    archive: Archive
    conversation: int
    conversation_id: str
    redact: Callable[[str], str]
    errand: Errand
    bar: Progress
    period: Period
    fresh: bool

    def make(self) -> None:
        period = self.period
        if period.level != "daily" and len(period.sources) == 1:
            # There is nothing to put together, and nothing to pay for.
            self._copy(period.sources[0].source)
            return
        task = Task("summary", WORDS[period.level])
        pieces = fitting(self.errand, task, self._pieces(), self._part, self.bar)
        text, answer = self.errand.ask(task, pieces, summary_of(task.words))
        self._keep(period.level, period.summary_id, text, [(s.source, s.version) for s in period.sources], _by(answer))

    def _pieces(self) -> list[Piece]:
        ids = json.dumps([source.source for source in self.period.sources])
        if self.period.level == "daily":
            rows = self.archive.rows(
                "SELECT m.message_id, m.role, m.content FROM messages AS m"
                " JOIN json_each(?) AS j ON j.value = m.message_id ORDER BY j.key",
                (ids,),
            )
            return [Piece(*row) for row in rows]
        rows = self.archive.rows(
            "SELECT s.summary_id, s.level, s.starts_at, s.content FROM summaries AS s JOIN json_each(?) AS j"
            " ON j.value = s.summary_id ORDER BY j.key",
            (ids,),
        )
        return [Piece(i, f"summary of {name_of(level, _date(start))}", content) for i, level, start, content in rows]

    def _part(self, batch: Sequence[Piece], head: str) -> Piece:
        """A summary of a part, kept until the whole is made, for whom the rest is interrupted."""
        made_of = [(piece.source, hashlib.sha256(piece.text.encode()).hexdigest()) for piece in batch]
        own = summary_id(self.conversation_id, PART, f"{self.period.level} {self.period.name}", made_of)
        found = self.archive.rows("SELECT content FROM summaries WHERE summary_id = ?", (own,))
        if found and not self.fresh:
            return Piece(own, head, found[0][0])
        text, answer = self.errand.ask(PART_TASK, batch, summary_of(PART_TASK.words))
        versions = {source.source: source.version for source in self.period.sources}
        sources = {piece.source: versions.get(piece.source, piece.source) for piece in batch}
        return Piece(own, head, self._keep(PART, own, text, list(sources.items()), _by(answer)))

    def _keep(
        self, level: str, own: str, text: str, sources: Sequence[tuple[str, str]], by: tuple[str | None, ...]
    ) -> str:
        """`by` is who made it: provider, model and decision."""
        content = self.redact(sound(text))
        ids = json.dumps([source for source, _ in sources])
        with self.archive.writing() as connection:
            given = {"sources": json.dumps(sources), "conversation": self.conversation}
            (left,) = connection.execute(_UNCHANGED, given).fetchone()
            if left < len(sources):
                raise MemoryStoreError(
                    f"{self.period.name} changed while it was summarized, and nothing was kept of it.",
                    hint="Summarize it again.",
                )
            if level != PART:
                connection.execute(
                    "DELETE FROM summaries"
                    " WHERE conversation = ? AND level IN (?, ?) AND starts_at = ? AND ends_at = ?",
                    (self.conversation, level, PART, *self._bounds),
                )
            connection.execute(
                "INSERT OR REPLACE INTO summaries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (own, self.conversation, level, *self._bounds, content, ids, *by, utc_now()),
            )
        return content

    def _copy(self, source: str) -> None:
        rows = self.archive.rows(
            "SELECT content, provider_id, model_id, decision_id FROM summaries WHERE summary_id = ?", (source,)
        )
        for content, *by in rows:
            self._keep(self.period.level, self.period.summary_id, content, [(source, source)], tuple(by))

    @property
    def _bounds(self) -> tuple[str, str]:
        return _midnight(self.period.start), _midnight(self.period.end)


def _by(answer: Answer) -> tuple[str, str, str]:
    return answer.provider_id, answer.model_id, answer.decision.decision_id


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00+00:00"


def _date(starts_at: str) -> date:
    return datetime.fromisoformat(starts_at).date()
