"""What a memory asks of a chat model, and how it takes an answer: checked, asked for once more, or refused.

The memory is given somebody who asks (`Asker`), as it is given somebody who embeds. What is stored goes to the model as
quoted material alone, and nothing of an answer that does not fit is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from string import Template
from typing import Any, Protocol, TypeVar

from ..core.content import Message, Text
from ..errors import InvalidInput, UnusableAnswer
from .material import Piece

__all__ = ["Answer", "Asker", "Errand", "Progress", "Question", "Task", "Unfit"]

T = TypeVar("T")

_PROMPTS = Path(__file__).parent / "prompts"
_ATTEMPTS = 2
_MORE_ROOM = "Give it more room, as a model that thinks first needs: max_tokens=4000. Or ask another one: model=..."
# Estimates of tokens are off by a little, and what is over the window is refused.
_FILLED = 0.8
_LEAST_ROOM = 100


class Answer(Protocol):
    """What came back: `parsed` is the value by the question's schema, None where the answer does not follow it."""

    @property
    def text(self) -> str: ...
    @property
    def parsed(self) -> Any: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def provider_id(self) -> str: ...
    @property
    def model_id(self) -> str: ...
    @property
    def decision(self) -> Any: ...
    @property
    def cost(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Question:
    """`source` and `conversation` are what the ledger says of it, `wishes` the arguments of `Registry.chat`."""

    source: str
    conversation: str | None
    messages: tuple[Message, ...]
    wishes: Mapping[str, Any]


class Progress(Protocol):
    """A bar: `more` adds to what there is to do, `done` says that so much of it is done."""

    def more(self, count: int) -> None: ...
    def done(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Asker:
    """What a memory is given to ask with.

    `ask` sends one question and raises `SekhaError`; `room` is how many more tokens fit into the window of the model
    that would be asked it, None where nobody knows; `progress` draws a bar where a person waits.
    """

    ask: Callable[[Question], Answer]
    room: Callable[[Question], int | None]
    progress: Callable[[str], AbstractContextManager[Progress]]


class Unfit(ValueError):
    """An answer that cannot be used; its text says in a sentence what one would look like."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is asked of the material: `words` fills in the prompt of this name, `schema` is the answer's form."""

    prompt: str
    words: int = 0
    schema: Any = None

    @property
    def text(self) -> str:
        prompt = (_PROMPTS / f"{self.prompt}.txt").read_text(encoding="utf-8")
        return Template(prompt).substitute(words=self.words).strip()

    @property
    def max_tokens(self) -> int | None:
        """Twice as many as words: languages differ in how many a word takes."""
        return 2 * self.words or None


@dataclass
class Errand:
    """One piece of work that may take several questions; a `max_cost` among the wishes is for them all."""

    asker: Asker
    source: str
    conversation: str | None
    wishes: Mapping[str, Any]
    spent: Decimal = field(default_factory=Decimal)
    asked: int = 0
    unpriced: int = 0

    def __post_init__(self) -> None:
        if "schema" in self.wishes:
            raise InvalidInput("schema is not an argument of this call.", hint="What is asked for has its own form.")

    @property
    def cost_usd(self) -> Decimal | None:
        """What it has cost so far; None when a part of it has no price."""
        return None if self.unpriced else self.spent

    def ask(self, task: Task, pieces: Sequence[Piece], take: Callable[[Answer], T]) -> tuple[T, Answer]:
        """What `take` makes of the answer, and the answer. Raises `UnusableAnswer` when the second is unfit too."""
        complaint = ""
        for _ in range(_ATTEMPTS):
            answer = self.asker.ask(self._question(task, pieces, complaint))
            self.asked += 1
            self.spent += answer.cost.usd or Decimal(0)
            self.unpriced += answer.cost.usd is None
            try:
                return take(answer), answer
            except Unfit as unfit:
                complaint = str(unfit)
        raise UnusableAnswer(
            f"{answer.provider_id}/{answer.model_id} gave no answer that can be used, and nothing of it is kept: "
            f"{complaint}",
            text=answer.text,
            hint=_MORE_ROOM if answer.finish_reason == "length" else None,
        )

    def room(self, task: Task) -> int | None:
        """How many tokens of material can be asked about at once. Raises `NoEligibleModel` when nobody may be asked."""
        room = self.asker.room(self._question(task, (), ""))
        if room is None:
            return None
        if room * _FILLED < _LEAST_ROOM:
            raise InvalidInput(
                "The model that would be asked has no room for any material.",
                hint="Name one with a larger window: model=..., or context_size=8000.",
            )
        return int(room * _FILLED)

    def _question(self, task: Task, pieces: Sequence[Piece], complaint: str) -> Question:
        material = "\n\n".join(piece.quoted for piece in pieces)
        again = f"\nYour last answer could not be used: {complaint}" if complaint else ""
        system = (_PROMPTS / "system.txt").read_text(encoding="utf-8").strip()
        # Parts and no plain text: an image written out in a stored text is text, and none to be looked at.
        messages = (
            Message("system", (Text(system),)),
            Message("user", (Text(f"{material}\n\n{task.text}{again}"),)),
        )
        wishes = {**self.wishes}
        if task.max_tokens is not None:
            wishes.setdefault("max_tokens", task.max_tokens)
        if task.schema is not None:
            wishes["schema"] = task.schema
        if self.spent and wishes.get("max_cost") is not None:
            wishes["max_cost"] = max(Decimal(str(wishes["max_cost"])) - self.spent, Decimal(0))
        return Question(self.source, self.conversation, messages, wishes)
