"""`%sekha_route --why`: a decision that was taken, from the ledger, with every candidate and what came of it.

The ledger keeps reasons as codes. Because deciding is pure, deciding again over the same snapshot gives the sentences
back; where that is not possible, or comes out differently, the codes stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .chat import hand_over
from .standing import registry

if TYPE_CHECKING:
    import pandas as pd
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.catalogue import Snapshot
    from ..core.types import Candidate, Decision, Request
    from ..ledger.store import Logged
    from ..registry import Registry
    from .arguments import Arguments

__all__ = ["why"]


def why(shell: InteractiveShell, arguments: Arguments) -> Decision:
    """Show the decision --why names, or the last of this session, and give it back. Raises LedgerError."""
    from ..display.decision import decision_mimebundle
    from ..display.stream import publish_to_cell

    in_use = registry()
    decision_id = arguments.values["why"] or None
    logged = in_use.ledger.decision(decision_id, session_id=None if decision_id else in_use.session_id)
    decision = _decision(in_use, logged)
    data, metadata = decision_mimebundle(decision)
    outcome = _outcome(logged)
    data["text/plain"] += f"\n\n{outcome.to_plain()}"
    data["text/html"] += outcome.to_html()
    if not arguments.values.get("quiet"):
        publish_to_cell(data, metadata, display_id=None, update=False)
    hand_over(shell, decision, arguments.values.get("out"))
    return decision


def _decision(in_use: Registry, logged: Logged) -> Decision:
    from ..core.types import Decision

    row = logged.decision
    snapshot = in_use.ledger.snapshot(row["snapshot_id"])
    as_logged = tuple(_candidate(each) for each in logged.candidates.to_dict("records"))
    again = _candidates_again(in_use, logged.request, snapshot, row["policy"])
    return Decision(
        decision_id=row["decision_id"],
        request=logged.request,
        snapshot=snapshot,
        task=row["task"],
        policy=row["policy"],
        provider_id=row["provider_id"] or "",
        provider_type=row["provider_type"] or "",
        model_id=row["model_id"] or "",
        estimated_cost=row["est_cost_usd"],
        reason=row["reason"] or "",
        candidates=again if list(map(_outline, again)) == list(map(_outline, as_logged)) else as_logged,
    )


def _candidates_again(in_use: Registry, request: Request, snapshot: Snapshot, policy: str) -> tuple[Candidate, ...]:
    from ..core.decide import decide
    from ..errors import NoEligibleModel

    known = in_use.state.policies.get(policy)
    if known is None:
        return ()
    try:
        return decide(request, snapshot, known, decision_id="").candidates
    except NoEligibleModel as refused:
        return refused.candidates


def _outline(candidate: Candidate) -> tuple[object, ...]:
    """What the ledger keeps of a candidate."""
    return candidate[:7]


def _candidate(row: Mapping[Any, Any]) -> Candidate:
    from ..core.reasons import Reason
    from ..core.types import Candidate

    return Candidate(
        provider_id=row["provider_id"],
        model_id=row["model_id"],
        eligible=bool(row["eligible"]),
        reasons=tuple(map(Reason, row["reasons"])),
        estimated_cost=row["est_cost_usd"],
        rank=_whole(row["rank"]),
        priority=int(row["priority"]),
    )


def _whole(value: Any) -> int | None:
    import pandas as pd

    return None if pd.isna(value) else int(value)


def _outcome(logged: Logged) -> Any:
    from ..display.money import format_usd
    from ..display.tables import Table

    def row(call: Mapping[Any, Any]) -> tuple[object, ...]:
        usd: Decimal | None = call["cost_usd"]
        trouble = ": ".join(str(part) for part in (call["error_type"], call["error_message"]) if isinstance(part, str))
        return (call["attempt"], call["model_id"], call["provider_id"], call["status"],
                format_usd(usd, call["cost_source"]), trouble)  # fmt: skip

    calls: pd.DataFrame = logged.calls
    return Table(
        ("attempt", "model", "provider", "status", "cost", "error"),
        [row(call) for call in calls.to_dict("records")],
        caption=f"outcome: {logged.decision['outcome'] or 'not known'}",
        right=frozenset({"cost"}),
        empty="nothing was sent",
    )
