"""The options of every magic, in the order help shows them."""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from .arguments import Option, Table

__all__ = ["CHAT", "COST", "FORMATS", "ROUTE", "SQL", "SUBCOMMANDS", "TABLES", "TASKS", "sekha_help"]

# Kept here and compared with the real lists in a test: reading them there would load the core with the extension.
TASKS = ("chat_small", "chat_large", "chat_smart", "vision", "audio", "image_generation", "embedding")
FORMATS = ("markdown", "text", "code", "json")
GROUPS = ("model", "provider", "task", "cell", "notebook", "conversation", "day", "session")
LEVELS = ("daily", "weekly", "monthly")
MEMORY_ACTIONS = (
    "stats",
    "list",
    "set",
    "summarize",
    "score",
    "labels",
    "export",
    "import",
    "prune",
    "reindex",
    "forget",
)
SEARCH_MODES = ("hybrid", "vector", "text")
PLACES = ("answer", "prompt", "error", "conversation", "notebook")
MODES = ("record", "replay", "auto", "live")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError("a whole number above 0 is expected")
    return int(text)


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError("a whole number is expected") from None


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not isfinite(value) or value < 0:
        raise ValueError("a number from 0 up is expected")
    return value


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m)", text, re.ASCII)
    if found is None:
        raise ValueError("a time with its unit is expected, such as 8s, 500ms or 1m")
    return float(found[1]) * _UNITS[found[2]]


def _status(text: str) -> tuple[int, float]:
    """An HTTP status, and the share of requests that get it."""
    found = re.fullmatch(r"(\d{3})(?::(\d{1,3}(?:\.\d{1,9})?|\.\d{1,9}))?", text, re.ASCII)
    if found is None:
        raise ValueError("an HTTP status is expected, with or without a probability: 503 or 429:0.3")
    code, share = int(found[1]), float(found[2] or 1)
    if not 400 <= code <= 599:
        raise ValueError("a status that is a failure is expected, from 400 to 599")
    if not 0 < share <= 1:
        raise ValueError("a probability above 0 and up to 1 is expected behind the colon")
    return code, share


def _usd(text: str) -> Decimal:
    try:
        value = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        value = Decimal(-1)
    if not value.is_finite() or value < 0:
        raise ValueError("an amount in USD is expected, such as 0.05")
    return value


