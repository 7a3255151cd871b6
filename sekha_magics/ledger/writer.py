"""How an event gets to the disk: texts first, then its rows, in one transaction; folded later by a thread.

What the disk refuses stays in memory, in order, and goes with the next event; ids make a second try harmless.
"""

from __future__ import annotations

import atexit
import hashlib
import logging
import sqlite3
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..core.types import Call, Event
from ..errors import InvalidInput, LedgerError
from ..storage.background import BackgroundFold
from ..storage.content import ContentStore, Hashed, hash_prompt, hash_text
from ..storage.fold import fold
from ..storage.forks import renew_in_child
from ..storage.queue import Columns, NewRow, Queue, QueuedRow, payload_of
from ..storage.tables import Tables
from .pruning import Pruned, Which, prune, pruned_at, would_prune
from .rows import Row, by_column, call_row, candidate_rows, cleaner, decision_row, snapshot_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Writer"]

_FLUSH_WAIT = 30.0
_BACKGROUND_WAIT = 2.0
_SNAPSHOTS_KNOWN = 10_000
_NO_NUMBER = 0  # of a row that is not in the queue yet


class _Batch(NamedTuple):
    """`pruned` is `pruned_at` before any of it was written, `snapshots` the rows the event's snapshot consists of."""

    rows: list[NewRow]
    bodies: Mapping[str, str]
    pruned: int
    snapshots: Callable[[], list[NewRow]]


