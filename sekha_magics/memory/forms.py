"""The forms of answers about memories, as models are told them and as they are held to them.

Bounds of texts stand in validators, which no schema shows: providers refuse schemas with keywords they do not know.
"""

from __future__ import annotations

import unicodedata
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

__all__ = ["Importance", "Labels"]

_MOST_LABELS = 5
_MOST_WORDS, _LONGEST_LABEL = 4, 40
_LONGEST_REASON = 400


def _whole(value: object) -> object:
    # `true` and 1.0 are equal to 1, and are no answer.
    if type(value) is not int:
        raise ValueError("an importance is a whole number")
    return value


def _reason(text: str) -> str:
    line = " ".join(text.split())
    if not line or len(line) > _LONGEST_REASON or not line.isprintable():
        raise ValueError("a reason is one sentence")
    return line


def _label(text: str) -> str:
    words = text.split()
    line = " ".join(words)
    spelled = all(map(_may_be_in_a_label, line)) and any(map(str.isalnum, line))
    if not 1 <= len(words) <= _MOST_WORDS or len(line) > _LONGEST_LABEL or not spelled:
        raise ValueError("a label is a few words of letters and digits")
    return line


def _may_be_in_a_label(character: str) -> bool:
    # Letters, their marks, and digits of any script.
    return character in " -_+#&" or unicodedata.category(character)[0] in "LMN"


def _labels(labels: list[str]) -> list[str]:
    if not 1 <= len(labels) <= _MOST_LABELS:
        raise ValueError("one to five labels")
    distinct: dict[str, str] = {}
    for label in labels:
        distinct.setdefault(label.casefold(), label)
    return list(distinct.values())


class Importance(BaseModel):
    model_config = ConfigDict(extra="forbid")

    importance: Annotated[Literal[1, 2, 3, 4, 5, 6, 7, 8, 9, 10], BeforeValidator(_whole)]
    reason: Annotated[str, AfterValidator(_reason)]


class Labels(BaseModel):
    model_config = ConfigDict(extra="forbid")

    labels: Annotated[list[Annotated[str, AfterValidator(_label)]], AfterValidator(_labels)]
