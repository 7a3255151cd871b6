"""Every exception of the package. Each says what was wrong, and its `hint` says what to do next.

No message or hint ever contains a key: whoever raises removes key values first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, ClassVar

__all__ = [
    "AllProvidersFailed",
    "AuthenticationFailed",
    "BadRequest",
    "BudgetExceeded",
    "BudgetUnavailable",
    "CassetteMiss",
    "ConfigError",
    "ConnectionFailed",
    "ContentRefused",
    "ContextLengthExceeded",
    "InterpolationError",
    "InvalidInput",
    "LedgerError",
    "MemoryStoreError",
    "ModelNotFound",
    "NoEligibleModel",
    "ProviderError",
    "ProviderTimeout",
    "QuotaExhausted",
    "RateLimited",
    "SekhaError",
    "ServerFailed",
    "StreamInterrupted",
    "UntrustedConfig",
    "UnusableAnswer",
]


class SekhaError(Exception):
    """Base of all errors. `hint` says what to do next, in a sentence or two.

    `short` is set by the magics, whose users need the message and not our frames; from the Python
    API the traceback stays whole.
    """

    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.short = False

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    @property
    def _render_traceback_(self) -> Callable[[], list[str]]:
        # IPython looks whether there is such a method. One that raised would cost the cell its error output.
        if not self.short:
            raise AttributeError("_render_traceback_")
        return self._in_short

    def _in_short(self) -> list[str]:
        return [f"{type(self).__name__}: {self.message}", *([f"Hint: {self.hint}"] if self.hint else [])]


class InvalidInput(SekhaError, ValueError):
    """An argument of a public call has the wrong type, shape or range."""


class ConfigError(SekhaError):
    """The configuration cannot be used; the message names the path of the key at fault."""


class UntrustedConfig(ConfigError):
    """A configuration found in a folder asks for hosts or keys its author was not trusted with."""

    default_hint = "Read the file, then run `%sekha config trust`."


class NoEligibleModel(SekhaError):
    """No candidate may answer. `candidates` holds each one with every reason, `decision` the refused decision."""

    def __init__(
        self, message: str, *, candidates: Sequence[Any] = (), decision: Any = None, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.candidates, self.decision = tuple(candidates), decision


class BudgetExceeded(NoEligibleModel):
    """A budget leaves no room for the request; nothing was sent. Amounts are USD."""

    def __init__(
        self,
        message: str,
        *,
        scope: str,
        spent: Decimal,
        reserved: Decimal,
        limit: Decimal,
        candidates: Sequence[Any] = (),
        decision: Any = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, candidates=candidates, decision=decision, hint=hint)
        self.scope, self.spent, self.reserved, self.limit = scope, spent, reserved, limit


class BudgetUnavailable(SekhaError):
    """A budget is in force, and the file that says what is left of it cannot be used; nothing was sent."""

    default_hint = "Make that file writable, or point SEKHA_HOME at a folder that is."


class ProviderError(SekhaError):
    """A provider refused or failed. Below it stands one class for each class of failure.

    `status` is the HTTP status, when there was one; `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        provider_id: str = "",
        model_id: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.provider_id, self.model_id = provider_id, model_id
        self.status, self.retry_after = status, retry_after


class RateLimited(ProviderError):
    """429: too many requests."""

    default_hint = "Wait, lower the concurrency, or configure a second provider."


class QuotaExhausted(ProviderError):
    """The account has no credit left; waiting does not help."""

    default_hint = "Add credit to the account, or configure a second provider."


class ServerFailed(ProviderError):
    """5xx, or an answer that cannot be understood."""


class ConnectionFailed(ProviderError):
    """No connection, or it broke before the first token. `refused` says that nobody listens at the address."""

    default_hint = "Check that the server runs and that base_url is right."

    def __init__(self, message: str, *, refused: bool = False, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.refused = refused


class ProviderTimeout(ProviderError):
    """No answer within the provider's `timeout`."""

    default_hint = "Raise `timeout` for this provider, or choose a faster model."


class AuthenticationFailed(ProviderError):
    """401 or 403: the key is wrong, or may not use this model."""

    default_hint = "Check the key with `%sekha keys`."


class ModelNotFound(ProviderError):
    """404: the provider does not serve this model."""

    default_hint = "Check the spelling of `model_id`; an Ollama model must be pulled first."


class ContextLengthExceeded(ProviderError):
    """The prompt is longer than the model's window."""

    default_hint = "Shorten the prompt, or choose a model with a larger context window."


class ContentRefused(ProviderError):
    """The provider's content policy refused the request."""


class BadRequest(ProviderError):
    """400 and other refusals of the request itself: no other provider is asked."""


class StreamInterrupted(ProviderError):
    """A stream broke after its first token. `partial` holds the text so far."""

    default_hint = "The text so far is in `.partial`; run the cell again for a whole answer."

    def __init__(self, message: str, *, partial: str = "", **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.partial = partial


class AllProvidersFailed(SekhaError):
    """Every eligible candidate failed. `calls` holds each attempt; `errors` their exceptions, in order."""

    def __init__(
        self,
        message: str,
        *,
        calls: Sequence[Any] = (),
        errors: Sequence[ProviderError] = (),
        hint: str | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.calls, self.errors = tuple(calls), tuple(errors)


class CassetteMiss(SekhaError):
    """The cassette holds no recording of this request."""

    default_hint = "Run once with SEKHA_MODE=record, or set SEKHA_MODE=live."


class InterpolationError(SekhaError):
    """`{{ name }}` in a prompt cannot be filled in."""

    default_hint = "Define the name, or use --raw to send braces as written."


class LedgerError(SekhaError):
    """The ledger cannot be read or written."""


class MemoryStoreError(SekhaError):
    """The memory cannot be read or written, or a vector does not fit its table."""


class UnusableAnswer(SekhaError):
    """A model answered twice in a form that cannot be used, and nothing of it was kept. `text` is the last answer."""

    default_hint = "Ask a larger model: model=..., or task='chat_smart'."

    def __init__(self, message: str, *, text: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.text = text
