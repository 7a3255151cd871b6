"""`sekha.Chat()`: a conversation in the page, which streams, can be stopped, and stays readable in the file.

A question is answered in a thread of its own, so that the kernel is free meanwhile. What the page cannot carry into the
file (a widget ends with its kernel) stands in an output of its own below the widget, the transcript, which is written
anew after every answer.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Mapping
from contextvars import copy_context
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from .. import whereabouts
from ..ask import Wishes
from ..core.types import CHAT_TASKS, Reply
from ..display.markdown import to_html
from ..display.money import format_sum
from ..display.stream import Pace, publish_to_cell
from ..display.text import one_line, to_plain
from ..errors import InvalidInput, SekhaError
from ..registry import Registry, get_registry
from .answering import Answering, Ended
from .opening import opened, view_of
from .turns import Transcript, Turn

if TYPE_CHECKING:
    from .pages import ChatPage

__all__ = ["Chat"]

_TASKS = frozenset({*CHAT_TASKS, "vision"})
# As many stand in the widget; all of them in the transcript.
_DRAWN_TURNS = 100
_LONGEST_QUESTION = 1_000_000


class Chat:
    """A conversation: `sekha.Chat()` as the last line of a cell.

    `conversation` names one of this kernel (see `Registry.chat`); without it a new one is begun. `model` and `task` are
    chosen first, and can be changed in the page. `system` and the other arguments are those of `Registry.chat`.
    `turns` is what was said, `transcript` the same as an output that needs no kernel, `widget` the part in the page.

    Raises `InvalidInput`, and `SekhaError` where anywidget is not installed.
    """

    def __init__(self, conversation: str | None = None, *, model: str | None = None, task: str | None = None,
                 system: str | None = None, registry: Registry | None = None, **wishes: Any) -> None:  # fmt: skip
        self._registry = _registry(registry)
        self._wishes = _checked(self._registry, {**wishes, "model": model, "task": task})
        self._system = _text_or_none("system", system)
        self.conversation = _name(conversation, self._registry)
        self.turns: tuple[Turn, ...] = ()
        # What is asked counts for the cell in which the chat was made, whatever runs when it is asked.
        self._context = copy_context()
        self._display_id: str | None = None
        # Protects the answer on its way and the turns: the page, a cell and the answer's thread come together here.
        self._lock = threading.RLock()
        self._answering: Answering | None = None
        self._ended: Ended | None = None
        self._closed = False
        self._spent = format_sum(Decimal(0))
        self.widget: ChatPage = opened(
            "Chat",
            "ChatPage",
            self._hear,
            self.stop,
            name=one_line(self.conversation),
            model=model or "",
            task=task or "",
            spent=self._spent,
        )
        self._look()

    def ask(self, question: str) -> Reply:
        """Ask from code, and wait for the answer, which stands in the page too. Raises as `Registry.chat` does.

        One that was stopped meanwhile raises `SekhaError`; Ctrl-C stops it.
        """
        answering = self._begin(question)
        try:
            while not answering.wait(0.2):
                pass
        except BaseException:
            answering.stop()
            raise
        with self._lock:
            ended = self._ended
        if ended is not None and ended.error is not None:
            raise ended.error
        if ended is None or ended.reply is None:
            raise SekhaError("The answer was stopped.", hint="What came of it is in `turns`; ask again for all of it.")
        return ended.reply

    def stop(self) -> None:
        """Stop the answer on its way, if there is one; what came of it stays."""
        with self._lock:
            answering = self._answering
        if answering is not None:
            answering.stop()

    def close(self) -> None:
        """Stop, and take the widget out of the page; the transcript stays."""
        with self._lock:
            self._closed = True
        self.widget.close()
        self.stop()

    @property
    def transcript(self) -> Transcript:
        """All that was said, as text and HTML without a kernel."""
        with self._lock:
            return Transcript(self.conversation, self.turns, self._spent)

    def __repr__(self) -> str:
        return f"<Chat {one_line(self.conversation)!r}: {len(self.turns)} turns>"

    def _ipython_display_(self) -> None:
        """The widget, and below it the transcript, which is kept up where a person watches."""
        self._look()
        transcript = self.transcript
        if not (whereabouts.in_kernel() and whereabouts.is_person()):
            publish_to_cell({**transcript.mimebundle(), **view_of(self.widget)}, {}, display_id=None, update=False)
            return
        name = one_line(f"Conversation {self.conversation}")
        alone = Transcript(self.conversation, (), self._spent)
        publish_to_cell({**alone.mimebundle(), "text/plain": name, **view_of(self.widget)}, {},
                        display_id=None, update=False)  # fmt: skip
        with self._lock:
            self._display_id = f"sekha-{uuid.uuid4().hex}"
        self._write_down(update=False)

    # --- the page ---

    def _hear(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "ask":
                self._asked_by_the_page(message)
            case "stop":
                self.stop()

    def _asked_by_the_page(self, message: Mapping[str, Any]) -> None:
        answer: dict[str, Any] = {"type": "heard", "id": message.get("id"), "error": None}
        try:
            self._begin(message.get("text"))
        except SekhaError as error:
            answer["error"] = str(error)
        self.widget.tell(answer)

    def _look(self) -> None:
        """Offer what the registry offers now."""
        entries = self._registry.models()
        chats = entries[[any(task in _TASKS for task in tasks) for tasks in entries["tasks"]]]
        served_twice = set(chats["model_id"][chats["model_id"].duplicated()])
        names = [
            f"{provider_id}/{model_id}" if model_id in served_twice else str(model_id)
            for provider_id, model_id in zip(chats["provider_id"], chats["model_id"], strict=True)
        ]
        tasks = [task for task in self._registry.tasks() if task in _TASKS]
        self.widget.show(models=names, tasks=tasks)

    # --- an answer ---

    def _begin(self, question: object) -> Answering:
        if not isinstance(question, str) or not question.strip():
            raise InvalidInput(f"A question is a text, not {question!r:.80}.", hint="Write what to ask.")
        if len(question) > _LONGEST_QUESTION:
            raise InvalidInput(
                f"The question has {len(question):,} characters.", hint=f"At most {_LONGEST_QUESTION:,} are sent."
            )
        with self._lock:
            if self._closed:
                raise InvalidInput("This chat is closed.", hint="Make another one with the same conversation.")
            if self._answering is not None:
                raise InvalidInput("An answer is still being written.", hint="Wait for it, or stop it.")
            chosen = {"model": self.widget.model or None, "task": self.widget.task or None}
            stream = self._registry.astream(
                question, system=self._system, conversation=self.conversation, **{**self._wishes, **chosen}
            )
            self._ended = None
            self.widget.show(asking=to_plain(question))
            self._answering = Answering(stream, self._context.copy(), self._drawing(), self._finish(question))
            return self._answering

    def _drawing(self) -> Callable[[str], None]:
        pace = Pace()
        return lambda text: pace.draw(lambda: self.widget.tell({"type": "writing", "html": to_html(text)}))

    def _finish(self, question: str) -> Callable[[Ended], None]:
        def finish(ended: Ended) -> None:
            turn = Turn.of(question, ended)
            spent = self._sum()
            with self._lock:
                self._answering, self._ended = None, ended
                self.turns, self._spent = (*self.turns, turn), spent
                drawn = self.turns[-_DRAWN_TURNS:]
                self.widget.show(
                    asking=None,
                    turns=[one.to_page() for one in drawn],
                    earlier=len(self.turns) - len(drawn),
                    spent=spent,
                )
            self._write_down(update=True)

        return finish

    def _sum(self) -> str:
        query = Path(__file__).with_name("spent.sql").read_text(encoding="utf-8")
        of = {"session": self._registry.session_id, "conversation": self.conversation}
        try:
            row: Any = self._registry.ledger.sql(query, {}, of).iloc[0]
        except SekhaError as error:
            return one_line(f"cost unknown: {error.message}")
        return format_sum(row["usd"], int(row["unpriced"]))

    def _write_down(self, *, update: bool) -> None:
        with self._lock:
            display_id = self._display_id
            transcript = Transcript(self.conversation, self.turns, self._spent, folded=True)
        if display_id is not None:
            publish_to_cell(transcript.mimebundle(), {}, display_id=display_id, update=update)


def _registry(given: Registry | None) -> Registry:
    if given is not None and not isinstance(given, Registry):
        raise InvalidInput(f"registry is {given!r:.80}.", hint="Make one with Registry.from_yaml(path).")
    return get_registry() if given is None else given


def _checked(registry: Registry, given: Mapping[str, Any]) -> dict[str, Any]:
    """The wishes that were given, once they are known to be right: not at the first question."""
    known = [name for name in Wishes.__dataclass_fields__ if name != "schema"]
    if unknown := sorted(set(given) - set(known)):
        raise InvalidInput(f"{unknown[0]} is not an argument of Chat.", hint=f"Known are {', '.join(known)}.")
    Wishes.of(given, registry.state.policies)
    return {name: value for name, value in given.items() if value is not None}


def _text_or_none(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"{name} is {value!r:.80}, not a text.")
    return value


def _name(given: object, registry: Registry) -> str:
    """That of the caller, or the first of `chat`, `chat 2`, ... that is not taken."""
    if given is not None:
        if not isinstance(given, str) or not given.strip():
            raise InvalidInput(f"conversation is {given!r:.80}, not a name.")
        return given
    with _naming:
        begun = _begun.setdefault(registry, set())
        taken = {*registry.conversations(), *begun}
        number = 1
        while (name := "chat" if number == 1 else f"chat {number}") in taken:
            number += 1
        begun.add(name)
    return name


_naming = threading.Lock()
# Two new chats are two conversations, also before either was asked anything.
_begun: WeakKeyDictionary[Registry, set[str]] = WeakKeyDictionary()
