"""What was said in a conversation, and what became of every question: nothing of it is lost, also where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..display.markdown import to_html
from ..display.reply import notes_of, quiet_line
from ..display.tables import QUIET
from ..display.text import one_line, to_html_text, to_plain
from .answering import Ended

__all__ = ["Transcript", "Turn"]

_STOPPED = "stopped: the answer ends here"


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and its end. `html` is the answer, harmless by construction; the other texts are plain."""

    question: str
    answer: str
    html: str
    line: str = ""
    error: str = ""
    hint: str = ""

    @classmethod
    def of(cls, question: str, ended: Ended) -> Turn:
        answer = to_plain(ended.text)
        return cls(to_plain(question), answer, to_html(answer) if answer.strip() else "", *_ending(ended))

    def to_plain(self) -> str:
        parts = [f"You: {self.question}", self.answer.rstrip(), self.line]
        parts += [f"Error: {self.error}" if self.error else "", f"Hint: {self.hint}" if self.hint else ""]
        return "\n\n".join(part for part in parts if part)

    def to_html(self) -> str:
        asked = f'<p style="white-space:pre-wrap"><strong>You:</strong> {to_html_text(self.question)}</p>\n'
        parts = [asked, self.html]
        if self.line:
            parts.append(f'<p style="{QUIET}">{to_html_text(self.line)}</p>\n')
        if self.error:
            parts.append(f"<p><strong>Error:</strong> {to_html_text(one_line(self.error))}</p>\n")
        if self.hint:
            parts.append(f'<p style="{QUIET}">{to_html_text(one_line(self.hint))}</p>\n')
        return "".join(parts)

    def to_page(self) -> dict[str, str]:
        """What the widget draws."""
        return {
            "question": self.question,
            "html": self.html,
            "line": self.line,
            "error": self.error,
            "hint": self.hint,
        }


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation as text and as HTML that needs no script, no style and no kernel. `folded` closes it at first."""

    name: str
    turns: Sequence[Turn]
    spent: str
    folded: bool = False

    def to_plain(self) -> str:
        return "\n\n".join([self._heading(), *(turn.to_plain() for turn in self.turns)])

    def to_html(self) -> str:
        heading, body = to_html_text(self._heading()), "<hr>\n".join(turn.to_html() for turn in self.turns)
        if self.folded and self.turns:
            return f"<details><summary>{heading}</summary>\n{body}</details>\n"
        return f'<div><p style="{QUIET}">{heading}</p>\n{body}</div>\n'

    def mimebundle(self) -> dict[str, Any]:
        return {"text/plain": self.to_plain(), "text/html": self.to_html()}

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return self.mimebundle()

    def __str__(self) -> str:
        return self.to_plain()

    def _heading(self) -> str:
        name = one_line(f"Conversation {self.name}")
        if not self.turns:
            return f"{name}: nothing was said yet"
        count = "1 question" if len(self.turns) == 1 else f"{len(self.turns)} questions"
        return f"{name}: {count}, {self.spent}"


def _ending(ended: Ended) -> tuple[str, str, str]:
    """The line below the answer, the error, and its hint."""
    if ended.error is not None:
        error = ended.error
        message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
        return "", to_plain(message), to_plain(getattr(error, "hint", ""))
    if ended.reply is None:
        return _STOPPED, "", ""
    return "\n".join([quiet_line(ended.reply), *notes_of(ended.reply)]), "", ""
