"""How important something is, and under which labels it would be looked for: a model's opinion, in bounds of ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from ..errors import InvalidInput
from .archive import Archive
from .asking import Answer, Asker, Errand, Task, Unfit
from .condensing import PART, fitting, summary_of
from .material import Piece
from .summaries import pieces_of, the_conversation

__all__ = ["Score", "labels", "of_conversation", "of_message", "score"]


@dataclass(frozen=True, slots=True)
class Score:
    """What a model thinks how much something would be missed: `importance` from 1 to 10, and why.

    `cost_usd` is what it took, None where that is not known.
    """

    importance: int
    reason: str
    provider_id: str
    model_id: str
    cost_usd: Decimal | None
    decision_id: str = field(repr=False)


def of_conversation(archive: Archive, name: str) -> list[Piece]:
    """All that was said in it, as material. Raises `InvalidInput` where there is nothing."""
    number, _ = the_conversation(archive, name)
    pieces = pieces_of(archive, "conversation", number)
    if not pieces:
        raise InvalidInput(f"Nothing is said in {name!r:.80}.", hint="reg.memory.conversations() counts the messages.")
    return pieces


def of_message(archive: Archive, message: str) -> tuple[str, list[Piece]]:
    """The name of its conversation, and the message as material. Raises `InvalidInput`."""
    rows = archive.rows("SELECT conversation FROM remembered WHERE message_id = ?", (message,))
    if not rows:
        raise InvalidInput(
            f"There is no message {message!r:.80} in the memory.", hint="reg.memory.messages() lists those there are."
        )
    return rows[0][0], pieces_of(archive, "message_id", message)


def score(asker: Asker, conversation: str, pieces: Sequence[Piece], wishes: Mapping[str, Any]) -> Score:
    """Raises `UnusableAnswer` when a model gives no whole number from 1 to 10 with a reason."""
    from .forms import Importance

    task = Task("importance", schema=Importance)
    given, answer, errand = _asked(asker, conversation, pieces, task, wishes, "an importance from 1 to 10 and a reason")
    return Score(
        given.importance,
        given.reason,
        answer.provider_id,
        answer.model_id,
        errand.cost_usd,
        answer.decision.decision_id,
    )


def labels(asker: Asker, conversation: str, pieces: Sequence[Piece], wishes: Mapping[str, Any]) -> list[str]:
    """Raises `UnusableAnswer` when a model gives anything but a few short labels."""
    from .forms import Labels

    task = Task("labels", schema=Labels)
    wanted = "one to five labels of a few words, in letters and digits"
    given, _, _ = _asked(asker, conversation, pieces, task, wishes, wanted)
    return list(given.labels)


def _asked(
    asker: Asker, conversation: str, pieces: Sequence[Piece], task: Task, wishes: Mapping[str, Any], wanted: str
) -> tuple[Any, Answer, Errand]:
    errand = Errand(asker, "score", conversation, wishes)

    def shorten(batch: Sequence[Piece], head: str) -> Piece:
        text, _ = errand.ask(PART, batch, summary_of(PART.words))
        return Piece("", head, text)

    def take(answer: Answer) -> Any:
        if answer.parsed is None:
            raise Unfit(f"it is not {wanted}")
        return answer.parsed

    with asker.progress("part") as bar:
        fitted = fitting(errand, task, pieces, shorten, bar)
    given, answer = errand.ask(task, fitted, take)
    return given, answer, errand