class Writer:
    """Writes events for the ledger at `path`. `content` and `redact` are the ledger's."""

    def __init__(
        self, path: Path, tables: Tables, content: Literal["full", "hash", "none"], redact: Callable[[str], str]
    ) -> None:
        # Two ledgers in one folder must not fold each other's queue.
        prefix = "" if path.name == "ledger.duckdb" else f"{path.name}."
        self._path, self._tables, self._content, self._clean = path, tables, content, cleaner(redact)
        self._queue = Queue(path.with_name(f"{prefix}queue.sqlite"))
        self._contents = ContentStore(path.with_name(f"{prefix}content.sqlite"))
        self._pending: deque[_Batch] = deque()
        self._known: dict[str, tuple[int, int]] = {}
        self._warned: set[str] = set()
        self._at_exit = False
        self._folding = BackgroundFold(self._fold_in_background)
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Keeps events in order, and makes an append return only after the commit that holds it, whoever made that.
        self._writing = threading.Lock()

    @property
    def unwritten(self) -> int:
        return len(self._pending)

    # --- events ---

    def append(self, event: Event) -> None:
        if not isinstance(event, Event):
            raise InvalidInput(f"The ledger takes events, not a {type(event).__name__}.")
        self._pending.append(self._batch(event))
        self._write()
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self.close)
        self._folding.notice()

    def _batch(self, event: Event) -> _Batch:
        bodies: dict[str, str] = {}
        pruned = pruned_at(self._path)
        prompt = self._hashed(hash_prompt(event.messages, self._clean), bodies) if event.messages else None
        tables: dict[str, list[Row]] = {"calls": [self._call_row(call, event, prompt, bodies) for call in event.calls]}
        rows: list[NewRow] = []
        if event.outcome is not None:
            tables["decisions"] = [decision_row(event, self._clean)]
            tables["candidates"] = candidate_rows(event.decision, self._clean)
            rows = self._new_snapshots(event, (self._queue.generation, pruned))
        content = {table: by_column(entries) for table, entries in tables.items() if entries}
        if content:
            rows.append(_new_row("call" if event.outcome is None else "decision", content))
        return _Batch(rows, bodies, pruned, partial(self._new_snapshots, event))

    def _new_snapshots(self, event: Event, file: tuple[int, int] | None = None) -> list[NewRow]:
        """Rows for what this process has not written yet, to this file since it was last pruned; all without `file`."""
        if len(self._known) > _SNAPSHOTS_KNOWN:
            self._known.clear()
        rows = []
        for snapshot_id, row in snapshot_rows(event.decision.snapshot, event.ts, self._clean).items():
            if file is None or self._known.get(snapshot_id) != file:
                if file is not None:
                    self._known[snapshot_id] = file
                rows.append(_new_row("snapshot", {"snapshots": by_column([row()])}))
        return rows

    def _call_row(self, call: Call, event: Event, prompt: str | None, bodies: dict[str, str]) -> Row:
        text = event.responses.get(call.call_id)
        response = None if text is None else self._hashed(hash_text(self._clean(text)), bodies)
        return call_row(call, self._clean, prompt, response)

    def _hashed(self, hashed: Hashed, bodies: dict[str, str]) -> str | None:
        if self._content == "full":
            bodies.update(hashed.bodies)
        return None if self._content == "none" else hashed.sha256

    def _write(self) -> None:
        """Commit what is pending, or keep it there."""
        with self._writing:
            batches = list(self._pending)
            if not batches:
                return
            bodies: dict[str, str] = {}
            for batch in batches:
                bodies.update(batch.bodies)
            try:
                # Texts first: a hash in the tables that leads nowhere would be worse than a text nobody asks for.
                if bodies:
                    self._contents.put(bodies)
                self._queue.append(row for batch in batches for row in batch.rows)
                self._repeat_if_pruned(batches, bodies)
            except (sqlite3.Error, OSError) as error:
                self._warn(
                    "write", f"The ledger beside {self._path} cannot be written; its rows wait in memory: {error}"
                )
                return
            # Only now, so that a reader meets them in one place at least.
            for _ in batches:
                self._pending.popleft()
            self._warned.discard("write")

    def _repeat_if_pruned(self, batches: Sequence[_Batch], bodies: Mapping[str, str]) -> None:
        """Write again what a prune took for unused, since the rows that use it were not there yet."""
        pruned = pruned_at(self._path)
        if changed := [batch for batch in batches if batch.pruned != pruned]:
            self._contents.put(bodies)
            self._queue.append(row for batch in changed if batch.rows for row in batch.snapshots())

    # --- folding ---

    def flush(self) -> None:
        self._write()
        if self._pending:
            raise LedgerError(
                f"The ledger beside {self._path} cannot be written: {len(self._pending)} events are in memory only.",
                hint="Make room on the disk or give write permission; the next event tries again.",
            )
        try:
            folded = fold(self._path, self._queue, self._tables, wait=_FLUSH_WAIT)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._path} cannot be folded: {error}", hint="Nothing is lost: see the queue."
            ) from error
        if folded.waiting:
            raise LedgerError(
                f"{self._path} cannot be folded now: {folded.waiting}.",
                hint="Nothing is lost: the queue keeps the rows, and a later fold takes them.",
            )

    def close(self) -> None:
        atexit.unregister(self.close)
        self._at_exit = False
        self._folding.close()
        self._write()
        self._queue.close()
        self._contents.close()
        if self._pending:
            self._warn("close", f"{len(self._pending)} events of the ledger at {self._path} were never written.")

    def _fold_in_background(self) -> bool:
        self._write()
        try:
            folded = fold(self._path, self._queue, self._tables, wait=_BACKGROUND_WAIT)
            self._queue.tidy()
            self._contents.tidy()
        except (LedgerError, sqlite3.Error, OSError, RuntimeError) as error:
            # RuntimeError: an interpreter that is ending may refuse an import.
            self._warn("fold", f"The ledger's queue cannot be folded into {self._path}, and keeps its rows: {error}")
            return True
        self._warned.discard("fold")
        return bool(folded.waiting or self._pending)

    def _warn(self, trouble: str, message: str) -> None:
        """Once for each trouble, until it is over."""
        if trouble in self._warned:
            return
        self._warned.add(trouble)
        try:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        except RuntimeWarning:
            # Warnings are errors here, but an answer that was paid for is not to be lost for one.
            logging.getLogger(__name__).warning(message)

    # --- forgetting ---

    def prune(self, which: Which, connection: Any = None) -> Pruned:
        """Forget `which`; with a `connection` to read from, say only what would go."""
        files = [self._path, *(p.with_name(p.name + end) for p in (self._queue.path, self._contents.path)
                               for end in ("", "-wal"))]  # fmt: skip
        with self.texts_in_reach() as (contents, _):
            if connection is not None:
                return would_prune(connection, contents, files, which)
            self._write()
            return prune(self._path, self._queue, self._tables, contents, files, which)

    # --- reading ---

    def rows(self) -> list[QueuedRow]:
        """What is not folded yet. A row on its way from memory to the queue is met twice, never missed."""
        waiting = [row for batch in list(self._pending) for row in batch.rows]
        try:
            queued = self._queue.read()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._queue.path} cannot be read: {error}", hint="Move the file away if it is damaged."
            ) from error
        return queued + [QueuedRow(_NO_NUMBER, *row) for row in waiting]

    @contextmanager
    def texts_in_reach(self) -> Iterator[tuple[ContentStore, Mapping[str, str]]]:
        """The texts in their file, and those that are only in memory. Raises `LedgerError` for a damaged file."""
        waiting = {sha256: body for batch in list(self._pending) for sha256, body in batch.bodies.items()}
        try:
            yield self._contents, waiting
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._contents.path} cannot be read: {error}", hint="Move the file away if it is damaged."
            ) from error

    def clean(self, text: str) -> str:
        """`text` as it would be stored."""
        return self._clean(text)

    def with_content(self, calls: pd.DataFrame) -> pd.DataFrame:
        """`calls` with `prompt` and `response` beside it, None where the text is not kept."""
        import pandas as pd

        hashes = {name: [h for h in calls[f"{name}_sha256"] if isinstance(h, str)] for name in ("prompt", "response")}
        with self.texts_in_reach() as (contents, waiting):
            texts = {
                "prompt": contents.prompts(hashes["prompt"], waiting),
                "response": contents.texts(hashes["response"], waiting),
            }
        added = {
            name: pd.Series([found.get(h) for h in calls[f"{name}_sha256"]], index=calls.index, dtype=object)
            for name, found in texts.items()
        }
        return calls.assign(**added)


def _new_row(kind: str, content: Mapping[str, Columns]) -> NewRow:
    payload = payload_of(content)
    # By its content: the same event again is the same row, and the system's random numbers can be slow.
    return NewRow(hashlib.sha256(payload.encode()).hexdigest(), kind, payload)
