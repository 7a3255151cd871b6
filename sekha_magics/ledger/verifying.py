"""Whether the ledger is whole: queue, DuckDB file and texts together, against what each append says it added.

Every process numbers its appends, and each leaves a receipt beside its rows: a number that is missing is a gap, and a
receipt whose rows are not all there names them. An append that a crash took before it returned has no number. What was
pruned is written down and no gap. The end of what a process wrote is known only to itself: that it is all gone cannot
be seen by another.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import LedgerError
from ..storage.tables import Tables, quoted

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Texts", "Verification", "verify"]

MOST = 1000
"""As many findings are told of one kind."""

_AT_ONCE = 20_000
_SHOWN = 10
_COUNTED = ("decisions", "candidates", "calls", "snapshots", "ratings", "receipts")
_PROMPT = re.compile(r'\["[0-9a-f]{64}"(,"[0-9a-f]{64}")*\]')
_COLUMNS = ("fault", "table", "id", "detail")

Texts = Iterable[tuple[str, str]]
Finding = tuple[str, str, str, str]


@dataclass(frozen=True)
class Verification:
    """What `Ledger.verify` found. `str()` of it is a screen of text.

    `findings` has the columns `fault` (gap, missing, added, doubled, orphan, changed, unreadable), `table`, `id` and
    `detail`, and no row when `ok`. `counts` are the rows looked at, by table; `notes` say what is no fault and worth
    knowing.
    """

    ok: bool
    path: Path
    counts: Mapping[str, int]
    findings: pd.DataFrame
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {name}" for name, count in self.counts.items())
        lines = [f"{self.path}: {'whole' if self.ok else 'NOT whole'}", counts]
        if not self.ok:
            by_fault = self.findings["fault"].value_counts()
            lines.append("found: " + ", ".join(f"{count} {fault}" for fault, count in by_fault.items()))
            shown = self.findings.head(_SHOWN).itertuples(index=False, name=None)
            lines += [f"  {fault:<10} {table:<10} {_short(key)}  {detail}" for fault, table, key, detail in shown]
            if len(self.findings) > _SHOWN:
                lines.append(f"  and {len(self.findings) - _SHOWN} more, in .findings")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        from html import escape

        return f"<pre>{escape(str(self))}</pre>"


def verify(
    connection: Any,
    path: Path,
    tables: Tables,
    texts: Texts,
    forgotten: Sequence[str],
    committed: tuple[str, int],
    notes: Sequence[str],
) -> Verification:
    """Look at everything `connection` (of `reading`) shows, and at `texts`, bodies by hash.

    Those whose hashes are `forgotten` need not be there.

    `committed` is the name and the last number of this process. Raises `LedgerError` when DuckDB cannot go on.
    """
    import duckdb
    import pandas as pd

    found: list[Finding] = []
    try:
        _read_all(connection, tables)
        kept = _keep(connection, texts, found)
        connection.execute("INSERT INTO sekha_kept SELECT unnest($1::VARCHAR[]), []", [list(forgotten)])
        connection.execute(
            "CREATE TEMP TABLE sekha_committed AS SELECT $1 AS writer, $2::BIGINT AS committed", committed
        )
        connection.execute("DELETE FROM sekha_committed WHERE committed = 0")
        query = Path(__file__).with_name("verify.sql").read_text(encoding="utf-8")
        found += connection.execute(query, [MOST]).fetchall()
        found += [row for table, key in tables.keys.items() for row in _doubled(connection, table, key)]
        counts = {name: _count(connection, name) for name in _COUNTED} | {"texts": kept}
        told = [*notes, *_notes(connection)]
        if forgotten:
            told.append(f"{len(forgotten):,} texts were forgotten.")
    except duckdb.Error as error:
        raise LedgerError(
            f"{path} cannot be read whole: {error}", hint="Copy the file away, and ask DuckDB what it can still read."
        ) from error
    findings = pd.DataFrame(found, columns=list(_COLUMNS))
    return Verification(not found, path, counts, findings, tuple(told))


def _read_all(connection: Any, tables: Tables) -> None:
    """Every value is looked at, since DuckDB checks a block when it reads it."""
    for table in tables.keys:
        connection.execute(f"SELECT bit_xor(hash(t)) FROM {quoted(table)} AS t").fetchall()


def _keep(connection: Any, texts: Texts, found: list[Finding]) -> int:
    """Make `sekha_kept` of the texts, and say which are not what their hash says. Gives how many there are."""
    connection.execute("CREATE TEMP TABLE sekha_kept (sha256 VARCHAR, members VARCHAR[])")
    for batch in _batches(_judged(texts, found)):
        hashes, members = [sha256 for sha256, _ in batch], [list(names) for _, names in batch]
        connection.execute(
            "INSERT INTO sekha_kept SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[][])", [hashes, members]
        )
    return int(connection.execute("SELECT count(DISTINCT sha256) FROM sekha_kept").fetchone()[0])


def _judged(texts: Texts, found: list[Finding]) -> Iterator[tuple[str, Sequence[str]]]:
    """Hashes, with those of its messages where a text is a prompt."""
    try:
        for sha256, body in texts:
            text = body if isinstance(body, str) else ""
            if hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() != sha256 and len(found) < MOST:
                found.append(("changed", "contents", str(sha256), "the text is not the one that was logged"))
            yield str(sha256), json.loads(text) if _PROMPT.fullmatch(text) else ()
    except (sqlite3.Error, OSError) as error:
        found.append(("unreadable", "contents", "", f"the texts cannot be read to their end: {error}"))


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    batch: list[Any] = []
    for item in items:
        batch.append(item)
        if len(batch) >= _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


def _doubled(connection: Any, table: str, key: tuple[str, ...]) -> list[Finding]:
    columns = ", ".join(quoted(column) for column in key)
    shown = " || ' ' || ".join(f"{quoted(column)}::VARCHAR" for column in key)
    rows = connection.execute(
        f"SELECT {shown}, count(*) FROM {quoted(table)} GROUP BY {columns} HAVING count(*) > 1 ORDER BY 1 LIMIT {MOST}"
    ).fetchall()
    return [("doubled", table, str(name), f"this row is here {count} times") for name, count in rows]


def _notes(connection: Any) -> Iterator[str]:
    unnumbered = connection.execute(
        "SELECT count(*) FROM decisions AS d ANTI JOIN receipts AS r ON d.decision_id = r.decision_id"
    ).fetchone()[0]
    if unnumbered:
        yield f"{unnumbered:,} decisions have no receipt, as those of earlier versions: a gap there cannot be seen."
    unended = connection.execute(
        "SELECT count(DISTINCT c.decision_id) FROM calls AS c ANTI JOIN decisions AS d ON c.decision_id = d.decision_id"
    ).fetchone()[0]
    if unended:
        yield f"{unended:,} requests have calls and no end: they are under way, or their kernels were killed."
    pruned = connection.execute("SELECT coalesce(sum(last - first + 1), 0) FROM pruned").fetchone()[0]
    if pruned:
        yield f"{pruned:,} appends were pruned."


def _count(connection: Any, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {quoted(table)}").fetchone()[0])


def _short(key: str) -> str:
    return key if len(key) <= 16 else f"{key[:15]}…"
