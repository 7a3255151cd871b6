"""`%sekha SUBCOMMAND`: one file a subcommand or two, imported when it is used."""

from __future__ import annotations

import sys
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..options import SUBCOMMANDS, sekha_help

__all__ = ["run"]

_HOME_OF = {"models": "catalogue", "tasks": "catalogue", "health": "catalogue"}


def run(line: str) -> Any:
    """Answer a line; help, and what only prints, gives None."""
    name, _, rest = line.strip().partition(" ")
    asked = name.rstrip("?")
    if asked in {"", "-h", "--help", "help"}:
        sys.stdout.write(sekha_help())
        return None
    table = SUBCOMMANDS.get(asked)
    if table is None:
        near = get_close_matches(asked, SUBCOMMANDS, 1)
        raise UsageError(
            f"there is no %sekha {asked}. "
            + (f"Did you mean {near[0]}?" if near else f"Known are {', '.join(SUBCOMMANDS)}.")
        )
    arguments = table.parse_anywhere(rest)
    if arguments.help or asked != name:
        sys.stdout.write(table.help_text())
        return None
    module = import_module(f".{_HOME_OF.get(asked, asked)}", __name__)
    answer: Callable[[Arguments], Any] = getattr(module, asked)
    return answer(arguments)
