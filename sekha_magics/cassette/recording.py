"""One answer as a cassette keeps it: the choice that was made, who answered, what was said and what it cost.

Times and ids are not kept, so that recording the same answers again changes nothing in the file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

from ..core.types import Cost, CostSource, Usage

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Choice", "Recording", "Vectors"]


@dataclass(frozen=True, slots=True)
class Choice:
    """What was decided for the request; the fields of `Decision` that a reader of the file can use."""

    task: str
    policy: str
    provider_id: str
    provider_type: str
    model_id: str
    reason: str
    estimated_cost: Decimal | None = None


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
class Recording:
    """An answer: `text` of a chat or `vectors` of an embedding. The provider and model named here are who answered,
    which after a failover are not those of `choice`. `cost` is as it was when recorded.
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

    @property
    def replayed_cost(self) -> Cost:
        """The recorded amount, marked as money that was not spent again."""
        return Cost(self.cost.usd, "replayed", self.cost.recorded_source or self.cost.source, self.cost.price_as_of)

    def to_json(self, redact: Callable[[str], str]) -> dict[str, Any]:
        """`decision` and `answer` as plain JSON values; what people or models wrote has passed through `redact`."""
        decision = asdict(self.choice)
        decision["reason"] = redact(self.choice.reason)
        decision["estimated_cost"] = _money(self.choice.estimated_cost)
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
        answer["cost"] = {"usd": _money(self.cost.usd), "source": self.cost.source}
        if self.cost.price_as_of is not None:
            answer["cost"]["price_as_of"] = self.cost.price_as_of.isoformat()
        if self.notes:
            answer["notes"] = [redact(note) for note in self.notes]
        return {"decision": decision, "answer": answer}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Recording:
        """The inverse of `to_json`. Raises `ValueError` with what is wrong; a file is not to be trusted in anything."""
        decision, answer = _section(value, "decision"), _section(value, "answer")
        ids = {name: _text(decision, name) for name in ("task", "policy", "provider_id", "provider_type", "model_id")}
        choice = Choice(**ids, reason=_text(decision, "reason"), estimated_cost=_usd(decision, "estimated_cost"))
        text, vectors = _optional_text(answer, "text"), _vectors(answer)
        if (text is None) == (vectors is None):
            raise ValueError("`answer` must have either `text` or `vectors`")
        notes = answer.get("notes", [])
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ValueError("`notes` must be a list of texts")
        return cls(
            choice=choice,
            provider_id=_text(answer, "provider_id"),
            provider_type=_text(answer, "provider_type"),
            model_id=_text(answer, "model_id"),
            cost=_cost(_section(answer, "cost")),
            usage=_usage(answer),
            served_model=_optional_text(answer, "served_model"),
            finish_reason=_optional_text(answer, "finish_reason"),
            text=text,
            vectors=vectors,
            notes=tuple(notes),
        )


def _rows(vectors: Vectors) -> list[bytes]:
    width = 4 * vectors.dimension
    return [vectors.data[start : start + width] for start in range(0, len(vectors.data), width)] if width else []


def _money(usd: Decimal | None) -> str | None:
    return None if usd is None else str(usd)


def _section(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = value.get(name)
    if not isinstance(section, dict):
        raise ValueError(f"`{name}` is missing or no mapping")  # noqa: TRY004 - the file is wrong, not a caller
    return section


def _text(section: Mapping[str, Any], name: str) -> str:
    value = section.get(name)
    if not isinstance(value, str):
        raise ValueError(f"`{name}` is missing or no text")  # noqa: TRY004
    return value


def _optional_text(section: Mapping[str, Any], name: str) -> str | None:
    return None if section.get(name) is None else _text(section, name)


def _count(section: Mapping[str, Any], name: str) -> int:
    value = section.get(name, 0)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"`{name}` must be a whole number of 0 or more")
    return value


def _usd(section: Mapping[str, Any], name: str) -> Decimal | None:
    text = _optional_text(section, name)
    if text is None:
        return None
    try:
        usd = Decimal(text)
    except ArithmeticError:
        raise ValueError(f"`{name}` is no amount of money") from None
    # An exponent of a billion is a short text, and fills the memory when it is written out.
    if not usd.is_finite() or usd < 0 or len(text) > 60 or not -40 <= usd.adjusted() <= 15:
        raise ValueError(f"`{name}` is no amount of money")
    return usd


def _cost(section: Mapping[str, Any]) -> Cost:
    source = _text(section, "source")
    for known in get_args(CostSource):
        if source == known:
            as_of = _optional_text(section, "price_as_of")
            return Cost(_usd(section, "usd"), known, None, None if as_of is None else date.fromisoformat(as_of))
    raise ValueError(f"`source` of the cost is {source!r}, which is none of {', '.join(get_args(CostSource))}")


def _usage(answer: Mapping[str, Any]) -> Usage | None:
    if answer.get("usage") is None:
        return None
    section = _section(answer, "usage")
    return Usage(**{f.name: _count(section, f.name) for f in fields(Usage)})


def _vectors(answer: Mapping[str, Any]) -> Vectors | None:
    rows = answer.get("vectors")
    if rows is None:
        return None
    dimension = _count(answer, "dimension")
    if not isinstance(rows, list) or not all(isinstance(row, str) for row in rows) or dimension == 0:
        raise ValueError("`vectors` must be a list of base64 texts, with their `dimension`")
    try:
        data = [base64.b64decode(row, validate=True) for row in rows]
    except binascii.Error:
        raise ValueError("`vectors` holds what is not base64") from None
    if any(len(row) != 4 * dimension for row in data):
        raise ValueError(f"`vectors` holds a row that is not {dimension} numbers of four bytes")
    return Vectors(dimension, b"".join(data))
