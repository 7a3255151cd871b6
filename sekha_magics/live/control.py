"""What a front end may ask for: see `request` in `live.v1.schema.json`. Each request is answered, whatever it is."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from ..display.text import one_line
from ..errors import InvalidInput, LedgerError, SekhaError
from ..registry import current_registry, get_registry
from ..watch import wakers
from .feed import VERSION, Subscription
from .state import candidates

__all__ = ["SCHEMA", "answer"]

SCHEMA = Path(__file__).with_name("live.v1.schema.json")

Json = dict[str, Any]
_log = logging.getLogger("sekha_magics")


def answer(request: object, subscription: Subscription | None = None) -> Json:
    """A result or a refusal, with the id of the request; `subscription` is what `resend` begins anew.

    Never raises for what was asked, and may be called in any thread.
    """
    named = request.get("id") if isinstance(request, dict) else None
    asked_by = named if isinstance(named, str) else None
    try:
        _check(request)
        assert isinstance(request, dict)
        result = _ANSWERS[request["type"]](request, subscription)
    except SekhaError as error:
        return _refusal(asked_by, error.message, error.hint)
    except Exception as error:  # noqa: BLE001 - a front end that waits for an answer must get one
        _log.exception("A request of the front end failed")
        return _refusal(asked_by, f"{type(error).__name__}: {error}", None)
    wakers.wake()
    return {"version": VERSION, "id": request["id"], "ok": True, **result}


def _refusal(asked_by: str | None, error: str, hint: str | None) -> Json:
    return {
        "version": VERSION,
        "id": asked_by,
        "ok": False,
        "error": one_line(error),
        "hint": None if not hint else one_line(hint),
    }


def _check(request: object) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(_validator().iter_errors(request))
    if error is not None:
        where = "".join(f"[{part!r}]" for part in error.absolute_path)
        raise InvalidInput(
            f"The request{where} is not one of version {VERSION}: {error.message:.200}",
            hint="The front end and sekha_magics may be of different versions; install both anew.",
        )


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft202012Validator({"$ref": "#/$defs/request", "$defs": schema["$defs"]})


def _budget(request: Json, _: Subscription | None) -> Json:
    get_registry().budget.set(**request["limits"])
    return {}


def _reset(request: Json, _: Subscription | None) -> Json:
    get_registry().reset(request["provider_id"])
    return {}


def _cancel(request: Json, _: Subscription | None) -> Json:
    registry = current_registry()
    ended = registry.watch.cancel(request["request_id"]) if registry is not None else 0
    if not ended and request["request_id"] is not None:
        raise InvalidInput("This request is not running any more.")
    return {}


def _candidates(request: Json, _: Subscription | None) -> Json:
    registry, decision_id = get_registry(), request["decision_id"]
    seen = registry.watch.decision(decision_id)
    if seen is not None:
        return {"candidates": candidates(seen)}
    if not decision_id:
        raise LedgerError("The decision has no id.")
    from .earlier import logged_candidates

    return {"candidates": logged_candidates(registry.ledger, decision_id)}


def _resend(_: Json, subscription: Subscription | None) -> Json:
    if subscription is None:
        raise InvalidInput("Nothing is sent to this front end.", hint="Open the comm sekha.state first.")
    return {"snapshot": subscription.snapshot()}


_ANSWERS: dict[str, Callable[[Json, Subscription | None], Json]] = {
    "budget": _budget,
    "reset": _reset,
    "cancel": _cancel,
    "candidates": _candidates,
    "resend": _resend,
}
