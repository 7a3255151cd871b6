"""What of the memory stood before a recorded prompt, as a cassette keeps it: where it is from and why, not its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ..core.types import Quotation, Quoted, TokenEstimate
from .fields import count, flag, number, section, sections, text

__all__ = ["quotation_from", "quotation_to"]

_READ: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
    **dict.fromkeys(("message_id", "conversation", "folder", "role", "ts"), text),
    **dict.fromkeys(("score", "similarity", "importance", "recency"), lambda value, name: number(value, name) or 0.0),
    **dict.fromkeys(("pinned", "cut"), flag),
    "tokens": count,
}


def quotation_to(quotation: Quotation, redact: Callable[[str], str]) -> dict[str, Any]:
    quoted = [
        {name: redact(value) if isinstance(value, str) else value for name, value in one._asdict().items()}
        for one in quotation.quoted
    ]
    return {"tokens": quotation.tokens._asdict(), "quoted": quoted}


def quotation_from(value: Mapping[str, Any]) -> Quotation:
    tokens = section(value, "tokens")
    low, expected, high = (count(tokens, name) for name in TokenEstimate._fields)
    return Quotation(tuple(map(_quoted, sections(value, "quoted"))), TokenEstimate(low, expected, high))


def _quoted(value: Mapping[str, Any]) -> Quoted:
    datetime.fromisoformat(text(value, "ts"))
    return Quoted(**{name: _READ[name](value, name) for name in Quoted._fields})
