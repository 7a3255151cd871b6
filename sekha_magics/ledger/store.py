"""The log of every decision, its candidates and its calls: nothing returned to a user is lost, or counted twice.

`append` commits to the queue before it returns; folding into DuckDB happens in the background. Readers see queue and
file as one. A disk that refuses never costs an answer: the rows are kept in memory, and tried again.
"""

from __future__ import annotations

import json
import os
import sys
from collections import ChainMap
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from ..core.catalogue import Catalogue, Snapshot
from ..core.traces import Traces
from ..core.types import Event, Request
from ..errors import InvalidInput, LedgerError
from ..storage.content import texts_of
from ..storage.migrations import migrations
from ..storage.paths import data_path
from ..storage.tables import Tables, quoted
from ..storage.union import reading
from .pruning import Pruned, Which
from .rows import request_from_json
from .searching import PLACES
from .views import VIEWS, Views
from .writer import Writer

if TYPE_CHECKING:
    import pandas as pd

    from .verifying import Verification

__all__ = ["Ledger", "Logged"]

_HERE = Path(__file__).parent
TABLES = Tables(
    room="ledger",
    steps=migrations(_HERE / "schema"),
    views=(_HERE / "views.sql").read_text(encoding="utf-8"),
    keys={
        "decisions": ("decision_id",),
        "candidates": ("decision_id", "position"),
        "calls": ("call_id",),
        "ratings": ("rating_id",),
        "snapshots": ("snapshot_id",),
        "receipts": ("writer", "number"),
        "pruned": ("writer", "first"),
    },
)


_ANY_VIEW = ("sekha_", "show", "describe", "summarize", "pragma", "schema", "duckdb_", "sqlite_")


class Logged(NamedTuple):
    """One decision as it was logged: a row of `decisions`, and the rows of the other tables that belong to it."""

    decision: dict[str, Any]
    candidates: pd.DataFrame
    calls: pd.DataFrame

    @property
    def request(self) -> Request:
        """What the decision was made for, equal to the request that was logged."""
        return request_from_json(self.decision["request"])


class Counted(NamedTuple):
    """One call as its provider counted it, and the request it was made for."""

    provider_id: str
    model_id: str
    task: str
    input_tokens: int
    output_tokens: int | None
    request: Request


