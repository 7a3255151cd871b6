"""What a provider is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .content import Message
from .types import Usage

if TYPE_CHECKING:
    import numpy as np

__all__ = ["ChatCall", "EmbedCall", "Embedded", "Endpoint", "Finish", "Probe", "Secret"]


class Secret:
    """A key. Its `repr`, `str` and pickle never show it; only `reveal()` does."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one configured provider is and how it is spoken to.

    In seconds: `timeout` for a request in all, `first_token` until a stream begins, `idle` between two of its pieces.

    `options` is the provider's own section of the configuration, which its class alone understands.
    """

    provider_id: str
    type: str
    base_url: str | None = None
    api_key: Secret | None = None
    timeout: float = 120.0
    first_token: float | None = None
    idle: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChatCall:
    """One chat request for one model. `schema` is a JSON schema the answer must follow."""

    model_id: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    schema: Mapping[str, Any] | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = True


@dataclass(frozen=True, slots=True)
class EmbedCall:
    model_id: str
    texts: tuple[str, ...]
    dimension: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of an answer. `reason` is None when the provider gave none: the answer was cut.

    `reported_cost` is USD as the provider itself says it; `left_out` names the parameters it does not know.
    """

    reason: str | None
    usage: Usage | None = None
    served_model: str | None = None
    reported_cost: Decimal | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Embedded:
    vectors: np.ndarray[Any, Any]
    usage: Usage | None = None
    served_model: str | None = None
    reported_cost: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Probe:
    """What a provider says of itself when asked: `models` is None when it does not list them."""

    ok: bool
    detail: str = ""
    models: tuple[str, ...] | None = None
