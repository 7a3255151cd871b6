"""From a registry and its ledger to the pure questions: which requests are meant, and what holds today."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from ..core.types import Request
from ..errors import InvalidInput

if TYPE_CHECKING:
    from ..ask import Wishes
    from ..cassette import Cassette
    from ..core.catalogue import Snapshot
    from ..ledger.store import Ledger
    from ..state import State
    from .today import Today
    from .whatif import WhatIf

__all__ = ["Standpoint", "retake", "whatif"]


class Standpoint(Protocol):
    """What is asked of a registry."""

    session_id: str
    state: State

    @property
    def ledger(self) -> Ledger: ...

    @property
    def cassette(self) -> Cassette | None: ...

    def snapshot(self) -> Snapshot: ...


def whatif(
    registry: Standpoint,
    given: Mapping[str, Any],
    checked: Wishes,
    *,
    since: datetime | None,
    everything: bool,
    progress: bool | None,
) -> WhatIf:
    """`given` names the wishes that change, `checked` has their values. Raises `InvalidInput`."""
    from .past import lengths, past
    from .whatif import retake as retake_all

    idle = sorted(name for name in given if name not in Request.__dataclass_fields__)
    if idle:
        raise InvalidInput(f"{idle[0]} does not change which model is chosen.", hint="Change policy or model, say.")
    changes = {name: getattr(checked, name) for name, value in given.items() if value is not None}
    condition, scope = _condition(registry.session_id, since, everything)
    cassette = registry.cassette
    replaying = cassette is not None and cassette.mode == "replay"
    requests = list(past(registry.ledger, condition, replaying=replaying))
    with _bar(len(requests), progress) as bar:
        return retake_all(
            requests, changes, registry.state.policies, lengths(registry.ledger), scope=scope, told=bar.update
        )


def retake(registry: Standpoint, decision_id: str | None) -> Today:
    """The decision whose id begins so, or the last of the session, with the inputs of today."""
    from .today import today

    logged = registry.ledger.decision(decision_id, session_id=None if decision_id else registry.session_id)
    then = registry.ledger.snapshot(logged.decision["snapshot_id"])
    policies = registry.state.policies
    named = logged.decision["policy"]
    if named not in policies:
        raise InvalidInput(f"The policy {named!r} of that decision is not known here.", hint="Load its plugin first.")
    now = registry.snapshot()
    wanted = logged.request.policy or now.catalogue.rules.policy
    return today(logged.request, then, now, policies[named], policies[wanted])


def _condition(session_id: str, since: datetime | None, everything: bool) -> tuple[str, str]:
    """An SQL condition on `d`, the decisions, and the same in words."""
    if since is not None:
        if not isinstance(since, datetime) or since.tzinfo is None:
            raise InvalidInput(
                f"since is {since!r:.80}.", hint="Give a datetime with a time zone, such as datetime.now(UTC)."
            )
        start = since.astimezone(UTC)
        return f"d.ts >= TIMESTAMPTZ '{start.isoformat()}'", f"all sessions since {start:%Y-%m-%d %H:%M} UTC"
    if everything:
        return "true", "all sessions"
    return f"d.session_id = '{session_id}'", "this session"


def _bar(total: int, progress: bool | None) -> Any:
    """A progress bar, where a person waits for many."""
    from tqdm.auto import tqdm

    from .. import whereabouts

    shown = whereabouts.is_person() if progress is None else progress
    return tqdm(total=total, desc="taken again", unit="decision", disable=not shown, delay=1, leave=False)
