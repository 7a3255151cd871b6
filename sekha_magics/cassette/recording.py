"""One answer or failure as a cassette keeps it: the choice that was made, who was asked, what came of it and its cost.

Times and ids are not kept, so that recording the same answers again changes nothing in the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

from ..core.breaker import BreakerState
from ..core.catalogue import ProviderState
from ..core.pricing import total
from ..core.types import NO_QUOTATION, Cost, Quotation, Usage
from .fault import Fault
from .fields import cost_from, cost_to, count, flag, money, optional_text, section, sections, text, usage_from, usd
from .quoted import quotation_from, quotation_to

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Attempted", "Choice", "Recording", "Vectors", "replayed"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided for the request; the fields of `Decision` that a reader of the file can use.

    `providers` are those that were not in their first state: who failed before, who rested.
    """

    task: str
    policy: str
    provider_id: str
    provider_type: str
    model_id: str
    reason: str
    estimated_cost: Decimal | None = None
    providers: Mapping[str, ProviderState] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings as little-endian float32, row after row: equal on every machine, and comparable as a value."""

    dimension: int
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, array: np.ndarray[Any, Any]) -> Vectors:
        """From an array of shape [n, dimension]."""
        _, dimension = array.shape
        return cls(int(dimension), array.astype("<f4").tobytes())

    def to_array(self) -> np.ndarray[Any, Any]:
        """float32 of shape [n, dimension], writable."""
        import numpy as np

        return np.frombuffer(self.data, dtype="<f4").astype(np.float32).reshape(-1, self.dimension)


@dataclass(frozen=True, slots=True)
class Attempted:
    """One attempt that failed: who was asked, what went wrong and what it cost. `simulated` marks a rehearsal."""

    provider_id: str
    provider_type: str
    model_id: str
    cost: Cost
    error: Fault
    simulated: bool = False

    def to_json(self, redact: Callable[[str], str]) -> dict[str, Any]:
        return {
            "provider_id": self.provider_id,
            "provider_type": self.provider_type,
            "model_id": self.model_id,
            "cost": cost_to(self.cost),
            **({"simulated": True} if self.simulated else {}),
            "error": self.error.to_json(redact),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Attempted:
        return cls(
            provider_id=text(value, "provider_id"),
            provider_type=text(value, "provider_type"),
            model_id=text(value, "model_id"),
            cost=cost_from(section(value, "cost")),
            error=Fault.from_json(section(value, "error")),
            simulated=flag(value, "simulated"),
        )


@dataclass(frozen=True, slots=True)
class Recording:
    """What a request ended in: `text` of a chat, `vectors` of an embedding, or the error in `failure`.

    The provider and model named here are who answered, which after a failover are not those of `choice`; of a failure,
    who was asked last. `cost` is as it was when recorded. `attempts` are those that failed on the way. `memory` is what
    was quoted before the prompt, without its texts.
    """

    choice: Choice
    provider_id: str
    provider_type: str
    model_id: str
    cost: Cost
    usage: Usage | None = None
    served_model: str | None = None
    finish_reason: str | None = None
    text: str | None = None
    vectors: Vectors | None = None
    notes: tuple[str, ...] = ()
    simulated: bool = False
    attempts: tuple[Attempted, ...] = ()
    failure: Fault | None = None
    memory: Quotation = NO_QUOTATION

    @property
    def replayed_cost(self) -> Cost:
        """The recorded amount, marked as money that was not spent again."""
        return replayed(self.cost)

    def to_json(self, redact: Callable[[str], str]) -> dict[str, Any]:
        """`decision`, the failed `attempts`, and `answer` or `error` as plain JSON values; what people or models wrote
        has passed through `redact`."""
        attempts = [attempt.to_json(redact) for attempt in self.attempts]
        before = {
            "decision": self._decision(redact),
            **({"memory": quotation_to(self.memory, redact)} if self.memory.quoted else {}),
            **({"attempts": attempts} if attempts else {}),
        }
        if self.failure is not None:
            return {**before, "error": self.failure.to_json(redact)}
        return {**before, "answer": self._answer(redact)}

    def _decision(self, redact: Callable[[str], str]) -> dict[str, Any]:
        decision = asdict(self.choice)
        decision["reason"] = redact(self.choice.reason)
        decision["estimated_cost"] = money(self.choice.estimated_cost)
        del decision["providers"]
        if states := self.choice.providers:
            decision["providers"] = {name: _state_json(state, redact) for name, state in sorted(states.items())}
        return decision

    def _answer(self, redact: Callable[[str], str]) -> dict[str, Any]:
        answer: dict[str, Any] = {
            "provider_id": self.provider_id,
            "provider_type": self.provider_type,
            "model_id": self.model_id,
        }
        if self.served_model is not None:
            answer["served_model"] = redact(self.served_model)
        if self.text is not None:
            answer["text"] = redact(self.text)
        if self.finish_reason is not None:
            answer["finish_reason"] = redact(self.finish_reason)
        if self.vectors is not None:
            answer["dimension"] = self.vectors.dimension
            answer["vectors"] = [base64.b64encode(row).decode() for row in _rows(self.vectors)]
        if self.usage is not None:
            answer["usage"] = asdict(self.usage)
        answer["cost"] = cost_to(self.cost)
        if self.notes:
            answer["notes"] = [redact(note) for note in self.notes]
        if self.simulated:
            answer["simulated"] = True
        return answer

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recording:
        """The inverse of `to_json`. Raises `ValueError` with what is wrong; a file is not to be trusted in anything."""
        choice = _choice(section(value, "decision"))
        attempts = tuple(map(Attempted.from_json, sections(value, "attempts")))
        memory = quotation_from(section(value, "memory")) if "memory" in value else NO_QUOTATION
        if "error" in value:
            if "answer" in value:
                raise ValueError("there is both an `answer` and an `error`")
            return replace(cls.of_failure(choice, attempts, Fault.from_json(section(value, "error"))), memory=memory)
        answer = section(value, "answer")
        said, vectors = optional_text(answer, "text"), _vectors(answer)
        if (said is None) == (vectors is None):
            raise ValueError("`answer` must have either `text` or `vectors`")
        notes = answer.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ValueError("`notes` must be a list of texts")
        return cls(
            choice=choice,
            provider_id=text(answer, "provider_id"),
            provider_type=text(answer, "provider_type"),
            model_id=text(answer, "model_id"),
            cost=cost_from(section(answer, "cost")),
            usage=usage_from(answer),
            served_model=optional_text(answer, "served_model"),
            finish_reason=optional_text(answer, "finish_reason"),
            text=said,
            vectors=vectors,
            notes=tuple(notes),
            simulated=flag(answer, "simulated"),
            attempts=attempts,
            memory=memory,
        )

    @classmethod
    def of_failure(cls, choice: Choice, attempts: tuple[Attempted, ...], failure: Fault) -> Recording:
        """Of a request that nobody answered; without attempts nothing was sent."""
        usd, unknown = total([attempt.cost.usd for attempt in attempts])
        last = attempts[-1] if attempts else choice
        cost = Cost(None, "unpriced") if unknown else Cost(usd, attempts[-1].cost.source if attempts else "computed")
        return cls(
            choice, last.provider_id, last.provider_type, last.model_id, cost, attempts=attempts, failure=failure
        )


def replayed(cost: Cost) -> Cost:
    return Cost(cost.usd, "replayed", cost.recorded_source or cost.source, cost.price_as_of)


def _rows(vectors: Vectors) -> list[bytes]:
    width = 4 * vectors.dimension
    return [vectors.data[start : start + width] for start in range(0, len(vectors.data), width)] if width else []


def _choice(decision: Mapping[str, Any]) -> Choice:
    ids = {name: text(decision, name) for name in ("task", "policy", "provider_id", "provider_type", "model_id")}
    states = section(decision, "providers") if "providers" in decision else {}
    return Choice(
        **ids,
        reason=text(decision, "reason"),
        estimated_cost=usd(decision, "estimated_cost"),
        providers={name: _state(section(states, name)) for name in states},
    )


def _state_json(state: ProviderState, redact: Callable[[str], str]) -> dict[str, Any]:
    """What differs from the first state."""
    first = asdict(ProviderState())
    said = {name: value for name, value in asdict(state).items() if value != first[name]}
    return {name: redact(value) if isinstance(value, str) else value for name, value in said.items()}


def _state(value: Mapping[str, Any]) -> ProviderState:
    breaker = value.get("breaker", "closed")
    if breaker not in get_args(BreakerState):
        raise ValueError(f"`breaker` is {breaker!r:.80}, which is none of {', '.join(get_args(BreakerState))}")
    return ProviderState(
        auth_failed=optional_text(value, "auth_failed"),
        breaker=breaker,
        failures=count(value, "failures"),
        probing=flag(value, "probing"),
        rests=optional_text(value, "rests"),
    )


def _vectors(answer: Mapping[str, Any]) -> Vectors | None:
    rows = answer.get("vectors")
    if rows is None:
        return None
    dimension = count(answer, "dimension")
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows) or dimension == 0:
        raise ValueError("`vectors` must be a list of base64 texts, with their `dimension`")
    try:
        data = [base64.b64decode(row, validate=True) for row in rows]
    except binascii.Error:
        raise ValueError("`vectors` holds what is not base64") from None
    if any(len(row) != 4 * dimension for row in data):
        raise ValueError(f"`vectors` holds a row that is not {dimension} numbers of four bytes")
    return Vectors(dimension, b"".join(data))
