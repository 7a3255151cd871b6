"""An error that a request ended in, as a cassette keeps it: enough to raise it again, and to read it in the file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .. import errors
from ..errors import (
    AllProvidersFailed,
    BudgetExceeded,
    ConnectionFailed,
    NoEligibleModel,
    ProviderError,
    SekhaError,
    StreamInterrupted,
)
from .fields import count, flag, money, number, optional_text, section, text, usd

__all__ = ["RECORDED", "Exceeded", "Fault"]

RECORDED = (ProviderError, AllProvidersFailed, NoEligibleModel)
"""What a request can end in by the doing of providers, prices and rules; other errors are mistakes in the call."""

_CLASSES: Mapping[str, type[SekhaError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, RECORDED) and name in errors.__all__
}


@dataclass(frozen=True, slots=True)
class Exceeded:
    """The budget that left no room; amounts are USD."""

    scope: str
    spent: Decimal
    reserved: Decimal
    limit: Decimal


@dataclass(frozen=True, slots=True)
class Fault:
    """`type` is the name of a class in `sekha_magics.errors`; `partial` the text of a stream that broke off."""

    type: str
    message: str
    hint: str = ""
    provider_id: str = ""
    model_id: str = ""
    status: int | None = None
    retry_after: float | None = None
    refused: bool = False
    partial: str | None = None
    budget: Exceeded | None = None

    @classmethod
    def of(cls, error: SekhaError) -> Fault:
        # A class of a plugin's own is kept as the nearest class of ours.
        name = next(kind.__name__ for kind in type(error).__mro__ if _CLASSES.get(kind.__name__) is kind)
        said: dict[str, Any] = {}
        if isinstance(error, ProviderError):
            said = {"provider_id": error.provider_id, "model_id": error.model_id, "status": error.status,
                    "retry_after": error.retry_after}  # fmt: skip
        if isinstance(error, ConnectionFailed):
            said["refused"] = error.refused
        if isinstance(error, StreamInterrupted):
            said["partial"] = error.partial
        if isinstance(error, BudgetExceeded):
            said["budget"] = Exceeded(error.scope, error.spent, error.reserved, error.limit)
        return cls(name, error.message, error.hint, **said)

    def to_error(
        self,
        *,
        calls: Sequence[Any] = (),
        causes: Sequence[ProviderError] = (),
        candidates: Sequence[Any] = (),
        decision: Any = None,
    ) -> SekhaError:
        """The error as it was raised; what is given is what it led to, as far as its class has a place for it."""
        kind = _CLASSES[self.type]
        said: dict[str, Any] = {"hint": self.hint}
        if issubclass(kind, ProviderError):
            said |= {"provider_id": self.provider_id, "model_id": self.model_id, "status": self.status,
                     "retry_after": self.retry_after}  # fmt: skip
        if issubclass(kind, ConnectionFailed):
            said["refused"] = self.refused
        if issubclass(kind, StreamInterrupted):
            said["partial"] = self.partial or ""
        if issubclass(kind, AllProvidersFailed):
            said |= {"calls": calls, "errors": causes}
        if issubclass(kind, NoEligibleModel):
            said |= {"candidates": candidates, "decision": decision}
        if issubclass(kind, BudgetExceeded) and (budget := self.budget) is not None:
            said |= {"scope": budget.scope, "spent": budget.spent, "reserved": budget.reserved, "limit": budget.limit}
        return kind(self.message, **said)

    def to_json(self, redact: Callable[[str], str]) -> dict[str, Any]:
        """What is not said is left out, so that the line can be read."""
        said: dict[str, Any] = {"type": self.type, "message": redact(self.message)}
        if self.hint:
            said["hint"] = redact(self.hint)
        for name in ("provider_id", "model_id"):
            if value := getattr(self, name):
                said[name] = redact(value)
        for name in ("status", "retry_after"):
            if (value := getattr(self, name)) is not None:
                said[name] = value
        if self.refused:
            said["refused"] = True
        if self.partial is not None:
            said["partial"] = redact(self.partial)
        if (budget := self.budget) is not None:
            amounts = {name: money(getattr(budget, name)) for name in ("spent", "reserved", "limit")}
            said["budget"] = {"scope": budget.scope, **amounts}
        return said

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """The inverse of `to_json`. Raises `ValueError`."""
        kind = text(value, "type")
        if kind not in _CLASSES:
            raise ValueError(f"`type` of the error is {kind!r:.80}, which is none of {', '.join(_CLASSES)}")
        budget = _exceeded(section(value, "budget")) if value.get("budget") is not None else None
        if (budget is None) == issubclass(_CLASSES[kind], BudgetExceeded):
            raise ValueError("`budget` goes with BudgetExceeded, and with no other error")
        return cls(
            type=kind,
            message=text(value, "message"),
            hint=optional_text(value, "hint") or "",
            provider_id=optional_text(value, "provider_id") or "",
            model_id=optional_text(value, "model_id") or "",
            status=None if value.get("status") is None else count(value, "status"),
            retry_after=number(value, "retry_after"),
            refused=flag(value, "refused"),
            partial=optional_text(value, "partial"),
            budget=budget,
        )


def _exceeded(value: Mapping[str, Any]) -> Exceeded:
    amounts = {name: usd(value, name) for name in ("spent", "reserved", "limit")}
    if None in amounts.values():
        raise ValueError("`budget` needs the amounts spent, reserved and limit")
    return Exceeded(text(value, "scope"), **{name: amount or Decimal(0) for name, amount in amounts.items()})
