"""The values that travel through a call: requests, verdicts, decisions, calls, replies.

All are immutable. None knows a network, a file, a clock or a notebook. Money is `Decimal` USD, times are
seconds or milliseconds as named, sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from .reasons import Reason

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from .catalogue import Snapshot
    from .content import Message

CHAT_TASKS = ("chat_small", "chat_large", "chat_smart")
TASKS = ("embedding", *CHAT_TASKS, "vision", "audio", "image_generation")

CostSource = Literal["reported", "computed", "free", "unpriced", "estimated", "replayed"]


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
    """All that `decide()` looks at; no content. `max_cost` is USD, `input_tokens` the input by rules of thumb.

    `counted` are the estimates of those families of models that count otherwise, by the family's name. `context_size`
    is a least context window the model must have, in tokens.
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
    counted: tuple[tuple[str, TokenEstimate], ...] = ()
    max_tokens: int | None = None
    context_size: int | None = None
    max_cost: Decimal | None = None
    local_only: bool = False
    operation: Literal["chat", "embed"] = "chat"

    def tokens(self, family: str) -> TokenEstimate:
        """The input as a model of that family counts it, before any correction."""
        return next((tokens for name, tokens in self.counted if name == family), self.input_tokens)


class Candidate(NamedTuple):
    """One model at one provider, judged for one request. `rank` counts from 1 among the eligible.

    `input_tokens` is the input as this model is expected to count it, `planned_output_tokens` what there is room for
    in the answer, and `expected_output_tokens` how long answers of this model usually are, where that is known.
    """

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
    input_tokens: TokenEstimate = NOTHING
    expected_output_tokens: int = 0

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


# --- what was remembered -------------------------------------------------------------------------


class Quoted(NamedTuple):
    """A message of the memory that stands before a prompt, where it comes from, and why it was chosen.

    `ts` is UTC in ISO 8601. `score` is made of the three terms behind it, each from 0 to 1. `tokens` is the most it
    takes of the prompt; `cut` says that only its beginning is quoted.
    """

    message_id: str
    conversation: str
    folder: str
    role: str
    ts: str
    pinned: bool
    score: float
    similarity: float
    importance: float
    recency: float
    tokens: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Quotation:
    """What the memory gave to one request: `text` as it is sent, `quoted` what is in it, `tokens` what it comes to.

    `notes` are sentences for the user: what could not be asked, or why there is nothing. A recording has no `text`.
    """

    quoted: tuple[Quoted, ...] = ()
    tokens: TokenEstimate = NOTHING
    notes: tuple[str, ...] = ()
    text: str = field(default="", repr=False)


NO_QUOTATION = Quotation()

# --- what came back -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the provider reported them.

    `input_tokens` includes those read from the cache, written to it, and of audio and images; `output_tokens` includes
    reasoning, audio and images. Cached audio and images are part of both the cached and the audio or images.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0
    input_audio_tokens: int = 0
    cached_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    cached_image_tokens: int = 0
    output_image_tokens: int = 0


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
    parameter left out, a provider that failed on the way), `waited_ms` the pauses between attempts. `memory` is what
    was quoted before the prompt, in its order.
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
    waited_ms: float = 0.0
    memory: tuple[Quoted, ...] = ()

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
    each call by `call_id`, `memory` what was quoted before the prompt. A refused decision has empty provider and model
    ids.
    """

    ts: str
    decision: Decision
    origin: Origin
    outcome: str | None
    calls: tuple[Call, ...] = ()
    messages: tuple[Message, ...] = ()
    responses: Mapping[str, str] = field(default_factory=dict)
    memory: tuple[Quoted, ...] = ()