class Ledger(Views):
    """The ledger in the DuckDB file `path`, by default `<data dir>/ledger.duckdb`; queue and texts stand beside it.

    `content` says what is kept of prompts and answers: `full` text, its `hash`, or `none` of it. `redact` goes over
    every text before it is stored; `forget` is told which decisions were pruned. Safe to use from any thread, by any
    number of processes at once, and after a fork.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        content: Literal["full", "hash", "none"] = "full",
        redact: Callable[[str], str] = str,
        forget: Callable[[Sequence[str]], None] | None = None,
    ) -> None:
        if content not in ("full", "hash", "none"):
            raise InvalidInput(f"content is {content!r}.", hint="It is one of full, hash, none.")
        # Absolute, since the notebook may change its folder.
        self._path = (data_path() / "ledger.duckdb" if path is None else Path(path).expanduser()).absolute()
        if os.path.isdir(self._path):  # noqa: PTH112 - the method raises where the folder above may not be read
            raise LedgerError(f"{self._path} is a folder.", hint="Name a file in it, such as ledger.duckdb.")
        self._forget = forget
        self._writer = Writer(self._path, TABLES, content, redact)

    @property
    def path(self) -> Path:
        """The DuckDB file. It is there after the first fold; any program may hold it open read-only."""
        return self._path

    @property
    def unwritten(self) -> int:
        """Events that are only in memory, because the disk refuses them."""
        return self._writer.unwritten

    # --- writing ---

    def append(self, event: Event) -> None:
        """Commit `event`. Never raises for the disk's sake: it warns, and tries again with the next event.

        A prompt's hash and text are kept with the event in which a call first appears.
        """
        self._writer.append(event)

    def flush(self) -> None:
        """Fold now what is in the queue. Raises `LedgerError` when that cannot be done."""
        self._writer.flush()

    def forget(self, traces: Traces) -> int:
        """Remove for good the texts of prompts and answers that touch `traces`, and say how many; their rows stay.

        Raises `LedgerError` when they cannot be removed now.
        """
        return self._writer.forget(traces)

    def close(self) -> None:
        """Fold once more, for a few seconds at most, and let go of every file. The ledger can be used again."""
        self._writer.close()

    def prune(
        self,
        *,
        before: datetime | timedelta | None = None,
        notebook: str | None = None,
        session: str | None = None,
        dry_run: bool = True,
    ) -> Pruned:
        """Forget decisions with their candidates, calls, ratings and texts; a dry run says only what would go.

        All that is given must fit: older than `before` (a moment, or a span back from now), made in `notebook` (its
        path or file name), made in `session`. A text goes when nothing refers to it any more, and no file of the ledger
        holds it afterwards. What kernels write meanwhile stays, and so does what budgets have counted.
        """
        moment = datetime.now(UTC) - before if isinstance(before, timedelta) else before
        which = Which(moment, notebook, session)
        if dry_run:
            # What is queued is not counted with the texts.
            self.flush()
            with self._reading() as connection:
                return self._writer.would_prune(connection, which)
        pruned = self._writer.prune(which)
        if self._forget is not None:
            self._forget(pruned.decision_ids)
        return pruned

    # --- reading ---

    def decisions(self) -> pd.DataFrame:
        """One row per decision, oldest first."""
        return self._frame("SELECT * FROM decisions ORDER BY ts, decision_id")

    def candidates(self) -> pd.DataFrame:
        """One row per candidate of each decision; `reasons` are lists of codes."""
        return self._frame("SELECT * FROM candidates ORDER BY decision_id, position")

    def calls(self, content: bool = False) -> pd.DataFrame:
        """One row per attempt, oldest first; with `content` also `prompt` and `response`, None where not kept."""
        frame = self._frame("SELECT * FROM calls ORDER BY ts, attempt, call_id")
        return self._writer.with_content(frame) if content else frame

    def search(
        self,
        text: str,
        *,
        limit: int | None = 100,
        places: Collection[str] = PLACES,
        since: datetime | None = None,
    ) -> pd.DataFrame:
        """The decisions in which `text` stands, literally and in any case, the newest first, with a `snippet`.

        `places` are where to look: answer, prompt, error, conversation, notebook; `found_in` says where it was. What a
        conversation repeats is found once. `attrs["found"]` counts all of them, also those beyond `limit`, and
        `attrs["unkept"]` the chats whose texts are not kept and could not be looked at.
        """
        from .searching import check, search

        check(text, limit, places, since)
        with self._reading() as connection:
            return self._writer.with_texts(
                lambda contents, queued: search(
                    connection, contents, queued, self._writer.clean(text), limit, places, since
                )
            )

    def latencies(self) -> list[tuple[str, str, list[float]]]:
        """Provider, model and the milliseconds of their last 50 successful calls, oldest first."""
        with self._reading(views=False) as connection:
            query = (_HERE / "latencies.sql").read_text(encoding="utf-8")
            return [(provider, model, list(ms)) for provider, model, ms in connection.execute(query).fetchall()]

    def counted(self, session_id: str) -> list[Counted]:
        """The last calls of all sessions but this one that were answered and counted, oldest first."""
        with self._reading(views=False) as connection:
            query = (_HERE / "habits.sql").read_text(encoding="utf-8")
            rows = connection.execute(query, [session_id]).fetchall()
        return [Counted(p, m, task, read, written, request_from_json(text)) for p, m, task, read, written, text in rows]

    def sql(
        self, query: str, frames: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer `query` over the ledger's tables and views, and over `frames`: by default the caller's DataFrames.

        `$name` in the query is bound to `parameters["name"]`. Where a frame has the name of a table of the ledger, the
        ledger's is meant, and the frame is `notebook.<name>`. The query can read nothing else, no file and no address,
        and change nothing; Ctrl-C ends it. Raises `LedgerError` when DuckDB refuses it.
        """
        from .sandbox import answer

        if not isinstance(query, str):
            raise InvalidInput(f"A query is a text, not a {type(query).__name__}.")
        for name, given in (("frames", frames), ("parameters", parameters)):
            if given is not None and not isinstance(given, Mapping):
                raise InvalidInput(
                    f"{name} is a {type(given).__name__}.", hint='It is a mapping, such as {"mine": df}.'
                )
        if frames is None:
            caller = sys._getframe(1)
            frames = ChainMap(dict(caller.f_locals), caller.f_globals)
        with self._reading(_asks_views(query)) as connection:
            return answer(connection, query, frames, parameters or {}, {*TABLES.keys, *VIEWS})

    def decision(self, decision_id: str | None = None, *, session_id: str | None = None) -> Logged:
        """The decision whose id begins with `decision_id`, or the last one, of that session if one is given.

        Raises `LedgerError` when there is none, or more than one.
        """
        with self._reading(views=False) as connection:
            found = connection.sql(
                "SELECT * FROM decisions WHERE ($1 IS NULL OR starts_with(decision_id, $1))"
                " AND ($2 IS NULL OR session_id = $2) ORDER BY decision_id IS DISTINCT FROM $1, ts DESC LIMIT 2",
                params=[decision_id, session_id],
            )
            row = _only(found.to_arrow_table().to_pylist(), decision_id)
            this = [row["decision_id"]]
            candidates = _frame(connection, "SELECT * FROM candidates WHERE decision_id = $1 ORDER BY position", this)
            calls = _frame(connection, "SELECT * FROM calls WHERE decision_id = $1 ORDER BY attempt, ts", this)
        return Logged(row, candidates, calls)

    def snapshot(self, snapshot_id: str) -> Snapshot:
        """What a decision depended on, as it was. Raises `LedgerError` when it is not here."""
        query = "SELECT content::VARCHAR FROM snapshots WHERE snapshot_id = $1 AND kind = $2"
        with self._reading(views=False) as connection:
            state = connection.execute(query, [snapshot_id, "state"]).fetchone()
            if state is None:
                raise LedgerError(f"There is no snapshot {snapshot_id!r} in {self._path}.")
            content = json.loads(state[0])
            catalogue = connection.execute(query, [content["catalogue"], "catalogue"]).fetchone()
        if catalogue is None:
            raise LedgerError(f"The catalogue of snapshot {snapshot_id!r} is not in {self._path}.")
        return Snapshot.from_json(content, Catalogue.from_json(json.loads(catalogue[0])))

    def export(self, path: str | Path, *, table: str = "calls") -> list[Path]:
        """Write a copy for other programs, and say which files.

        A name that ends in .parquet or .csv becomes that one file, with `table` (or a view) in it; any other name a
        folder with a Parquet file for each table and view. Prompts and answers are not part of it.
        """
        target = Path(path).expanduser().absolute()
        known = (*TABLES.keys, *VIEWS)
        if table not in known:
            raise InvalidInput(f"There is no table {table!r}.", hint=f"Known are {', '.join(known)}.")
        one = target.suffix.lower() in (".parquet", ".csv")
        files = {target: table} if one else {target / f"{name}.parquet": name for name in known}
        (target.parent if one else target).mkdir(parents=True, exist_ok=True)
        with self._reading() as connection:
            for file, name in files.items():
                form = "csv" if file.suffix.lower() == ".csv" else "parquet"
                connection.execute(f"COPY {quoted(name)} TO $1 (FORMAT {form})", [str(file)])
        return list(files)

    def verify(self) -> Verification:
        """Whether everything that was ever logged is here, once and unchanged: rows, texts, and what decisions saw.

        Reads all of it; kernels may go on writing meanwhile. Raises `LedgerError` when the DuckDB file cannot be read.
        """
        from .verifying import verify

        # Before the file, as with any read.
        queued = self._writer.rows(texts=True)
        with reading(self._path, lambda: queued, TABLES) as connection:
            texts = chain(texts_of(queued).items(), self._writer.kept_texts())
            committed, notes = self._writer.committed, self._writer.verify_notes(queued)
            forgotten = self._writer.forgotten_texts()
            return verify(connection, self._path, TABLES, texts, forgotten, committed, notes)

    def _frame(self, query: str) -> pd.DataFrame:
        with self._reading(_asks_views(query)) as connection:
            return _frame(connection, query)

    @contextmanager
    def _reading(self, views: bool = True) -> Iterator[Any]:
        with reading(self._path, self._writer.rows, TABLES, views=views) as connection:
            yield connection


def _asks_views(query: str) -> bool:
    """Whether `query` may name a view, or ask which there are."""
    said = query.lower()
    return any(name in said for name in (*VIEWS, *_ANY_VIEW))


def _frame(connection: Any, query: str, parameters: list[Any] | None = None) -> pd.DataFrame:
    from .frames import CATEGORIES, to_frame

    return to_frame(connection.sql(query, params=parameters), CATEGORIES)


def _only(found: list[dict[str, Any]], decision_id: str | None) -> dict[str, Any]:
    if not found:
        raise LedgerError(
            "No decision was logged yet." if decision_id is None else f"No decision begins with {decision_id!r}.",
            hint="`%sekha log` lists the last ones.",
        )
    if decision_id is not None and len(found) > 1 and found[0]["decision_id"] != decision_id:
        raise LedgerError(f"Several decisions begin with {decision_id!r}.", hint="Give more of the id.")
    return found[0]
