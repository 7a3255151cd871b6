"""The files a ledger stands on: the queue or what stands in for it, the texts, and the fold of both into DuckDB.

A damaged file is set aside, said, and a new one begins; nothing of it is deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..core.traces import Traces
from ..errors import LedgerError
from ..storage.content import ContentStore
from ..storage.fold import Folded, Source, fold
from ..storage.queue import Queue, QueuedRow
from ..storage.spool import Spool
from ..storage.sqlite import Damaged, MadeByNewerVersion, WalRefused
from ..storage.tables import Tables
from .pruning import Pruned, Which, mark, prune, would_prune
from .troubles import Troubles

__all__ = ["Files"]

T = TypeVar("T")

_FILES = 2  # of SQLite's, each of which may be damaged


class Files:
    """Those beside the ledger at `path`. `lost` is called when what was written may be gone."""

    def __init__(self, path: Path, tables: Tables, troubles: Troubles, lost: Callable[[], None]) -> None:
        # Two ledgers in one folder must not fold each other's queue.
        prefix = "" if path.name == "ledger.duckdb" else f"{path.name}."
        self._path, self._tables, self._troubles, self._lost = path, tables, troubles, lost
        self._queue = Queue(path.with_name(f"{prefix}queue.sqlite"))
        self._contents = ContentStore(path.with_name(f"{prefix}content.sqlite"))
        self._spool = Spool(path.with_name(f"{prefix}spool"))
        self._spooling = False

    @property
    def generation(self) -> int:
        """Grows when the queue was deleted and made anew."""
        return self._queue.generation

    # --- adding ---

    def add(self, rows: list[QueuedRow]) -> None:
        """Commit all of `rows`, or none. Raises `sqlite3.Error` or `OSError`."""
        if not self._spooling:
            try:
                self._sound(lambda: self._queue.append(rows))
                return
            except (WalRefused, MadeByNewerVersion) as error:
                self._spool.append(rows)
                # From here on: every try would take as long as the first.
                self._spooling = True
                told = f"The ledger writes to {self._spool.folder} instead of its queue: {error}."
                self._troubles.warn("spool", told)
                return
        self._spool.append(rows)

    def fold(self, wait: float) -> Folded:
        """Move what is queued into the DuckDB file; another fold may take `wait` seconds. Raises as `storage.fold`."""
        self._spool.seal()
        waiting: list[str] = []
        rows = 0
        sources: tuple[Source, ...] = (self._queue, self._spool)
        for source in sources:
            folded = self._sound(partial(fold, self._path, source, self._tables, wait=wait, keep=self._keep))
            if folded.aside is not None:
                self._warn_of_damage(self._path, folded.aside)
            rows += folded.rows
            waiting += [folded.waiting] if folded.waiting else []
        return Folded(rows, "; ".join(waiting))

    def tidy(self) -> None:
        self._queue.tidy()
        self._contents.tidy()

    def close(self) -> None:
        self._spool.seal()
        self._queue.close()
        self._contents.close()

    def _keep(self, rows: Sequence[QueuedRow]) -> None:
        self._sound(lambda: self._contents.hold(rows))

    def _sound(self, work: Callable[[], T]) -> T:
        """What `work` gives. A damaged file it meets is set aside, and it is done again with a new one."""
        for _ in range(_FILES):
            try:
                return work()
            except Damaged as damage:
                aside = damage.database.set_aside()
                self._lost()
                if aside is not None:
                    self._warn_of_damage(damage.database.path, aside)
        return work()

    def _warn_of_damage(self, path: Path, aside: Path) -> None:
        self._troubles.warn(
            str(aside),
            f"{path} is damaged. It was set aside as {aside.name} and nothing of it deleted; a new file begins."
            " `%sekha log verify` says what is missing.",
        )

    # --- forgetting ---

    def forget(self, traces: Traces) -> int:
        """Remove texts that touch `traces`, when all of them are folded. Raises `LedgerError`."""
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

    def would_prune(self, connection: Any, contents: ContentStore, which: Which) -> Pruned:
        """What would go, by a connection that reads the ledger when all of it is folded."""
        return would_prune(connection, contents, self._all(), which)

    def prune(self, which: Which, wait: float) -> Pruned:
        """Forget `which`. Raises `LedgerError` when that cannot be done."""
        try:
            self.fold(wait)
            return self._sound(
                lambda: prune(
                    self._path,
                    self._queue,
                    self._tables,
                    self._contents,
                    self._all(),
                    which,
                    keep=self._keep,
                    spooled=self._spool.everything,
                )
            )
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"The ledger at {self._path} cannot be pruned: {error}", hint="What is not gone yet goes next time."
            ) from error

    def _all(self) -> list[Path]:
        beside = (self._queue.path, self._contents.path)
        return [self._path, *(path.with_name(path.name + end) for path in beside for end in ("", "-wal"))]

    # --- reading ---

    def queued(self, *, texts: bool) -> list[QueuedRow]:
        """What is not folded yet. Raises `LedgerError`."""
        try:
            return self._sound(lambda: self._queue.read(texts=texts)) + self._spool.everything()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._queue.path} cannot be read: {error}", hint="Move the file away if it is damaged."
            ) from error

    def with_texts(self, work: Callable[[ContentStore, Mapping[str, str]], T], queued: Mapping[str, str]) -> T:
        """What `work` gives of the texts that are folded and of those that are `queued`. Raises `LedgerError`."""
        try:
            return self._sound(lambda: work(self._contents, queued))
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(
                f"{self._contents.path} cannot be read: {error}", hint="Move the file away if it is damaged."
            ) from error

    def kept_texts(self) -> Iterator[tuple[str, str]]:
        """Every text in the file, by hash."""
        return self._contents.everything()

    def forgotten_texts(self) -> list[str]:
        """Hashes of those that are gone on purpose; none where the file is damaged, which a reader of it all finds."""
        try:
            return self._contents.forgotten()
        except sqlite3.DatabaseError:
            return []

    def notes(self, rows: Sequence[QueuedRow]) -> list[str]:
        """What is no fault, and worth knowing of the files and of what is not folded."""
        notes = []
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
