"""Which class of failure an HTTP status means, and how long its headers ask us to wait."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from ..errors import (
    AuthenticationFailed,
    BadRequest,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
)

__all__ = ["failure_class", "retry_after"]

_BY_STATUS: dict[int, type[ProviderError]] = {
    401: AuthenticationFailed,
    402: QuotaExhausted,
    403: AuthenticationFailed,
    404: ModelNotFound,
    408: ProviderTimeout,
    429: RateLimited,
}


def failure_class(status: int) -> type[ProviderError]:
    """The class for an HTTP status that is no success; a status nobody defined counts as the server's failure."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return BadRequest if 300 <= status < 500 else ServerFailed


def retry_after(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Seconds to wait by `Retry-After` (seconds or a date, RFC 9110 section 10.2.3) or OpenAI's `retry-after-ms`.

    `headers` has lower-case names. None when there is no such header, or it cannot be understood.
    """
    if (exact := _number(headers.get("retry-after-ms"))) is not None:
        return exact / 1000
    text = headers.get("retry-after")
    if (seconds := _number(text)) is not None or text is None:
        return seconds
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else None
    except ValueError:
        return None
    return None if value is None or not math.isfinite(value) else max(0.0, value)
