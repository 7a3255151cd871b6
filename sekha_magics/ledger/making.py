"""What of an event goes into the ledger: its rows, and those texts that are not there yet. It knows no disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..core.types import Call, Event
from ..storage.content import Hashed, hash_prompt, hash_text
from ..storage.flat import text_object
from ..storage.queue import payload_of
from .rows import Clean, Row, call_row, candidate_rows, cleaner, decision_row, snapshot_rows

__all__ = ["Made", "Maker"]

_KNOWN = 20_000  # snapshots and texts; they are only written once more when they are forgotten


class Made(NamedTuple):
    """What of an event goes into the queue. `new` names the snapshots and texts this process had not written before."""

    payload: str
    texts: str
    new: tuple[str, ...]


class Maker:
    """Makes events into rows, and remembers what this process has written.

    `content` and `redact` are the ledger's. `generation` tells one file of the queue from the next: what was written to
    an earlier one is not in the present one.
    """

    def __init__(
        self, content: Literal["full", "hash", "none"], redact: Callable[[str], str], generation: Callable[[], int]
    ) -> None:
        self.clean: Clean = cleaner(redact)
        self._content, self._generation = content, generation
        self._known: dict[str, int] = {}

    def written(self, names: tuple[str, ...]) -> None:
        """These snapshots and texts are on their way, and need not be written again."""
        self._known.update(dict.fromkeys(names, self._generation()))

    def forget(self) -> None:
        """What was written before may be gone."""
        self._known.clear()

    def made(self, event: Event, writer: str, number: int) -> Made | None:
        """As it is, when no key stands in it; otherwise made once more, with every text cleaned. None for nothing."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        made = self._make(event, writer, number, None)
        if made is not None and not (self.clean(made.payload) == made.payload and self.clean(made.texts) == made.texts):
            made = self._make(event, writer, number, self.clean)
        return made

    def _make(self, event: Event, writer: str, number: int, clean: Clean | None) -> Made | None:
        bodies: dict[str, str] = {}
        prompt = self._hashed(hash_prompt(event.messages, clean or str), bodies) if event.messages else None
        calls = [self._call_row(call, event, clean, prompt, bodies) for call in event.calls]
        decisions: list[Row] = []
        candidates: list[Row] = []
        snapshots: dict[str, Row] = {}
        if event.outcome is not None:
            decisions = [decision_row(event, clean)]
            candidates = candidate_rows(event.decision, clean)
            made = snapshot_rows(event.decision.snapshot, event.ts, clean)
            snapshots = {name: row() for name, row in made.items() if self._is_new(name)}
        elif not calls:
            return None
        receipt = {
            "writer": writer,
            "number": number,
            "decision_id": clean(event.decision.decision_id) if clean else event.decision.decision_id,
            "decisions": len(decisions),
            "candidates": len(candidates),
            "calls": len(calls),
            "texts": self._content == "full",
        }
        tables = {
            "calls": calls,
            "decisions": decisions,
            "candidates": candidates,
            "snapshots": list(snapshots.values()),
            "receipts": [receipt],
        }
        bodies = {sha256: body for sha256, body in bodies.items() if self._is_new(sha256)}
        return Made(payload_of(tables), text_object(bodies) if bodies else "", (*snapshots, *bodies))

    def _is_new(self, name: str) -> bool:
        """Whether this process has not written it yet, to this file."""
        return self._known.get(name) != self._generation()

    def _call_row(
        self, call: Call, event: Event, clean: Clean | None, prompt: str | None, bodies: dict[str, str]
    ) -> Row:
        text = event.responses.get(call.call_id)
        response = None if text is None else self._hashed(hash_text(clean(text) if clean else text), bodies)
        return call_row(call, clean, prompt, response)

    def _hashed(self, hashed: Hashed, bodies: dict[str, str]) -> str | None:
        if self._content == "full":
            bodies.update(hashed.bodies)
        return None if self._content == "none" else hashed.sha256
