"""Finished answers of a job, committed one by one, so that an interrupted job goes on where it was.

Prompts are not kept, only their hashes. Answers are forgotten after thirty days. A file that cannot be used costs no
answer: it is said once, and the job goes on without.
"""

from __future__ import annotations

import json
import sqlite3
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..core.traces import Traces
from ..core.types import Cost, Usage
from ..errors import MemoryStoreError
from ..storage.paths import data_path
from ..storage.sqlite import Database
from .answers import Answer

__all__ = ["Kept", "forget"]

_DAYS = 30
_FORGET = """DELETE FROM answers WHERE json_extract(body, '$.decision_id') IN (SELECT value FROM json_each(?))"""
_FIELDS = ("text", "provider_id", "model_id", "finish_reason", "decision_id")


def forget(decision_ids: Sequence[str]) -> None:
    """Forget the answers of these decisions, of whatever job, and leave nothing of them on the disk."""
    kept = Kept("", str)
    if kept._database.path.exists() and decision_ids:
        kept._change(_FORGET, (json.dumps(decision_ids),))
        kept._database.scrub()
    kept.close()


class Kept:
    """The answers of the job `job`. `redact` goes over every body before it is written."""

    def __init__(self, job: str, redact: Callable[[str], str]) -> None:
        self._job, self._redact = job, redact
        self._usable = True
        self._database = _database()

    def answers(self) -> dict[str, Answer]:
        """By request; `parsed` is not kept, since it follows from the text."""
        try:
            with self._database.read() as connection:
                if connection is None:
                    return {}
                found = connection.execute("SELECT request, body FROM answers WHERE job = ?", (self._job,)).fetchall()
            return {request: _from_json(body) for request, body in found}
        except (sqlite3.Error, OSError, ValueError, KeyError, TypeError, ArithmeticError) as error:
            self._give_up(error)
            return {}

    def forget_old(self) -> None:
        oldest = (datetime.now(UTC) - timedelta(days=_DAYS)).isoformat()
        self._change("DELETE FROM answers WHERE answered_at < ?", (oldest,))

    def put(self, request: str, answer: Answer) -> None:
        now = datetime.now(UTC).isoformat()
        body = self._redact(_to_json(answer))
        self._change("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", (self._job, request, now, body))

    @staticmethod
    def forget(traces: Traces) -> int:
        """Remove for good the answers of every job that touch the traces, and say how many."""
        database = _database()
        try:
            if not database.path.exists():
                return 0
            with database.write() as connection:
                gone = [
                    row[:2]
                    for row in connection.execute("SELECT job, request, body FROM answers")
                    if traces.touched_by(row[2])
                ]
                connection.executemany("DELETE FROM answers WHERE job = ? AND request = ?", gone)
            database.purge()
        except (sqlite3.Error, OSError) as error:
            raise MemoryStoreError(f"Answers of map cannot be forgotten now: {error}", hint="Try again.") from error
        finally:
            database.close()
        return len(gone)

    def close(self) -> None:
        self._database.close()

    def _change(self, statement: str, values: tuple[str, ...]) -> None:
        if not self._usable:
            return
        try:
            with self._database.write() as connection:
                connection.execute(statement, values)
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        self._usable = False
        warnings.warn(
            f"Answers are not kept for a later run: {self._database.path} cannot be used ({error})",
            stacklevel=2,
        )


def _database() -> Database:
    return Database(data_path() / "map.sqlite", Path(__file__).with_suffix(".sql").read_text("utf-8"))


def _to_json(answer: Answer) -> str:
    cost = answer.cost or Cost(None, "unpriced")
    usage = asdict(answer.usage) if answer.usage else None
    kept: dict[str, Any] = {name: getattr(answer, name) for name in _FIELDS}
    usd = None if cost.usd is None else str(cost.usd)
    return json.dumps({**kept, "usd": usd, "source": cost.source, "usage": usage})


def _from_json(body: str) -> Answer:
    value = json.loads(body)
    usd = None if value["usd"] is None else Decimal(value["usd"])
    usage = Usage(**value["usage"]) if value["usage"] else None
    return Answer(
        asked="earlier", cost=Cost(usd, value["source"]), usage=usage, **{name: value[name] for name in _FIELDS}
    )
