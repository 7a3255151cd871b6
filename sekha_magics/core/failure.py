"""What is done about a failure, and what it says of the provider: values and rules, no time and no network."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..errors import (
    AuthenticationFailed,
    BadRequest,
    ConnectionFailed,
    ContentRefused,
    ContextLengthExceeded,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
)

__all__ = ["LONGEST_WAIT", "Rest", "after", "in_short", "is_users", "passes", "rest", "weight"]

LONGEST_WAIT = 30.0
"""Seconds. A provider that asks for a longer wait is not waited for while there are others."""

_PASSING = frozenset({None, 500, 502, 503, 504, 529})
_REST_UNASKED = 1.0
_REST_WITHOUT_CREDIT = 3600.0


class Rest(NamedTuple):
    """How long a provider is not to be asked, in seconds, and why."""

    seconds: float
    because: str


def after(error: ProviderError, *, began: bool, fallback: bool) -> Literal["next", "larger", "raise"]:
    """`began` says whether a part of the answer was already shown; such an answer is never silently begun again.

    A refusal of the request itself would be repeated elsewhere with the user's money, so it is raised. `larger` is the
    next candidate with a larger window.
    """
    if began or not fallback or isinstance(error, (BadRequest, ContentRefused)):
        return "raise"
    return "larger" if isinstance(error, ContextLengthExceeded) else "next"


def passes(error: ProviderError) -> bool:
    """Whether the same request may succeed at the same place a moment later."""
    if isinstance(error, ConnectionFailed):
        return not error.refused
    if isinstance(error, ServerFailed):
        return error.status in _PASSING
    return isinstance(error, (RateLimited, ProviderTimeout))


def weight(error: ProviderError) -> Literal["failure", "refused", "nothing"]:
    """What the error says of the provider to its breaker. A limit, a wrong key or a wrong request is no failure."""
    if isinstance(error, ConnectionFailed) and error.refused:
        return "refused"
    return "failure" if isinstance(error, (ConnectionFailed, ProviderTimeout, ServerFailed)) else "nothing"


def rest(error: ProviderError) -> Rest | None:
    if isinstance(error, QuotaExhausted):
        return Rest(_REST_WITHOUT_CREDIT, "its account has no credit left")
    if isinstance(error, RateLimited):
        seconds = _REST_UNASKED if error.retry_after is None else error.retry_after
        return Rest(seconds, "it had too many requests and asked for a pause") if seconds > 0 else None
    return None


def is_users(error: ProviderError) -> bool:
    """Whether only the user can mend it: a key, an account, the name of a model, a server that does not run."""
    if isinstance(error, ConnectionFailed):
        return error.refused
    return isinstance(error, (AuthenticationFailed, QuotaExhausted, ModelNotFound))


def in_short(error: ProviderError) -> str:
    """The failure in a word or two that are the same whenever it happens: `openai 429`, `ollama timed out`."""
    if error.status is not None:
        return f"{error.provider_id} {error.status}"
    if isinstance(error, ConnectionFailed) and error.refused:
        return f"{error.provider_id} is not running"
    words = {ProviderTimeout: "timed out", ConnectionFailed: "broke the connection"}
    return f"{error.provider_id} {words.get(type(error), 'failed')}"
