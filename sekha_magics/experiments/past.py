"""Logged requests, each with the snapshot its decision was taken from: all that is needed to take it again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from ..core.catalogue import Catalogue, Snapshot
from ..core.types import Request
from ..ledger.rows import request_from_json

if TYPE_CHECKING:
    from ..ledger.store import Ledger

__all__ = ["ENOUGH_ANSWERS", "Lengths", "Past", "lengths", "past"]

# A median of fewer answers says more of chance than of the model; the same figure as for latencies.
ENOUGH_ANSWERS = 5

Lengths = dict[tuple[str, str, str], float]
"""Median tokens of an answer by task, provider and model."""


@dataclass(frozen=True, slots=True)
class Past:
    """One request as it went. Tokens are those of the call that answered, None where none did.

    `snapshot` is None where the ledger no longer has it. `cost` is USD, of all attempts; None when it is unknown.
    """

    decision_id: str
    ts: datetime
    source: str
    task: str
    policy: str
    provider_id: str | None
    model_id: str | None
    outcome: str
    request: Request
    snapshot: Snapshot | None
    answered_provider: str | None
    answered_model: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int
    cost: Decimal | None

    @property
    def chosen(self) -> tuple[str | None, str | None]:
        return self.provider_id, self.model_id


def past(ledger: Ledger, condition: str, *, replaying: bool) -> Iterator[Past]:
    """The requests whose decisions meet the SQL `condition`, oldest first; dry runs and simulated ones are left out.

    While a notebook is replayed its answers count with what they once cost.
    """
    asked = {"condition": condition, "replaying": str(replaying), "replayed": ", 'replayed'" if replaying else ""}
    snapshots = _snapshots(ledger, condition)
    for row in ledger.sql(_sql("past", **asked)).to_dict("records"):
        yield Past(
            decision_id=row["decision_id"],
            ts=row["ts"].to_pydatetime(),
            source=row["source"],
            task=row["task"],
            policy=row["policy"],
            provider_id=_known(row["provider_id"]),
            model_id=_known(row["model_id"]),
            outcome=row["outcome"],
            request=request_from_json(row["request"]),
            snapshot=snapshots.get(row["snapshot_id"]),
            answered_provider=_known(row["answered_provider"]),
            answered_model=_known(row["answered_model"]),
            input_tokens=_whole(row["input_tokens"]),
            output_tokens=_whole(row["output_tokens"]),
            cached_input_tokens=_whole(row["cached_input_tokens"]) or 0,
            cost=_known(row["cost_usd"]),
        )


def lengths(ledger: Ledger) -> Lengths:
    """Of each model with enough answers in the whole ledger."""
    found = ledger.sql(_sql("lengths", enough=str(ENOUGH_ANSWERS)))
    return {
        (row["task"], row["provider_id"], row["model_id"]): float(row["output_tokens"])
        for row in found.to_dict("records")
    }


def _snapshots(ledger: Ledger, condition: str) -> dict[str, Snapshot]:
    rows = ledger.sql(_sql("snapshots", condition=condition)).to_dict("records")
    catalogues = {
        row["snapshot_id"]: Catalogue.from_json(json.loads(row["content"]))
        for row in rows
        if row["kind"] == "catalogue"
    }
    return {
        row["snapshot_id"]: Snapshot.from_json(json.loads(row["content"]), catalogues[row["catalogue_id"]])
        for row in rows
        if row["kind"] == "state" and row["catalogue_id"] in catalogues
    }


def _sql(name: str, **filled_in: str) -> str:
    return files(__package__).joinpath(f"{name}.sql").read_text(encoding="utf-8").format(**filled_in)


def _known(value: Any) -> Any:
    """A missing value of a DataFrame, whatever its column's type, as None."""
    import pandas as pd

    return None if pd.isna(value) else value


def _whole(value: Any) -> int | None:
    known = _known(value)
    return None if known is None else int(known)
