"""`%%sekha_chat` and `%sekha_chat`: one question, one answer, one output.

The value is the reply. It is drawn once, whether or not it was watched while it was written.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from .. import whereabouts
from .options import CHAT
from .question import Question, read_question
from .standing import registry

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.types import Decision, Reply
    from ..display.stream import StreamView
    from ..registry import Registry
    from .arguments import Arguments

__all__ = ["chat", "decide", "hand_over", "prompt_of"]


def chat(
    shell: InteractiveShell, line: str, cell: str | None, names: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Reply | Decision | None:
    """Answer a line or a cell. Help gives None, --dry-run the decision."""
    arguments = CHAT.parse(line)
    if arguments.help:
        sys.stdout.write(CHAT.help_text())
        return None
    values = arguments.values
    question = read_question(arguments, prompt_of(arguments, cell), shell, names, defaults)
    if not question.prompt.strip():
        raise UsageError("there is no prompt: write it behind the options, or below `%%sekha_chat`")
    if values.get("dry_run"):
        return decide(shell, question, arguments, source="chat")
    quiet = bool(values.get("quiet"))
    in_use = registry()
    streamed = bool(defaults.get("stream", True)) and not values.get("no_stream")
    view = _view(in_use) if streamed and not quiet else None
    reply = _ask(in_use, question, view)
    if not quiet:
        _draw(reply, view, values, defaults)
    hand_over(shell, reply, values.get("out"))
    if values.get("to_cell"):
        _to_cell(shell, reply)
    return reply


def decide(shell: InteractiveShell, question: Question, arguments: Arguments, source: str = "route") -> Decision:
    """Choose and price without sending; show the decision, keep it where -o says, and give it back."""
    from ..display.decision import decision_mimebundle
    from ..display.stream import publish_to_cell

    decision = registry().route(
        question.prompt,
        # An emptied conversation weighs nothing, and asking what would happen must not empty it.
        conversation=None if question.new else question.conversation,
        source=source,
        log=question.log,
        **question.wishes,
    )
    if not arguments.values.get("quiet"):
        publish_to_cell(*decision_mimebundle(decision), display_id=None, update=False)
    hand_over(shell, decision, arguments.values.get("out"))
    return decision


def prompt_of(arguments: Arguments, cell: str | None) -> str:
    """The prompt: the rest of the line, or the cell below it without the line end that cells are given."""
    if cell is None:
        return arguments.rest
    if arguments.rest.strip():
        raise UsageError(
            f"{arguments.rest.split()[0]!r} is no option: the prompt of a cell begins on its second line, "
            "and a value with blanks stands in quotes"
        )
    return cell.removesuffix("\n")


def _view(in_use: Registry) -> StreamView | None:
    """What draws the answer while it is written, when somebody is watching a page that can change."""
    replaying = in_use.cassette is not None and in_use.cassette.mode == "replay"
    if replaying or not whereabouts.in_kernel() or not whereabouts.is_person():
        return None
    from ..display.stream import StreamView, publish_to_cell

    return StreamView(f"sekha-{uuid.uuid4().hex}", publish_to_cell)


def _ask(in_use: Registry, question: Question, view: StreamView | None) -> Reply:
    try:
        return in_use.chat(
            question.prompt,
            conversation=question.conversation,
            new=question.new,
            log=question.log,
            stream=view is not None,
            on_token=None if view is None else view.push,
            **question.wishes,
        )
    except BaseException as error:
        if view is not None:
            view.abandon("interrupted" if isinstance(error, KeyboardInterrupt) else "the answer was not finished")
        raise


def _draw(reply: Reply, view: StreamView | None, values: Mapping[str, Any], defaults: Mapping[str, Any]) -> None:
    from ..display.reply import mimebundle
    from ..display.stream import publish_to_cell

    explain = bool(values.get("explain") or defaults.get("explain"))
    bundle = mimebundle(reply, explain=explain, format=values.get("format", defaults.get("format", "markdown")))
    if view is not None:
        view.finish(*bundle)
    else:
        publish_to_cell(*bundle, display_id=None, update=False)


def hand_over(shell: InteractiveShell, value: Any, name: str | None) -> None:
    """Keep the value under `name`, and let the shell not draw it again."""
    from ..display.formatters import mark_drawn

    mark_drawn(shell, value)
    if name is not None:
        shell.user_ns[name] = value


def _to_cell(shell: InteractiveShell, reply: Reply) -> None:
    from ..display.markdown import fenced_code
    from ..display.text import to_plain

    code = "\n".join(to_plain(text) for _, text in fenced_code(reply.text))
    if code.strip():
        shell.set_next_input(code.rstrip("\n"))
    else:
        sys.stderr.write("--to-cell: the answer holds no fenced code\n")
