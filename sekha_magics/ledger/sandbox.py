"""A user's query over the ledger: it reads the ledger and the frames it was given, and reaches nothing else.

No file and no address can be read or written, no extension loaded, no setting changed. Tables of its own live as long
as the query. It runs in a thread of its own, so that Ctrl-C reaches the one who waits for it, and ends it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError, SekhaError
from .binding import bound, is_frame, mentioned_frames
from .frames import to_frame
from .words import Word, tables_read, words

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["answer"]

# Waiting in slices keeps Ctrl-C alive where a lock cannot be interrupted (Windows).
_SLICE_SECONDS = 0.2
# The first writes files by a way of its own, past the settings below, and where it may not it takes the whole process
# with it; the second runs a text as a query, and could so spell the name of the first in pieces.
_FORBIDDEN = frozenset({"enable_logging", "query"})

_LEDGER = "`SHOW TABLES` lists the ledger's tables and views; your DataFrames go by their names."


def answer(
    connection: Any,
    query: str,
    variables: Mapping[str, Any],
    parameters: Mapping[str, Any],
    own: Collection[str],
    refusal: type[SekhaError] = LedgerError,
    sees: str = _LEDGER,
) -> pd.DataFrame:
    """The rows of the last statement of `query`; no rows and no columns for a statement that gives none.

    Frames are looked up in `variables` by the names the query mentions; `own` names the tables that keep their name,
    and a frame of such a name is reached as `notebook.<name>`. `connection` is of no use for anything else afterwards.
    Raises `refusal` when DuckDB refuses the query, with `sees` as the hint, and `InvalidInput` for a parameter without
    a fitting value.
    """
    import duckdb
    import pandas as pd

    try:
        statements = connection.extract_statements(query)
        said = words(query)
        _refuse_forbidden(said, refusal)
        values = [bound(set(statement.named_parameters), parameters) for statement in statements]
        names = {word.text for word in said}
        if "notebook" not in {name.lower() for name in names}:
            names = {name for name in names if name.lower() not in own}
        _add_frames(connection, mentioned_frames(names, variables), own, refusal)
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")

        def run() -> Any:
            relation = None
            for statement, given in zip(statements, values, strict=True):
                if statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]:
                    # `sql` would answer this too, but does not say where in the query a mistake is.
                    relation = connection.execute(statement, given)
                else:
                    relation = connection.sql(statement, params=given)
            return pd.DataFrame() if relation is None else to_frame(relation)

        found: pd.DataFrame = _interruptible(run, connection.interrupt)
        return found
    except (duckdb.Error, UnicodeError) as error:
        raise refusal(f"DuckDB refuses the query: {error}", hint=_hint(query, variables) or sees) from error


def _add_frames(connection: Any, frames: Mapping[str, Any], own: Collection[str], refusal: type[SekhaError]) -> None:
    import duckdb

    connection.execute("CREATE SCHEMA notebook")
    for number, (name, frame) in enumerate(frames.items()):
        quoted = '"' + name.replace('"', '""') + '"'
        hidden = f"sekha_frame_{number}"
        try:
            connection.register(hidden, frame)
            connection.execute(f"CREATE VIEW notebook.{quoted} AS SELECT * FROM {hidden}")
            if name.lower() not in own:
                connection.execute(f"CREATE VIEW {quoted} AS SELECT * FROM {hidden}")
        except duckdb.Error as error:
            raise refusal(
                f"DuckDB cannot read the DataFrame {name}: {error}", hint="Leave out the columns it has no type for."
            ) from error


def _refuse_forbidden(said: Collection[Word], refusal: type[SekhaError]) -> None:
    for word in said:
        if word.text.lower() in _FORBIDDEN and word.behind == "(":
            raise refusal(f"{word.text}() cannot be used here: a query reads tables, and nothing else.")


def _interruptible(run: Callable[[], Any], interrupt: Callable[[], None]) -> Any:
    done: Future[Any] = Future()

    def work() -> None:
        try:
            done.set_result(run())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            done.set_exception(error)

    threading.Thread(target=work, name="sekha-query", daemon=True).start()
    try:
        # Not by the thread's own word: Python 3.11 takes a thread for ended whose `join` was interrupted.
        while not done.done():
            wait([done], _SLICE_SECONDS)
    except BaseException:
        # The connection must not be closed under a query that still runs, and one that has yet to begin hears nothing.
        while not done.done():
            interrupt()
            wait([done], _SLICE_SECONDS)
        raise
    return done.result()


def _hint(query: str, variables: Mapping[str, Any]) -> str | None:
    if "{{" in query:
        return "Values are bound, not pasted: write $name, without quotes, instead of {{ name }}."
    for name in tables_read(query):
        if name in variables and not is_frame(variables[name]):
            return f"{name} is a {type(variables[name]).__name__}; only DataFrames and Arrow tables can be read."
    return None
