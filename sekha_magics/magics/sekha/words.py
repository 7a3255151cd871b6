"""The words behind a subcommand: an action, and what it acts on."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from IPython.core.error import UsageError

from ..arguments import Arguments

__all__ = ["Action", "no_words", "one_action", "unquoted"]


class Action(NamedTuple):
    """`operand` is the rest of the line, empty when there is none; quotes around it are taken off."""

    name: str
    operand: str


def one_action(arguments: Arguments, actions: tuple[str, ...], default: str) -> Action:
    """The action the line names. Raises UsageError, with the closest there is."""
    name, _, operand = arguments.rest.strip().partition(" ")
    if not name:
        return Action(default, "")
    if name not in actions:
        near = get_close_matches(name, actions, 1)
        raise UsageError(
            f"{name!r} is not one of {', '.join(actions)}" + (f". Did you mean {near[0]}?" if near else "")
        )
    return Action(name, unquoted(operand.strip()))


def no_words(arguments: Arguments) -> None:
    """Raise UsageError for anything behind the options."""
    if arguments.rest.strip():
        raise UsageError(f"{arguments.rest.split()[0]!r} is not understood here")


def unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
