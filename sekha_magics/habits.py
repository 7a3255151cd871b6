"""How models count tokens and how long they answer, as their last calls have shown; a snapshot holds what follows.

The caller holds the lock under which this is read and changed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .core.learning import KEPT, AnswerLength, Correction, correction, length

__all__ = ["Habits", "Observed"]


class Observed(NamedTuple):
    """One call that was answered, in tokens: what was estimated and what the provider reported.

    `output` is None where the call says nothing of the length of an answer, `estimated` where it says nothing of how
    text is counted.
    """

    provider_id: str
    model_id: str
    task: str
    estimated: int | None
    input: int
    output: int | None


class Habits:
    """`corrections` and `lengths` are replaced, never changed: a snapshot may go on holding them."""

    def __init__(self) -> None:
        self.corrections: Mapping[tuple[str, str], Correction] = {}
        self.lengths: Mapping[tuple[str, str, str], AnswerLength] = {}
        self._ratios: dict[tuple[str, str], deque[float]] = {}
        self._outputs: dict[tuple[str, str, str], deque[int]] = {}

    def seen(self, observed: Observed) -> None:
        """The last call."""
        model = (observed.provider_id, observed.model_id)
        if (ratio := _ratio(observed)) is not None:
            kept = self._ratios.setdefault(model, deque(maxlen=KEPT))
            kept.append(ratio)
            if (learned := correction(kept)) is not None:
                self.corrections = {**self.corrections, model: learned}
        if observed.output:
            key = (*model, observed.task)
            outputs = self._outputs.setdefault(key, deque(maxlen=KEPT))
            outputs.append(observed.output)
            if (usual := length(outputs)) is not None:
                self.lengths = {**self.lengths, key: usual}

    def seen_before(self, earlier: Iterable[Observed]) -> None:
        """Calls of earlier sessions, oldest first; what this one has seen stays the newest."""
        ratios, outputs = self._ratios, self._outputs
        self._ratios, self._outputs = {}, {}
        for observed in earlier:
            self.seen(observed)
        for model, kept in ratios.items():
            self._ratios.setdefault(model, deque(maxlen=KEPT)).extend(kept)
        for key, answers in outputs.items():
            self._outputs.setdefault(key, deque(maxlen=KEPT)).extend(answers)
        self.corrections = {m: c for m, kept in self._ratios.items() if (c := correction(kept)) is not None}
        self.lengths = {k: n for k, kept in self._outputs.items() if (n := length(kept)) is not None}


def _ratio(observed: Observed) -> float | None:
    return observed.input / observed.estimated if observed.estimated and observed.input else None
