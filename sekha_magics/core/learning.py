"""What earlier calls teach about the next: by how much a count of tokens is off, and how long a model's answers are.

A correction moves what is expected, and widens a range, and never makes it narrower: all calls so far may have been of
one kind of text and the next of another, and budgets reserve the high end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from .types import TokenEstimate

__all__ = ["KEPT", "AnswerLength", "Correction", "corrected", "correction", "length"]

KEPT = 50
"""How many calls of a model are remembered, the last ones."""

_ENOUGH = 3
# Beyond the lowest and highest ratio seen there is a tenth of room for the one that was not seen.
_ROOM = 0.1
# A count that is off by more says nothing of the next: a hidden prompt, a wrong family.
_LARGEST = 8.0


class Correction(NamedTuple):
    """Reported over estimated input tokens: the lowest, the median and the highest ratio of the last `calls`."""

    low: float
    expected: float
    high: float
    calls: int


class AnswerLength(NamedTuple):
    """Output tokens of the last `calls` answers of a model to a task: the fewest, the median and the most."""

    low: int
    expected: int
    high: int
    calls: int


def correction(ratios: Sequence[float]) -> Correction | None:
    """Of the last calls' ratios; None while there are too few to learn from."""
    if len(ratios) < _ENOUGH:
        return None
    near = [min(max(ratio, 1 / _LARGEST), _LARGEST) for ratio in ratios]
    # Rounded so that a snapshot's text, and with it its id, is the same on every machine.
    return Correction(round(min(near), 4), round(median(near), 4), round(max(near), 4), len(near))


def corrected(estimate: TokenEstimate, by: Correction) -> TokenEstimate:
    """The estimate with the median applied to what is expected; the range holds the old one and every ratio seen."""
    low, expected, high = estimate
    return TokenEstimate(
        min(low, math.floor(expected * by.low * (1 - _ROOM))),
        round(expected * by.expected),
        max(high, math.ceil(expected * by.high * (1 + _ROOM))),
    )


def length(output_tokens: Sequence[int]) -> AnswerLength | None:
    """Of the last answers' output tokens; None while there are too few to learn from."""
    if len(output_tokens) < _ENOUGH:
        return None
    return AnswerLength(min(output_tokens), round(median(output_tokens)), max(output_tokens), len(output_tokens))
