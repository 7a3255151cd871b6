"""`%sekha_route --why`: a decision that was taken, from the ledger, with every candidate and what came of it.

The ledger keeps reasons as codes. Because deciding is pure, deciding again over the same snapshot gives the sentences
back; where that is not possible, or comes out differently, the codes stand alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .chat import hand_over
from .standing import registry

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.catalogue import Snapshot
    from ..core.types import Candidate, Decision, Request
    from ..display.tables import Table
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
    outcome = _outcome(logged, times="times" in arguments.values)
    data["text/plain"] += f"\n\n{outcome.to_plain()}"
    data["text/html"] += outcome.to_html()
    if arguments.values.get("now"):
        then_and_now = _today(in_use, decision)
        data["text/plain"] += f"\n\n{then_and_now.to_plain()}"
        data["text/html"] += then_and_now.to_html()
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


def _outcome(logged: Logged, *, times: bool) -> Table:
    """Every attempt in order, as it was or as it was recorded: a replay looks the same.

    How long it took differs from one run to the next, so it stands there only where it is asked for.
    """
    from ..display.money import format_usd
    from ..display.tables import Table

    calls = [dict(call) for call in logged.calls.to_dict("records")]
    durations = _durations(calls)
    rows = [
        (call["attempt"], call["model_id"], call["provider_id"], _what_came(call), *(took if times else ()),
         format_usd(call["cost_usd"], _source(call)))
        for call, took in zip(calls, durations, strict=True)
    ]  # fmt: skip
    return Table(
        ("attempt", "model", "provider", "what came", *(("pause before", "took") if times else ()), "cost"),
        rows,
        caption=f"outcome: {_ended(logged, calls)}",
        footnotes=(_in_all(calls),) if len(calls) > 1 else (),
        right=frozenset({"pause before", "took", "cost"}),
        strong=frozenset(i for i, call in enumerate(calls) if _answered(call)),
        empty="nothing was sent",
    )


def _today(in_use: Registry, decision: Decision) -> Table:
    """What would be chosen now, and which inputs made the difference."""
    from ..display.tables import Table

    now = in_use.retake(decision.decision_id)
    chosen = "nobody" if now.refused else f"{now.decision.provider_id}/{now.decision.model_id}"
    if now.same:
        caption = f"today: {chosen} again ({now.decision.reason})"
        return Table(("changed since",), [], caption=caption, empty="nothing that matters here has changed")
    caption = f"today: {chosen} ({now.decision.reason})"
    return Table(("changed since",), [(line,) for line in now.changed], caption=caption)


def _in_all(calls: list[dict[Any, Any]]) -> str:
    from ..core.pricing import total
    from ..display.money import format_sum

    # A failure without a price was not billed, unless its answer had begun.
    billed = [c for c in calls if c["cost_usd"] is not None or _answered(c) or _whole(c["output_tokens"])]
    return f"{len(calls)} attempts, {format_sum(*total([c['cost_usd'] for c in billed]))} in all"


def _answered(call: Mapping[Any, Any]) -> bool:
    return call["status"] == "ok" or (call["status"] == "replayed" and _error(call) is None)


def _error(call: Mapping[Any, Any]) -> str | None:
    # Where a column holds texts and gaps, pandas may give NaN for a gap, which counts as true.
    said = [part for part in (call["error_type"], call["error_message"]) if isinstance(part, str) and part]
    return ": ".join(said) or None


def _what_came(call: Mapping[Any, Any]) -> str:
    if _answered(call):
        came = "the answer"
    elif (error := _error(call)) is not None:
        came = error
    else:
        came = str(call["status"])
    # The message of an injected failure says so itself.
    return f"{came} (simulated)" if call["simulated"] and "(simulated)" not in came else came


def _ended(logged: Logged, calls: list[dict[Any, Any]]) -> str:
    outcome = str(logged.decision["outcome"] or "not known")
    if outcome != "replayed":
        return outcome
    if not calls:
        return "refused"
    return "ok" if _answered(calls[-1]) else "failed"


def _source(call: Mapping[Any, Any]) -> str | None:
    """Where the figure came from, as far as it is shown: whether it is an estimate."""
    guessed = call["cost_source"] == "replayed" and bool(call["cost_usd"]) and _whole(call["input_tokens"]) is None
    return "estimated" if guessed or call["cost_source"] == "estimated" else None


def _durations(calls: list[dict[Any, Any]]) -> list[tuple[str | None, str | None]]:
    """The pause before each attempt and how long it took; nothing is known of a replayed one."""
    durations: list[tuple[str | None, str | None]] = []
    before = None
    for call in calls:
        took = call["latency_ms"] / 1000
        began = call["ts"].timestamp() - took
        pause = None if before is None else max(0.0, began - before)
        before = call["ts"].timestamp()
        replayed = call["status"] == "replayed"
        durations.append((None, None) if replayed else (None if pause is None else f"{pause:.1f} s", f"{took:.1f} s"))
    return durations
