"""`sekha route` and `sekha chat`."""

from __future__ import annotations

import sys
from argparse import Namespace as Options
from typing import Any

from ..errors import InvalidInput
from .terminal import note, opened, say

__all__ = ["chat", "route"]

# Arguments of `Registry.chat` that stand on the command line under the same name.
_LIMITS = ("model", "task", "policy", "max_cost", "max_tokens", "local_only")
_SAMPLING = ("temperature", "seed")


def route(options: Options) -> None:
    from ..display.decision import decision_mimebundle

    with opened(options) as registry:
        decision = registry.route(_prompt(options), system=options.system, images=options.image,
                                  **_given(options, *_LIMITS))  # fmt: skip
        say(decision_mimebundle(decision)[0]["text/plain"])


def chat(options: Options) -> None:
    from ..display.decision import candidates_table
    from ..display.reply import quiet_line
    from ..display.text import to_plain

    def show(piece: str) -> None:
        # A piece that ends within a control sequence has lost its escape, and what follows is only text.
        sys.stdout.write(to_plain(piece))
        sys.stdout.flush()

    with opened(options) as registry:
        reply = registry.chat(_prompt(options), system=options.system, images=options.image, on_token=show,
                              **_given(options, *_LIMITS, *_SAMPLING))  # fmt: skip
        sys.stdout.write("\n")
        note(quiet_line(reply))
        for line in reply.notes:
            note(line)
        if options.explain:
            note(candidates_table(reply.decision, reply.decision.reason).to_plain())


def _prompt(options: Options) -> str:
    if options.text is not None:
        return str(options.text)
    if sys.stdin is None or sys.stdin.isatty():
        raise InvalidInput("there is no prompt", hint="Give it in quotes, or on standard input.")
    # Bytes, because the terminal's encoding says nothing about what a pipe carries.
    return sys.stdin.buffer.read().decode("utf-8", "replace")


def _given(options: Options, *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(options, name)) is not None}