def _pair(text: str) -> tuple[str, Any]:
    """KEY=VALUE, where VALUE is JSON when it can be read as JSON, and else text."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ValueError("KEY=VALUE is expected, such as top_p=0.9")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _name(text: str) -> str:
    if not text.isidentifier():
        raise ValueError("the name of a variable is expected")
    return text


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("this is empty")
    return text


_WHO = (
    Option(("-m", "--model"), "this model or an error: MODEL or PROVIDER/MODEL", "MODEL", _filled, source="models"),
    Option(("--prefer",), "this model where it may answer", "MODEL", _filled, source="models"),
    Option(("-t", "--task"), "what is asked for", "TASK", choices=TASKS),
    Option(("-p", "--policy"), "how to choose, such as cheapest", "POLICY", _filled, source="policies"),
)
_CONTEXT = (
    Option(("-s", "--system"), "the system prompt, in quotes when it has blanks", "TEXT"),
    Option(("-c", "--conversation"), "continue the conversation of this name", "NAME", _filled, source="conversations"),
    Option(("--new",), "empty the conversation first"),
    Option(("-i", "--image"), "a variable or a file", "NAME_OR_PATH", _filled, source="images", repeat=True),
    Option(("--last-error",), "add the last traceback and its cell to the prompt"),
    Option(("--memory",), "quote up to so many tokens of what is remembered", "TOKENS", _count, source="tokens"),
    Option(("--memory-exclude",), "nothing from this folder", "FOLDER", _filled, source="folders", repeat=True),
)
_SHAPE = (
    Option(("--temperature",), "0 is the most predictable", "NUMBER", _temperature),
    Option(("--max-tokens",), "the longest answer, in tokens", "COUNT", _count),
    Option(("--seed",), "for answers that can be repeated, where the provider can", "INTEGER", _integer),
    Option(("-P",), "a parameter of the provider's own", "KEY=VALUE", _pair, repeat=True, pairs=True),
    Option(("--schema",), "a variable: the class or JSON schema the answer must fit", "NAME", _name, source="schemas"),
)
_LIMITS = (
    Option(("--max-cost",), "the most this may cost, in USD", "USD", _usd),
    Option(("--local-only",), "nothing leaves this machine"),
)
_SPAN = (
    Option(("--since",), "from then on, in all sessions: 30m, 2h, 7d, today, 2026-11-01", "WHEN", source="times"),
    Option(("--all",), "all sessions and all times"),
)
_RAW = Option(("--raw",), "leave {{ name }} as written")
_NO_LOG = Option(("--no-log",), "keep this out of the ledger")

CHAT = Table(
    ("%%sekha_chat [options]     (the prompt is the rest of the cell)", "%sekha_chat [options] prompt"),
    "Ask a model. The prompt reaches it as written, except that {{ name }}, {{ name.attribute }} and "
    '{{ name["key"] }} are filled in from the notebook. The value is the reply.',
    (
        *_WHO,
        *_CONTEXT,
        *_SHAPE,
        *_LIMITS,
        Option(("--dry-run",), "choose and price; send nothing"),
        Option(("--explain",), "show every candidate beside the answer"),
        Option(("-o", "--out"), "keep the reply in this variable", "NAME", _name, source="variables"),
        Option(("-q", "--quiet"), "show nothing"),
        Option(("-f", "--format"), "how to show the answer", "FORMAT", choices=FORMATS),
        Option(("--to-cell",), "put the answer's code into a new cell, which is not run"),
        Option(("--no-stream",), "show the answer when it is whole"),
        _RAW,
        _NO_LOG,
    ),
    "Put `--` before a prompt that begins like an option. `%config SekhaMagics` lists the defaults that can be set.",
)

ROUTE = Table(
    ("%sekha_route [options] [prompt]", "%sekha_route --why [ID] [--times]"),
    "Show which model would answer, and every candidate with its reasons; nothing is sent. The value is the decision.",
    (
        Option(("--why",), "explain the last decision, or the one with this id", "ID", optional=True),
        Option(("--now",), "with --why: say also what would be chosen today, and what made the difference"),
        Option(("--times",), "with --why: how long each attempt took, and the pause before it"),
        *CHAT.options,
    ),
    "It takes every option of %%sekha_chat, so that a line can be tried by changing the magic's name alone.",
)

COST = Table(
    ("%sekha_cost [options]",),
    "What was spent, as a DataFrame: in this session, unless --since or --all says otherwise.",
    (
        Option(("--by",), "a row for each", "COLUMN", choices=GROUPS),
        *_SPAN,
    ),
)

SQL = Table(
    ("%%sekha_sql [options]      (the query is the rest of the cell)", "%sekha_sql [options] query"),
    "Ask the ledger and the notebook's own DataFrames in DuckDB's SQL; $name is bound to the value of the variable. "
    "The query changes nothing, and reaches no file and no address. The value is a DataFrame with all the rows.",
    (
        Option(("-o", "--out"), "keep the answer in this variable", "NAME", _name, source="variables"),
        Option(("-q", "--quiet"), "show nothing"),
    ),
    "`%sekha_sql SHOW TABLES` lists the ledger's tables and views, and Tab completes them and their columns. A "
    "DataFrame that has the name of one of them is notebook.NAME.",
)

SUBCOMMANDS = {
    "models": Table(("%sekha models",), "The models on offer, as a DataFrame."),
    "tasks": Table(("%sekha tasks",), "The tasks some model serves, as a list."),
    "health": Table(
        ("%sekha health [--probe] [--reset [PROVIDER]]",),
        "The state of every provider, as a DataFrame.",
        (
            Option(("--probe",), "ask each provider whether it is there; spends nothing"),
            Option(
                ("--reset",), "forget that this one failed, or all, and try again at once", "PROVIDER", optional=True
            ),
        ),
    ),
    "budget": Table(
        ("%sekha budget", "%sekha budget session|notebook|day|month USD", "%sekha budget session|... none"),
        "What may be spent and what is left, as a DataFrame, or another limit for this session, in USD.",
        words=("session", "notebook", "day", "month"),
    ),
    "config": Table(
        ("%sekha config [show]", "%sekha config check|trust [PATH]", "%sekha config migrate [PATH]"),
        "Show the configuration in use and where it comes from (never a key), check a file, trust a project's file "
        "after reading it, or print a file in today's form.",
        words=("show", "check", "trust", "migrate"),
    ),
    "keys": Table(
        ("%sekha keys [list]", "%sekha keys set NAME", "%sekha keys forget NAME"),
        "Keys in the operating system's keyring, by the name of their variable, such as OPENAI_API_KEY. `set` asks "
        "for the key without echo; a key is never written in a cell.",
        words=("list", "set", "forget"),
    ),
    "cassette": Table(
        ("%sekha cassette PATH [--mode MODE]", "%sekha cassette off", "%sekha cassette"),
        "Record answers into a file, or replay them from it; without arguments, say what is in use.",
        (Option(("--mode",), "what to do", "MODE", choices=MODES),),
        words=("off",),
    ),
    "log": Table(
        (
            "%sekha log [tail] [-n 20]",
            "%sekha log search TEXT [--in PLACE] [--since WHEN] [-n 20]",
            "%sekha log export PATH [--table TABLE]",
            "%sekha log prune --older 90d|--notebook NAME|--session ID [--yes]",
            "%sekha log path",
            "%sekha log verify",
        ),
        "The last decisions, or those in which a text stands, as a DataFrame; a copy for other programs; where the "
        "ledger is; whether nothing in it is missing; and forgetting what is old.",
        (
            Option(("-n", "--rows"), "with tail and search: how many rows", "COUNT", _count),
            Option(("--in",), "with search: only there", "PLACE", choices=PLACES, repeat=True),
            Option(("--since",), "with search: from then on: 2h, 7d, today, 2026-11-01", "WHEN", source="times"),
            Option(("--table",), "with export: what a single file holds", "TABLE", _filled, source="tables"),
            Option(
                ("--older", "--before"), "with prune: before then: 90d, 4w, 2026-11-01", "WHEN", _filled, source="ages"
            ),
            Option(("--notebook",), "with prune: of this notebook, by its path or file name", "NAME", _filled),
            Option(("--session",), "with prune: of this session", "ID", _filled),
            Option(("--yes",), "with prune: do it; otherwise it only says what would go"),
        ),
        "The text of a search is taken as it stands, in any case; without quotes it goes to the end of the line. An "
        "export is a file that ends in .parquet or .csv, or a folder with a Parquet file for each table and view. What "
        "is pruned is gone, with the prompts and answers nothing else refers to; budgets go on counting it.",
        words=("tail", "search", "export", "prune", "path", "verify"),
    ),
    "whatif": Table(
        ("%sekha whatif [--model MODEL | --policy POLICY | ...] [--since WHEN | --all]",),
        "What the requests of this session would have cost under another model, policy or limit, as a DataFrame: each "
        "logged decision is taken again with the prices and the state of its own time. Nothing is sent.",
        (*_WHO, *_LIMITS, *_SPAN),
    ),
    "search": Table(
        ('%sekha search "what was said" [options]',),
        "Find what notebooks remember, by meaning and by words, as a DataFrame.",
        (
            Option(("-k",), "how many messages", "COUNT", _count),
            Option(("--mode",), "by meaning, by words, or both", "MODE", choices=SEARCH_MODES),
            Option(("--folder",), "in this folder and those below it", "FOLDER", _filled, source="folders"),
            Option(("--exclude",), "never in this one", "FOLDER", _filled, source="folders", repeat=True),
            Option(("--label",), "with this label", "LABEL", _filled),
        ),
    ),
    "memory": Table(
        (
            "%sekha memory [stats]",
            "%sekha memory summarize CONVERSATION [--level LEVEL] [--fresh]",
            "%sekha memory score CONVERSATION [--keep]",
            "%sekha memory labels CONVERSATION",
            "%sekha memory list",
            "%sekha memory set CONVERSATION [--folder FOLDER] [--label LABEL] [--importance N] [--pin] [--archive]",
            "%sekha memory export PATH [--conversation NAME]",
            "%sekha memory import PATH [--folder FOLDER]",
            "%sekha memory prune [--older-than DAYS] [--importance N] [--folder FOLDER] [--delete] [--yes]",
            "%sekha memory reindex MODEL [--yes]",
            "%sekha memory forget CONVERSATION | --message ID [--yes]",
        ),
        "What notebooks remember: how many conversations and messages, and their vectors. Or have a model summarize a "
        "conversation by day, week or month, rate its importance from 1 to 10, or suggest labels; list conversations "
        "and set what is known of one; write them to a file (.json, .md, else a folder of Parquet files), or take them "
        "from one, also from what ChatGPT or Claude gave you; archive or delete what has had its time; make vectors of "
        "another model; or forget what was said, for good. As a DataFrame. What cannot be undone or costs money is "
        "only said until --yes stands behind it.",
        (
            Option(("--level",), "with summarize: a summary for each", "LEVEL", choices=LEVELS),
            Option(("--fresh",), "with summarize: make also those again that are there"),
            Option(("--keep",), "with score: let it be the conversation's importance"),
            Option(("--folder",), "with set, import and prune: the folder", "FOLDER", _filled, source="folders"),
            Option(("--label",), "with set: the label", "LABEL", _filled),
            Option(("--importance",), "with set: from 1 to 10; with prune: the highest that goes", "N", _count),
            Option(("--pin",), "with set: quote it first; prune leaves it"),
            Option(("--unpin",), "with set: as any other"),
            Option(("--archive",), "with set: find it no more"),
            Option(("--unarchive",), "with set: find it again"),
            Option(("-c", "--conversation"), "with export: this one", "NAME", _filled, source="conversations"),
            Option(("--older-than",), "with prune: nothing was said for so long", "DAYS", _count),
            Option(("--delete",), "with prune: delete, where it would archive"),
            Option(("--message",), "with forget: the message with this id", "ID", _filled),
            Option(("--yes",), "with prune, reindex and forget: do it"),
            *_WHO,
            *_LIMITS,
        ),
        words=MEMORY_ACTIONS,
    ),
    "simulate": Table(
        (
            "%sekha simulate --provider PROVIDER [--down] [--latency 8s] [--status 429:0.3] [--cut 20]",
            "%sekha simulate [--provider PROVIDER] --off",
            "%sekha simulate",
        ),
        "Let a provider misbehave in this kernel, to rehearse a failure, until --off; without options, say what is "
        "simulated. Such calls are marked in the ledger and left out of its statistics.",
        (
            Option(("--provider",), "who misbehaves", "PROVIDER", _filled, source="providers"),
            Option(("--down",), "refuse every connection"),
            Option(("--latency",), "wait before answering, such as 8s or 500ms", "TIME", _seconds),
            Option(
                ("--status",),
                "fail with this HTTP status, always or with a probability, such as 429:0.3",
                "CODE[:PROBABILITY]",
                _status,
                source="statuses",
            ),
            Option(("--retry-after",), "with 429 or 503, the pause to ask for, such as 2s", "TIME", _seconds),
            Option(("--cut",), "break the answer off after so many tokens", "COUNT", _count),
            Option(("--seed",), "draw the same for the probability in every run", "INTEGER", _integer),
            Option(("--off",), "end it; with --provider that one alone"),
        ),
        "Options combine, except that a provider which is down does nothing else. A new line takes the place of what "
        "was simulated for that provider. When it ends, what it did to the provider's state is undone. An answer that "
        "is cut was asked for, and costs what it costs.",
    ),
    "doctor": Table(
        ("%sekha doctor [--no-probe]",),
        "Check the whole set-up, from versions to providers and files, and say how to mend what is wrong. Nothing is "
        "changed, and nothing spent.",
        (Option(("--no-probe",), "ask no provider whether it is there"),),
        "`.ok` of the value says whether there is no problem, `.findings` and `.to_frame()` have them all.",
    ),
    "version": Table(("%sekha version",), "The versions of this package and of what it stands on."),
}
TABLES = {"sekha_chat": CHAT, "sekha_route": ROUTE, "sekha_cost": COST, "sekha_sql": SQL}


def sekha_help() -> str:
    """What `%sekha --help` prints: each subcommand with its sentence."""
    lines = ["%sekha SUBCOMMAND", "", "`%sekha SUBCOMMAND --help` says more.", ""]
    return "\n".join([*lines, *(f"  {name:<10}{table.summary}" for name, table in SUBCOMMANDS.items())]) + "\n"
