"""What went wrong, as one of our classes: by what happened on the wire, by LiteLLM's exception where nothing did."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ...core.wire import Endpoint
from ...errors import (
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
from ..statuses import failure_class, retry_after

if TYPE_CHECKING:
    import httpx

    from .dialects import Dialect
    from .wire import Exchange

__all__ = ["failure"]

# `code` or `type` in the body of an error: OpenAI's, Anthropic's, llama.cpp's.
_BY_CODE: dict[str, type[ProviderError]] = {
    "insufficient_quota": QuotaExhausted,
    "billing_hard_limit_reached": QuotaExhausted,
    "billing_not_active": QuotaExhausted,
    "billing_error": QuotaExhausted,
    "context_length_exceeded": ContextLengthExceeded,
    "exceed_context_size_error": ContextLengthExceeded,
    "model_not_found": ModelNotFound,
    "content_policy_violation": ContentRefused,
    "content_filter": ContentRefused,
    "invalid_prompt": ContentRefused,
    "rate_limit_exceeded": RateLimited,
    "rate_limit_error": RateLimited,
    "overloaded_error": ServerFailed,
    "authentication_error": AuthenticationFailed,
    "permission_error": AuthenticationFailed,
}

# Refusals of the request that have no code of their own, by words that no request could bring in.
_BY_WORDS: tuple[tuple[str, type[ProviderError]], ...] = (
    ("your credit balance is too low", QuotaExhausted),
    ("prompt is too long:", ContextLengthExceeded),
    ("maximum context length is", ContextLengthExceeded),
    ("exceeds the available context size", ContextLengthExceeded),
    ("content filtering policy", ContentRefused),
    ("is not a valid model id", ModelNotFound),
)

# LiteLLM's exceptions by name, most special first: its modules differ between versions, the names do not.
_BY_EXCEPTION: tuple[tuple[str, type[ProviderError]], ...] = (
    ("ContextWindowExceededError", ContextLengthExceeded),
    ("ContentPolicyViolationError", ContentRefused),
    ("AuthenticationError", AuthenticationFailed),
    ("PermissionDeniedError", AuthenticationFailed),
    ("NotFoundError", ModelNotFound),
    ("RateLimitError", RateLimited),
    ("Timeout", ProviderTimeout),
    ("APITimeoutError", ProviderTimeout),
    ("BadRequestError", BadRequest),
    ("UnprocessableEntityError", BadRequest),
    ("ServiceUnavailableError", ServerFailed),
    ("InternalServerError", ServerFailed),
    ("BadGatewayError", ServerFailed),
    ("APIConnectionError", ConnectionFailed),
)

# What LiteLLM raises where its own reading of an answer failed.
_MADE_UP = frozenset({"APIConnectionError", "InternalServerError"})

_LONGEST = 600
_WRAPPING = re.compile(r"^(?:litellm\.)?(?:\w+(?:Error|Timeout|Exception): )*(?:\w+Exception - )?")


def failure(
    error: Exception, exchange: Exchange, endpoint: Endpoint, dialect: Dialect | None, model_id: str
) -> ProviderError:
    """The error to raise in place of `error`. Its text holds no key."""
    response = exchange.response
    hint: str | None
    cls: Callable[..., ProviderError]
    if isinstance(error, ProviderError):
        cls, said, status, wait, hint = type(error), error.message, error.status, error.retry_after, error.hint
    elif exchange.failure is not None:
        cls, said, hint = _of_transport(exchange.failure, endpoint, dialect)
        status, wait = None, None
    elif response is not None and not response.is_success:
        status, wait = response.status_code, retry_after(response.headers)
        cls, said, hint = _of_response(response, dialect, model_id)
    else:
        cls, said = _of_exception(error, answered=response is not None)
        status = _status_of(error) if response is None else None
        wait, hint = retry_after(_headers_of(error)), None
    said = _without_key(f"{endpoint.provider_id} ({model_id}): {said}", endpoint)
    if cls is ConnectionFailed and _was_refused(exchange.failure):
        cls = partial(ConnectionFailed, refused=True)
    return cls(
        said, provider_id=endpoint.provider_id, model_id=model_id, status=status, retry_after=wait,
        hint=None if hint is None else _without_key(hint, endpoint),
    )  # fmt: skip


def _of_transport(
    error: httpx.TransportError, endpoint: Endpoint, dialect: Dialect | None
) -> tuple[type[ProviderError], str, str | None]:
    import httpx

    from .wire import Misdirected

    address = dialect.address(endpoint.base_url) if dialect else endpoint.base_url
    if isinstance(error, Misdirected):
        return (
            ConnectionFailed,
            f"{error}, because it was not for {address}",
            "Something in this process or its environment redirects LiteLLM (`litellm.api_base`, or a variable that "
            "ends in _API_BASE or _BASE_URL): unset it, or write the address as base_url.",
        )
    if isinstance(error, httpx.TimeoutException):
        return ProviderTimeout, f"{address} did not answer within {endpoint.timeout:g} s", None
    if isinstance(error, httpx.ConnectError):
        hint = "Start it with `ollama serve`, or correct base_url." if dialect and dialect.name == "ollama" else None
        return ConnectionFailed, f"nothing answers at {address} ({error})", hint
    return ConnectionFailed, f"the connection to {address} broke ({error or type(error).__name__})", None


def _was_refused(error: BaseException | None) -> bool:
    """Whether nobody listens there; the operating system's own word for it is below the clients' errors."""
    while error is not None:
        if isinstance(error, ConnectionRefusedError):
            return True
        if isinstance(error, BaseExceptionGroup):
            # A name with several addresses: each was tried.
            return all(map(_was_refused, error.exceptions))
        error = error.__cause__ or error.__context__
    return False


def _of_response(
    response: httpx.Response, dialect: Dialect | None, model_id: str
) -> tuple[type[ProviderError], str, str | None]:
    status = response.status_code
    code, message, refused = _body_of(response)
    cls = _BY_CODE.get(code) or failure_class(status)
    if cls is BadRequest:
        words = message.lower()
        cls = next((found for phrase, found in _BY_WORDS if phrase in words), cls)
    if refused and status == 403:
        # OpenRouter's moderation, which says what it found.
        cls = ContentRefused
    hint = None
    if cls is ModelNotFound and dialect is not None and dialect.name == "ollama":
        hint = f"Fetch it with `ollama pull {model_id}`."
    elif cls is ModelNotFound and not code and not message:
        hint = "Check base_url: there is nothing at this path."
    elif 300 <= status < 400:
        message = f"it redirects to {response.headers.get('location', 'nowhere')}"
        hint = "Write that address as base_url. Redirects are not followed: they would take the key along."
    return cls, f"{status} {message}".strip(), hint


def _body_of(response: httpx.Response) -> tuple[str, str, bool]:
    """Code, message, and whether moderation refused, from the forms of all four providers or none."""
    try:
        body = response.json()
    except ValueError:
        # The page of a proxy says nothing that the status does not.
        text = "" if "html" in response.headers.get("content-type", "") else response.text
        return "", text[:_LONGEST], False
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return "", str(error)[:_LONGEST], False
    code = next((c for c in (error.get("code"), error.get("type")) if isinstance(c, str) and c in _BY_CODE), "")
    metadata = error.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    message = str(error.get("message") or error.get("detail") or error)
    if metadata.get("raw"):
        # OpenRouter's own message is only that somebody upstream failed.
        message = f"{message}: {metadata['raw']}"
    return code, message[:_LONGEST], bool(metadata.get("reasons"))


def _of_exception(error: Exception, *, answered: bool) -> tuple[type[ProviderError], str]:
    said = _said(error)
    for inner in (error, getattr(error, "original_exception", None)):
        code = getattr(inner, "code", None)
        if isinstance(code, str) and code in _BY_CODE:
            return _BY_CODE[code], said
    if answered:
        # After its 200 a provider says in its own way that it failed; LiteLLM's status for that is made up.
        status = _status_of(error)
        if (status is None and type(error).__name__ != "APIError") or type(error).__name__ in _MADE_UP:
            said = f"its answer cannot be understood ({said})"
        return (RateLimited if status == 429 else QuotaExhausted if status == 402 else ServerFailed), said
    names = {
        cls.__name__ for inner in (getattr(error, "original_exception", None), error) for cls in type(inner).__mro__
    }
    for name, cls in _BY_EXCEPTION:
        if name in names:
            return cls, said
    status = _status_of(error)
    return (failure_class(status) if status is not None and status >= 300 else ServerFailed), said


def _said(error: Exception) -> str:
    """What LiteLLM wraps the message in, and the tracebacks it adds, say nothing to a user."""
    text = str(getattr(error, "message", None) or error).partition("Traceback (most recent call last)")[0]
    text = _WRAPPING.sub("", text).strip()
    return text[:_LONGEST] or type(error).__name__


def _status_of(error: Exception) -> int | None:
    try:
        return int(getattr(error, "status_code", None) or "")
    except ValueError:
        return None


def _headers_of(error: Exception) -> dict[str, str]:
    found = getattr(error, "litellm_response_headers", None) or getattr(
        getattr(error, "response", None), "headers", None
    )
    return {str(name).lower(): str(value) for name, value in dict(found or {}).items()}


def _without_key(text: str, endpoint: Endpoint) -> str:
    key: Any = endpoint.api_key.reveal() if endpoint.api_key is not None else ""
    return text.replace(key, "***") if key else text
