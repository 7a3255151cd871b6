"""How an event gets to the disk: its rows and its texts in one commit; folded later by a thread.

What the disk refuses stays in memory, in order, and goes with the next event; ids make a second try harmless.
"""

from __future__ import annotations

import atexit
import logging
import sqlite3
import threading
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from ..core.traces import Traces
from ..core.types import Call, Event
from ..errors import InvalidInput, LedgerError
from ..storage.background import BackgroundFold
from ..storage.content import ContentStore, Hashed, hash_prompt, hash_text, texts_of
from ..storage.flat import text_object
from ..storage.fold import Folded, Source, fold
from ..storage.forks import renew_in_child
from ..storage.queue import Queue, QueuedRow, payload_of
from ..storage.spool import Spool
from ..storage.sqlite import Damaged, MadeByNewerVersion, WalRefused
from ..storage.tables import Tables
from .pruning import Pruned, Which, mark, prune, pruned_at, would_prune
from .rows import Clean, Row, call_row, candidate_rows, cleaner, decision_row, snapshot_rows

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Writer"]

T = TypeVar("T")

_FLUSH_WAIT = 30.0
_BACKGROUND_WAIT = 2.0
_FILES = 2  # of SQLite's, each of which may be damaged
_KNOWN = 20_000  # snapshots and texts; they are only written once more when they are forgotten


class _Pending(NamedTuple):
    """An event that is numbered but perhaps not committed: a second try is the same row.

    `pruned` is `pruned_at` from before it was made; `again` makes it with all its snapshots and texts.
    """

    writer: str
    number: int
    row: QueuedRow
    pruned: int
    again: Callable[[], _Event | None]


