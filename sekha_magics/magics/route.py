"""`%sekha_route`: which model would answer, and why; `--why` says it of a decision that was taken."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from .chat import decide
from .options import ROUTE
from .question import read_question
from .why import why

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.types import Decision

__all__ = ["route"]

# A question of no particular length, for a line without a prompt.
_ANY_QUESTION = "?"


def route(shell: InteractiveShell, line: str, names: Mapping[str, Any], defaults: Mapping[str, Any]) -> Decision | None:
    """Answer a line. Help gives None, --why the decision it explains."""
    arguments = ROUTE.parse(line)
    if arguments.help:
        sys.stdout.write(ROUTE.help_text())
        return None
    if "why" in arguments.values:
        if arguments.rest.strip():
            raise UsageError("--why explains a decision that was taken: it takes an id and no prompt")
        return why(shell, arguments)
    for name in ("times", "now"):
        if name in arguments.values:
            raise UsageError(f"--{name} belongs to --why: %sekha_route --why --{name}")
    written = arguments.rest if arguments.rest.strip() else _ANY_QUESTION
    return decide(shell, read_question(arguments, written, shell, names, defaults), arguments)
