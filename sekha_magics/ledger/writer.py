"""How an event gets to the disk: its rows and its texts in one commit; folded later by a thread.

What the disk refuses stays in memory, in order, and goes with the next event; ids make a second try harmless.
"""

from __future__ import annotations

import atexit
import sqlite3
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

from ..core.traces import Traces
from ..core.types import Event
from ..errors import InvalidInput, LedgerError
from ..storage.background import BackgroundFold
from ..storage.content import ContentStore, texts_of
from ..storage.forks import renew_in_child
from ..storage.queue import QueuedRow
from ..storage.tables import Tables
from .files import Files
from .making import Made, Maker
from .pruning import Pruned, Which, pruned_at
from .troubles import Troubles

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Writer"]

T = TypeVar("T")

_FLUSH_WAIT = 30.0
_BACKGROUND_WAIT = 2.0


class _Pending(NamedTuple):
    """An event that is numbered but perhaps not committed: a second try is the same row.

    `pruned` is `pruned_at` from before it was made; `again` makes it with all its snapshots and texts.
    """

    writer: str
    number: int
    row: QueuedRow
    pruned: int
    again: Callable[[], Made | None]


class Writer:
    """Writes events for the ledger at `path`. `content` and `redact` are the ledger's."""

    def __init__(
        self, path: Path, tables: Tables, content: Literal["full", "hash", "none"], redact: Callable[[str], str]
    ) -> None:
        self._path = path
        self._troubles = Troubles()
        self._maker = Maker(content, redact, lambda: self._files.generation)
        self._files = Files(path, tables, self._troubles, self._maker.forget)
        self._pending: deque[_Pending] = deque()
        self._pruned = pruned_at(path)
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
                self._maker.forget()
                self._pruned = pruned
            again = partial(self._maker.made, event, self._name, number)
            made = again()
            if made is None:
                return
            self._pending.append(_Pending(self._name, number, _row(self._name, number, made), pruned, again))
            # Only now: what is taken for written must at least be here.
            self._maker.written(made.new)
            self._commit()
        if not self._at_exit:
            self._at_exit = True
            atexit.register(self.close)
        self._folding.notice()

    def _next_number(self) -> int:
        # From what is there, not from a counter: Ctrl-C between two lines must neither leave a gap nor give one twice.
        last = self._pending[-1] if self._pending else None
        return 1 + (last.number if last is not None and last.writer == self._name else self._last)

    def _write(self) -> None:
        with self._writing:
            self._commit()

    def _commit(self) -> None:
        """Commit what is pending, or keep it there."""
        batch = list(self._pending)
        if not batch:
            return
        try:
            self._files.add([each.row for each in batch])
            self._repeat_if_pruned(batch)
        except (sqlite3.Error, OSError) as error:
            told = f"The ledger beside {self._path} cannot be written; its rows wait in memory: {error}"
            self._troubles.warn("write", told)
            return
        if batch[-1].writer == self._name:
            self._last = batch[-1].number
        # Only now, so that a reader meets them in one place at least.
        for _ in batch:
            self._pending.popleft()
        self._troubles.over("write")

    def _repeat_if_pruned(self, batch: Sequence[_Pending]) -> None:
        """Write again what a prune took for unused, since the rows that use it were not there yet.

        Whole events once more: of two rows with one key the first stays.
        """
        pruned = pruned_at(self._path)
        if changed := [each for each in batch if each.pruned != pruned]:
            self._maker.forget()
            made = [(each, each.again()) for each in changed]
            self._files.add(
                [
                    _row(each.writer, each.number, event)._replace(event_id=f"{each.row.event_id}-again")
                    for each, event in made
                    if event is not None
                ]
            )

    # --- folding ---

    def flush(self) -> None:
        self._write()
        if self._pending:
            raise LedgerError(
                f"The ledger beside {self._path} cannot be written: {len(self._pending)} events are in memory only.",
                hint="Make room on the disk or give write permission; the next event tries again.",
            )
        try:
            folded = self._files.fold(_FLUSH_WAIT)
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._path} cannot be folded: {error}", hint="Nothing is lost: see the queue."
            ) from error
        if folded.waiting:
            raise LedgerError(
                f"{self._path} cannot be folded now: {folded.waiting}.",
                hint="Nothing is lost: the queue keeps the rows, and a later fold takes them.",
            )

    def _fold_in_background(self) -> bool:
        self._write()
        try:
            folded = self._files.fold(_BACKGROUND_WAIT)
            self._files.tidy()
        except (LedgerError, sqlite3.Error, OSError, RuntimeError) as error:
            # RuntimeError: an interpreter that is ending may refuse an import.
            told = f"The ledger's queue cannot be folded into {self._path}, and keeps its rows: {error}"
            self._troubles.warn("fold", told)
            return True
        self._troubles.over("fold")
        return bool(folded.waiting or self._pending)

    def close(self) -> None:
        atexit.unregister(self.close)
        self._at_exit = False
        self._folding.close()
        self._write()
        self._files.close()
        if self._pending:
            told = f"{len(self._pending)} events of the ledger at {self._path} were never written."
            self._troubles.warn("close", told)

    # --- forgetting ---

    def forget(self, traces: Traces) -> int:
        self.flush()
        return self._files.forget(traces)

    def would_prune(self, connection: Any, which: Which) -> Pruned:
        """What would go, by a connection that reads the ledger when all of it is folded."""
        return self.with_texts(lambda contents, _: self._files.would_prune(connection, contents, which))

    def prune(self, which: Which) -> Pruned:
        """Forget `which`. Raises `LedgerError` when that cannot be done."""
        self._write()
        return self._files.prune(which, _FLUSH_WAIT)

    # --- reading ---

    def rows(self, *, texts: bool = False) -> list[QueuedRow]:
        """What is not folded yet. A row on its way from memory to the queue is met twice, never missed."""
        waiting = [each.row for each in list(self._pending)]
        return self._files.queued(texts=texts) + waiting

    def kept_texts(self) -> Iterator[tuple[str, str]]:
        """Every text in the file, by hash."""
        return self._files.kept_texts()

    def forgotten_texts(self) -> list[str]:
        """Hashes of those that are gone on purpose."""
        return self._files.forgotten_texts()

    def verify_notes(self, rows: Sequence[QueuedRow]) -> list[str]:
        """What is no fault, and worth knowing of what is not folded."""
        unwritten = f"{len(self._pending)} events are in memory only, since the disk refuses them."
        return [*([unwritten] if self._pending else []), *self._files.notes(rows)]

    def with_texts(self, work: Callable[[ContentStore, Mapping[str, str]], T]) -> T:
        """What `work` gives of the texts that are folded and of those that are not yet."""
        # The latter first, as with the rows: a text goes from there to here.
        return self._files.with_texts(work, texts_of(self.rows(texts=True)))

    def clean(self, text: str) -> str:
        """`text` as it would be stored."""
        return self._maker.clean(text)

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


def _row(writer: str, number: int, made: Made) -> QueuedRow:
    return QueuedRow(f"{writer}-{number:09}", made.payload, made.texts)
