"""The values that travel through a call: messages, requests, verdicts, decisions, replies.

All are immutable. None knows a network, a file, a clock or a notebook. Money is `Decimal` USD, times are
seconds or milliseconds as named, sizes are bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .catalogue import Snapshot

CHAT_TASKS = ("chat_small", "chat_large", "chat_smart")
TASKS = ("embedding", *CHAT_TASKS, "vision", "audio", "image_generation")

Role = Literal["system", "user", "assistant"]
CostSource = Literal["reported", "computed", "free", "unpriced", "estimated", "replayed"]


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


# --- messages ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its bytes, or by an address the provider fetches. `format` is `png`, `jpeg`, `gif`, `webp`, ...

    `origin` says where it came from, for error messages ("plot.png", "figure `fig`").
    """

    format: str
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    origin: str = field(default="", compare=False)

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data if self.data is not None else (self.url or "").encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Audio:
    format: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


Part = Text | Image | Audio


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))


class ImageFacts(NamedTuple):
    """What `decide()` may know of an image: `size` is None for an address."""

    format: str
    size: int | None


class TokenEstimate(NamedTuple):
    """Tokens of a text before any provider counted them: a range, and what is expected."""

    low: int
    expected: int
    high: int


NOTHING = TokenEstimate(0, 0, 0)

# --- a request and its decision -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Request:
    """All that `decide()` looks at; no content. `max_cost` is USD, `input_tokens` the estimated input.

    `context_size` is a least context window the model must have, in tokens.
    """

    task: str | None = None
    model: str | None = None
    preferred_model: str | None = None
    policy: str | None = None
    require_vision: bool | None = None
    images: tuple[ImageFacts, ...] = ()
    needs_audio: bool = False
    needs_functions: bool = False
    input_tokens: TokenEstimate = NOTHING
    max_tokens: int | None = None
    context_size: int | None = None
    max_cost: Decimal | None = None
    local_only: bool = False
    operation: Literal["chat", "embed"] = "chat"


class Reason(str):
    """A reason code (`wrong_task`, `no_key`, ...) which also carries `detail`, a sentence for people."""

    __slots__ = ("detail",)
    detail: str

    def __new__(cls, code: str, detail: str = "") -> Reason:
        self = super().__new__(cls, code)
        self.detail = detail
        return self

    def __reduce__(self) -> tuple[type[Reason], tuple[str, str]]:
        return (Reason, (str(self), self.detail))


class Candidate(NamedTuple):
    """One model at one provider, judged for one request. `rank` counts from 1 among the eligible."""

    provider_id: str
    model_id: str
    eligible: bool
    reasons: tuple[Reason, ...]
    estimated_cost: Decimal | None
    rank: int | None
    priority: int
    provider_type: str = ""
    estimated_cost_high: Decimal | None = None
    planned_output_tokens: int = 0
    latency_p50_ms: float | None = None

    @property
    def name(self) -> str:
        return f"{self.provider_id}/{self.model_id}"


@dataclass(frozen=True, slots=True)
class Decision:
    """The choice made for one request. `candidates` keeps the order of the configuration."""

    decision_id: str
    request: Request
    snapshot: Snapshot = field(repr=False)
    task: str
    policy: str
    provider_id: str
    provider_type: str
    model_id: str
    estimated_cost: Decimal | None
    reason: str
    candidates: tuple[Candidate, ...] = field(repr=False)

    @property
    def ranked(self) -> tuple[Candidate, ...]:
        """The eligible candidates, best first: the order in which they are tried."""
        return tuple(sorted((c for c in self.candidates if c.eligible), key=lambda c: c.rank or 0))

    def to_frame(self) -> pd.DataFrame:
        """One row per candidate, with the columns of `Candidate`; `reasons` are lists of codes."""
        import pandas as pd

        columns = ["provider_id", "provider_type", "model_id", "eligible", "rank", "reasons", "estimated_cost",
                   "priority", "latency_p50_ms"]  # fmt: skip
        rows = [{**c._asdict(), "reasons": [str(r) for r in c.reasons]} for c in self.candidates]
        return pd.DataFrame(rows, columns=columns).astype({"rank": "Int64"})


# --- what came back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider reported them. `input_tokens` includes cached ones, `output_tokens` reasoning ones."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Cost:
    """USD, or None when there is no price. `recorded_source` is the source a replayed cost had."""

    usd: Decimal | None
    source: CostSource
    recorded_source: CostSource | None = None
    price_as_of: date | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt against one provider. `ts` is a UTC timestamp in ISO 8601 with microseconds."""

    call_id: str
    decision_id: str
    ts: str
    attempt: int
    provider_id: str
    provider_type: str
    model_id: str
    operation: Literal["chat", "embed"]
    status: Literal["ok", "error", "interrupted", "replayed"]
    streamed: bool
    latency_ms: float
    cost: Cost
    usage: Usage | None = None
    served_model: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    http_status: int | None = None
    ttft_ms: float | None = None
    finish_reason: str | None = None
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer and how it came about. `str(reply)` is its text.

    `model_id` is the model that answered, `cost` the sum over `calls`, `latency_ms` from the first byte sent to the
    last received, `ttft_ms` the time to the first token of a stream. `notes` are sentences for the user (a
    parameter left out, a provider that failed on the way).
    """

    text: str
    decision: Decision
    provider_id: str
    provider_type: str
    model_id: str
    calls: tuple[Call, ...] = field(repr=False)
    cost: Cost
    usage: Usage
    latency_ms: float
    ttft_ms: float | None = None
    finish_reason: str | None = None
    parsed: Any = None
    notes: tuple[str, ...] = ()
    conversation: str | None = None
    replayed: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, eq=False)
class Embedding:
    """`vectors` is float32 of shape [number of texts, dimension]."""

    vectors: np.ndarray[Any, Any] = field(repr=False)
    model_id: str
    provider_id: str
    dimension: int
    cost: Cost
    usage: Usage
    decision: Decision = field(repr=False)
    calls: tuple[Call, ...] = field(repr=False, default=())


# --- what is logged ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from. `source` is chat, route, compare, embed, summarize, score, bench or serve."""

    session_id: str
    source: str = "chat"
    notebook: str | None = None
    cell_id: str | None = None
    conversation: str | None = None
    experiment: str | None = None
    arm: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing for the ledger, written whole or not at all.

    A call that ended on the way is an event with calls alone (`outcome` None); the end of a request is one with its
    outcome (ok, failed, refused, interrupted, replayed, dry_run). `messages` is the prompt, `responses` the text of
    each call by `call_id`. A refused decision has empty provider and model ids.
    """

    ts: str
    decision: Decision
    origin: Origin
    outcome: str | None
    calls: tuple[Call, ...] = ()
    messages: tuple[Message, ...] = ()
    responses: Mapping[str, str] = field(default_factory=dict)


# --- what a provider is given, and gives ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one configured provider is and how it is spoken to. `timeout` is in seconds.

    `options` is the provider's own section of the configuration, which its class alone understands.
    """

    provider_id: str
    type: str
    base_url: str | None = None
    api_key: Secret | None = None
    timeout: float = 120.0
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
