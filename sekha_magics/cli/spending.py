"""`sekha cost` without a notebook, and `sekha ledger`: what was spent, and the log it is read from."""

from __future__ import annotations

from argparse import Namespace as Options
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from ..errors import InvalidInput, LedgerError
from .terminal import known, opened, say

__all__ = ["GROUPS", "cost", "export", "fold", "verify"]

GROUPS = {"model": "model_id", "provider": "provider_id", "task": "task", "notebook": "notebook",
          "day": "strftime(timezone('UTC', ts), '%Y-%m-%d') AS day"}  # fmt: skip


def cost(options: Options) -> None:
    if options.notebooks:
        from .billing import cost_of_notebooks

        cost_of_notebooks(options)
        return
    if options.diff or options.json or options.ledger or options.by == "cell":
        raise InvalidInput(
            "--diff, --json, --ledger and --by cell are about notebooks.", hint="`sekha cost notebook.ipynb`"
        )
    from ..display.tables import Table

    by = options.by or "model"
    since = "true"
    if options.since is not None:
        midnight = datetime.combine(options.since, datetime.min.time()).astimezone(UTC)
        since = f"ts >= TIMESTAMPTZ '{midnight.isoformat()}'"
    query = (
        f"SELECT {GROUPS[by]}, count(*) AS calls, sum(input_tokens) AS i, sum(output_tokens) AS o,"
        " sum(cost_usd) AS usd, count(*) FILTER (unpriced) AS unpriced FROM charges"
        f" WHERE {since} GROUP BY ALL ORDER BY usd DESC NULLS LAST, calls DESC"
    )
    with opened(options) as registry:
        found = registry.ledger.sql(query, frames={}).to_dict("split")["data"]
    spent = [(name, int(calls), known(i), known(o), usd, int(unpriced)) for name, calls, i, o, usd, unpriced in found]
    rows = [(name, calls, i, o, _sum([usd], unpriced)) for name, calls, i, o, usd, unpriced in spent]
    total = _sum([usd for *_, usd, _ in spent], sum(unpriced for *_, unpriced in spent))
    columns = (by, "calls", "tokens in", "tokens out", "cost")
    say(Table(columns, rows, f"{total} in all sessions", right=frozenset({"cost"}), empty="no calls").to_plain())


def _sum(costs: Sequence[Any], unpriced: int) -> str:
    from ..display.money import format_sum

    return format_sum(sum((usd for usd in costs if usd is not None), Decimal(0)), unpriced)


def fold(options: Options) -> None:
    with opened(options) as registry:
        registry.ledger.flush()
        say(f"{registry.ledger.path} is up to date")


def verify(options: Options) -> None:
    """Raises `LedgerError`, and so ends with 1, when something is wrong."""
    with opened(options) as registry:
        found = registry.ledger.verify()
    say(str(found))
    if not found.ok:
        raise LedgerError(
            f"The ledger is not whole: {len(found.findings)} findings.",
            hint="All of them: `reg.ledger.verify().findings` in Python.",
        )


def export(options: Options) -> None:
    with opened(options) as registry:
        for file in registry.ledger.export(options.path, table=options.table):
            say(str(file))