class _Event(NamedTuple):
    """What of an event goes into the queue. `new` names the snapshots and texts this process had not written before."""

    payload: str
    texts: str
    new: tuple[str, ...]


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
        self._spool = Spool(path.with_name(f"{prefix}spool"))
        self._spooling = False
        self._pending: deque[_Pending] = deque()
        self._known: dict[str, int] = {}
        self._pruned = pruned_at(path)
        self._warned: set[str] = set()
        self._at_exit = False
        self._folding = BackgroundFold(self._fold_in_background)
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Keeps events in order, and makes an append return only after the commit that holds it, whoever made that.
        self._writing = threading.Lock()
        # Two processes must not give one number.
        self._name, self._last = uuid.uuid4().hex, 0

    @property
    def unwritten(self) -> int:
        return len(self._pending)

    @property
    def committed(self) -> tuple[str, int]:
        """Under which name this process numbers its appends, and the last number that was committed."""
        return self._name, self._last

    # --- events ---

    def append(self, event: Event) -> None:
        if not isinstance(event, Event):
            raise InvalidInput(f"The ledger takes events, not a {type(event).__name__}.")
        with self._writing:
            number, pruned = self._next_number(), pruned_at(self._path)
            if pruned != self._pruned:
                # What was written before may be gone.
                self._known.clear()
                self._pruned = pruned
            made = self._made(event, number)
            if made is None:
                return
            again = partial(self._made, event, number)
            self._pending.append(_Pending(self._name, number, _row(self._name, number, made), pruned, again))
            # Only now: what is taken for written must at least be here.
            file = self._queue.generation
            self._known.update(dict.fromkeys(made.new, file))
            self._commit()
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self.close)
        self._folding.notice()

    def _next_number(self) -> int:
        # From what is there, not from a counter: Ctrl-C between two lines must neither leave a gap nor give one twice.
        last = self._pending[-1] if self._pending else None
        return 1 + (last.number if last is not None and last.writer == self._name else self._last)

    def _made(self, event: Event, number: int) -> _Event | None:
        """As it is, when no key stands in it; otherwise made once more, with every text cleaned."""
        if len(self._known) > _KNOWN:
            self._known.clear()
        made = self._make(event, number, None)
        if made is not None and not (
            self._clean(made.payload) == made.payload and self._clean(made.texts) == made.texts
        ):
            made = self._make(event, number, self._clean)
        return made

    def _make(self, event: Event, number: int, clean: Clean | None) -> _Event | None:
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
            "writer": self._name,
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
        return _Event(payload_of(tables), text_object(bodies) if bodies else "", (*snapshots, *bodies))

    def _is_new(self, name: str) -> bool:
        """Whether this process has not written it yet, to this file."""
        return self._known.get(name) != self._queue.generation

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

    def _write(self) -> None:
        with self._writing:
            self._commit()

    def _commit(self) -> None:
        """Commit what is pending, or keep it there."""
        batch = list(self._pending)
        if not batch:
            return
        try:
            self._queue_or_spool([each.row for each in batch])
            self._repeat_if_pruned(batch)
        except (sqlite3.Error, OSError) as error:
            self._warn("write", f"The ledger beside {self._path} cannot be written; its rows wait in memory: {error}")
            return
        if batch[-1].writer == self._name:
            self._last = batch[-1].number
        # Only now, so that a reader meets them in one place at least.
        for _ in batch:
            self._pending.popleft()
        self._warned.discard("write")

    def _repeat_if_pruned(self, batch: Sequence[_Pending]) -> None:
        """Write again what a prune took for unused, since the rows that use it were not there yet.

        Whole events once more: of two rows with one key the first stays.
        """
        pruned = pruned_at(self._path)
        if changed := [each for each in batch if each.pruned != pruned]:
            self._known.clear()
            made = [(each, each.again()) for each in changed]
            self._queue_or_spool(
                [
                    _row(each.writer, each.number, event)._replace(event_id=f"{each.row.event_id}-again")
                    for each, event in made
                    if event is not None
                ]
            )

    def _queue_or_spool(self, rows: list[QueuedRow]) -> None:
        if not self._spooling:
            try:
                self._with_sound_files(lambda: self._queue.append(rows))
                return
            except (WalRefused, MadeByNewerVersion) as error:
                self._spool.append(rows)
                # From here on: every try would take as long as the first.
                self._spooling = True
                self._warn("spool", f"The ledger writes to {self._spool.folder} instead of its queue: {error}.")
                return
        self._spool.append(rows)

    # --- folding ---

    def flush(self) -> None:
        self._write()
        if self._pending:
            raise LedgerError(
                f"The ledger beside {self._path} cannot be written: {len(self._pending)} events are in memory only.",
                hint="Make room on the disk or give write permission; the next event tries again.",
            )
        try:
            folded = self._fold(_FLUSH_WAIT)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._path} cannot be folded: {error}", hint="Nothing is lost: see the queue."
            ) from error
        if folded.waiting:
            raise LedgerError(
                f"{self._path} cannot be folded now: {folded.waiting}.",
                hint="Nothing is lost: the queue keeps the rows, and a later fold takes them.",
            )

    def _fold(self, wait: float) -> Folded:
        self._spool.seal()
        waiting: list[str] = []
        rows = 0
        sources: tuple[Source, ...] = (self._queue, self._spool)
        for source in sources:
            folded = self._with_sound_files(partial(fold, self._path, source, self._tables, wait=wait, keep=self._keep))
            if folded.aside is not None:
                self._warn_of_damage(self._path, folded.aside)
            rows += folded.rows
            waiting += [folded.waiting] if folded.waiting else []
        return Folded(rows, "; ".join(waiting))

    def _keep(self, rows: Sequence[QueuedRow]) -> None:
        self._with_sound_files(lambda: self._contents.hold(rows))

    def _with_sound_files(self, work: Callable[[], T]) -> T:
        """What `work` gives. A damaged file it meets is set aside, and it is done again with a new one."""
        for _ in range(_FILES):
            try:
                return work()
            except Damaged as damage:
                aside = damage.database.set_aside()
                self._known.clear()
                if aside is not None:
                    self._warn_of_damage(damage.database.path, aside)
        return work()

    def _warn_of_damage(self, path: Path, aside: Path) -> None:
        self._warn(
            str(aside),
            f"{path} is damaged. It was set aside as {aside.name} and nothing of it deleted; a new file begins."
            " `%sekha log verify` says what is missing.",
        )

    def forget(self, traces: Traces) -> int:
        self.flush()
        try:
            if any(traces.touched_by(row.texts) for row in self._spool.everything() if row.texts):
                raise LedgerError(
                    f"A kernel that has the text in {self._spool.folder} is still at work.",
                    hint="Restart or close the other kernels, then forget it again.",
                )
            gone = self._contents.forget(traces)
            if not self._spooling:
                self._queue.purge()
            # Said again, a text is written again, by whichever kernel.
            mark(self._path)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"Texts beside {self._path} cannot be forgotten now: {error}", hint="Try again in a moment."
            ) from error
        return gone

    def close(self) -> None:
        atexit.unregister(self.close)
        self._at_exit = False
        self._folding.close()
        self._write()
        self._spool.seal()
        self._queue.close()
        self._contents.close()
        if self._pending:
            self._warn("close", f"{len(self._pending)} events of the ledger at {self._path} were never written.")

    def _fold_in_background(self) -> bool:
        self._write()
        try:
            folded = self._fold(_BACKGROUND_WAIT)
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

    def would_prune(self, connection: Any, which: Which) -> Pruned:
        """What would go, by a connection that reads the ledger when all of it is folded."""
        return self.with_texts(lambda contents, _: would_prune(connection, contents, self._files(), which))

    def prune(self, which: Which) -> Pruned:
        """Forget `which`. Raises `LedgerError` when that cannot be done."""
        self._write()
        try:
            self._fold(_FLUSH_WAIT)
            return self._with_sound_files(
                lambda: prune(
                    self._path,
                    self._queue,
                    self._tables,
                    self._contents,
                    self._files(),
                    which,
                    keep=self._keep,
                    spooled=self._spool.everything,
                )
            )
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"The ledger at {self._path} cannot be pruned: {error}", hint="What is not gone yet goes next time."
            ) from error

    def _files(self) -> list[Path]:
        beside = (self._queue.path, self._contents.path)
        return [self._path, *(path.with_name(path.name + end) for path in beside for end in ("", "-wal"))]

    # --- reading ---

    def rows(self, *, texts: bool = False) -> list[QueuedRow]:
        """What is not folded yet. A row on its way from memory to the queue is met twice, never missed."""
        waiting = [each.row for each in list(self._pending)]
        try:
            queued = self._with_sound_files(lambda: self._queue.read(texts=texts)) + self._spool.everything()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._queue.path} cannot be read: {error}", hint="Move the file away if it is damaged."
            ) from error
        return queued + waiting

    def kept_texts(self) -> Iterator[tuple[str, str]]:
        """Every text in the file, by hash."""
        return self._contents.everything()

    def forgotten_texts(self) -> list[str]:
        """Hashes of those that are gone on purpose; none where the file is damaged, which a reader of it all finds."""
        try:
            return self._contents.forgotten()
        except sqlite3.DatabaseError:
            return []

    def verify_notes(self, rows: Sequence[QueuedRow]) -> list[str]:
        """What is no fault, and worth knowing of what is not folded."""
        notes = []
        if self._pending:
            notes.append(f"{len(self._pending)} events are in memory only, since the disk refuses them.")
        if left := self._tables.gather(rows).left:
            notes.append(
                f"{left} queued rows are of a newer version of sekha_magics, or damaged: they were left alone."
            )
        aside = sorted(
            file.name for file in self._path.parent.glob("*.damaged-*") if file.suffix.startswith(".damaged")
        )
        if aside:
            notes.append(
                f"Set aside because it was damaged: {', '.join(aside)}. What was only there is not in this check."
            )
        return notes

    def with_texts(self, work: Callable[[ContentStore, Mapping[str, str]], T]) -> T:
        """What `work` gives of the texts that are folded and of those that are not yet."""
        # The latter first, as with the rows: a text goes from there to here.
        queued = texts_of(self.rows(texts=True))
        try:
            return self._with_sound_files(lambda: work(self._contents, queued))
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
        texts = self.with_texts(
            lambda contents, queued: {
                "prompt": contents.prompts(hashes["prompt"], queued),
                "response": contents.texts(hashes["response"], queued),
            }
        )
        added = {
            name: pd.Series([found.get(h) for h in calls[f"{name}_sha256"]], index=calls.index, dtype=object)
            for name, found in texts.items()
        }
        return calls.assign(**added)


def _row(writer: str, number: int, made: _Event) -> QueuedRow:
    return QueuedRow(f"{writer}-{number:09}", made.payload, made.texts)
