"""From much material to one question about it: what is too long for a model's window is summarized in parts first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..errors import InvalidInput
from .asking import Answer, Errand, Progress, Task, Unfit
from .material import Piece, batches

__all__ = ["PART", "fitting", "summary_of"]

PART = Task("summary", words=200)
# An answer may be this much longer than was asked for: models count badly.
_SLACK = 1.25
_CHARACTERS_A_WORD = 15

Shorten = Callable[[Sequence[Piece], str], Piece]
"""Makes one piece of several; the text is the head of what it makes."""


def fitting(errand: Errand, task: Task, pieces: Sequence[Piece], shorten: Shorten, bar: Progress) -> list[Piece]:
    """The pieces, where a model can be asked all of them at once, or summaries of them."""
    dealt = batches(pieces, errand.room(task))
    if len(dealt) > 1:
        dealt = batches(pieces, _least(errand.room(task), errand.room(PART)))
    while len(dealt) > 1:
        bar.more(len(dealt))
        shorter = []
        for number, batch in enumerate(dealt, 1):
            shorter.append(shorten(batch, f"part {number} of {len(dealt)}, summarized"))
            bar.done()
        before = len(dealt)
        dealt = batches(shorter, _least(errand.room(task), errand.room(PART)))
        if len(dealt) >= before:
            raise InvalidInput(
                "The summaries of the parts do not fit into the window of the model that would be asked.",
                hint="Name one with a larger window: model=..., or context_size=8000.",
            )
    return dealt[0] if dealt else []


def summary_of(words: int) -> Callable[[Answer], str]:
    """What takes an answer for a summary of at most so many words, and a little more."""

    def take(answer: Answer) -> str:
        text = answer.text.strip()
        if not text:
            raise Unfit("it was empty")
        if answer.finish_reason == "length":
            raise Unfit(f"it was cut off; at most {words} words are wanted")
        if len(text.split()) > words * _SLACK or len(text) > words * _CHARACTERS_A_WORD:
            raise Unfit(f"it was too long; at most {words} words are wanted")
        return text

    return take


def _least(*rooms: int | None) -> int | None:
    return min((room for room in rooms if room is not None), default=None)
