"""Tab behind our magics: every option and every value.

A matcher of the shell's completer, so it works in a terminal and through a kernel. It only looks: at a registry that
already stands, at the user's variables, at words that are always valid. It builds nothing, asks nobody, and
a failure of its own means no completions.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.completer import SimpleCompletion, context_matcher

from .arguments import Table
from .options import SUBCOMMANDS, TABLES
from .standing import registry_if_standing

if TYPE_CHECKING:
    from IPython.core.completer import CompletionContext, SimpleMatcherResult
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["SekhaMatcher"]

_LINE = re.compile(
    r"(?:\s*|.*=\s*|\s*%time(?:it)?\s+)(?P<percent>%%?)(?P<name>sekha(?:_\w+)?)\s+(?P<rest>.*)", re.DOTALL
)
_BEHIND_WORDS = re.compile(r"""(?:(?:"[^"]*"|'[^']*'|[^\s"'-]\S*)\s+)+(-.*)""", re.DOTALL)
_ACTION = re.compile(r"(summarize|score|labels|set|reindex|forget)\s+(\S*)")
_HOLE = re.compile(r"\{\{\s*(?P<path>[\w.]*)$")
_TIMES = ("today", "yesterday", "1h", "24h", "7d", "30d")
_AGES = ("30d", "90d", "180d", "52w")
_TOKENS = ("500", "1000", "2000")
_STATUSES = ("429", "500", "503", "529", "401", "404")
_POLICIES = ("priority", "cheapest", "fastest")
_IMAGE_MODULES = ("PIL.", "matplotlib.", "numpy")


class SekhaMatcher:
    """`match` is the matcher; it answers with nothing wherever no magic of ours is being written."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell

    @context_matcher(identifier="sekha_magics")  # type: ignore[untyped-decorator]
    def match(self, context: CompletionContext) -> SimpleMatcherResult:
        try:
            fragment, words = self._words(context)
        except Exception:  # noqa: BLE001 - Tab must never show a traceback
            fragment, words = context.token, []
        found = [SimpleCompletion(text=word, type="sekha") for word in words]
        return {"completions": found, "matched_fragment": fragment, "suppress": bool(found), "ordered": True}

    def _words(self, context: CompletionContext) -> tuple[str, list[str]]:
        before = context.text_until_cursor
        line = _LINE.fullmatch(before)
        if line is None or (line["percent"] == "%%" and not _opens_cell(context)):
            if context.full_text.lstrip().startswith("%%sekha_sql"):
                return self._query(before, context.full_text.lstrip().partition("\n")[2])
            in_prompt = context.full_text.lstrip().startswith("%%sekha_chat")
            return self._interpolation(before) if in_prompt else ("", [])
        table, rest = TABLES.get(line["name"]), line["rest"]
        if line["name"] == "sekha":
            word, blank, behind = rest.partition(" ")
            if not blank:
                return word, _beginning(word, SUBCOMMANDS)
            table, rest = SUBCOMMANDS.get(word), behind
        if line["name"] == "sekha_sql" and (place := TABLES["sekha_sql"].place(rest)).kind == "rest" and place.fragment:
            return self._query(place.fragment, place.fragment)
        return ("", []) if table is None else self._behind(table, rest)

    def _query(self, before: str, query: str) -> tuple[str, list[str]]:
        from .sql_completion import complete

        return complete(before, query, {name: self._shell.user_ns[name] for name in self._variables(_anything)})

    def _behind(self, table: Table, text: str) -> tuple[str, list[str]]:
        place = table.place(text)
        fragment = place.fragment
        searching = table is SUBCOMMANDS["search"]
        if place.kind == "rest" and (table.words or searching) and (behind := _BEHIND_WORDS.match(fragment)):
            # A subcommand takes options behind its words too.
            return self._behind(table, behind[1])
        if place.kind == "flag" or (place.kind == "rest" and not fragment and not table.words):
            return fragment, _beginning(fragment, table.flags)
        if place.option is not None:
            return fragment, _beginning(fragment, place.option.choices or self._values(place.option.source))
        if table is SUBCOMMANDS["keys"] and (second := re.fullmatch(r"(?:set|forget)\s+(\S*)", fragment)):
            return second[1], _beginning(second[1], _key_names())
        if table is SUBCOMMANDS["memory"] and (second := _ACTION.fullmatch(fragment)):
            known = _model_names() if second[1] == "reindex" else _conversations()
            return second[2], _beginning(second[2], known)
        if table.words and not re.search(r"\s", fragment):
            return fragment, _beginning(fragment, table.words)
        return self._interpolation(text)

    def _interpolation(self, before: str) -> tuple[str, list[str]]:
        hole = _HOLE.search(before)
        if hole is None:
            return "", []
        owner, _, fragment = hole["path"].rpartition(".")
        if not owner:
            return fragment, _beginning(fragment, self._variables())
        # Attributes of a variable only: reading further ones could run somebody's property.
        return fragment, [n for n in _beginning(fragment, dir(self._shell.user_ns[owner])) if not n.startswith("_")]

    def _values(self, source: str) -> Iterable[str]:
        match source:
            case "models":
                return _model_names()
            case "providers":
                return _provider_ids()
            case "tokens":
                return _TOKENS
            case "statuses":
                return _STATUSES
            case "policies":
                return _policies()
            case "conversations":
                return _conversations()
            case "folders":
                return _folders()
            case "variables":
                return self._variables()
            case "images":
                return self._variables(_may_be_image)
            case "schemas":
                return self._variables(_may_be_schema)
            case "times":
                return _TIMES
            case "ages":
                return _AGES
            case "tables":
                from ..ledger.catalogue import columns

                return columns()
        return ()

    def _variables(self, wanted: Any = None) -> list[str]:
        hidden: Mapping[str, Any] = self._shell.user_ns_hidden
        return sorted(
            name
            for name, value in list(self._shell.user_ns.items())
            if not name.startswith("_")
            and name not in hidden
            and (wanted(value) if wanted is not None else not _is_code(value))
        )


def _opens_cell(context: CompletionContext) -> bool:
    lines = context.full_text.split("\n")[: context.cursor_line]
    return not any(line.strip() for line in lines)


def _beginning(fragment: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if word.startswith(fragment)]


def _anything(value: object) -> bool:
    return True


def _is_code(value: object) -> bool:
    return callable(value) or type(value).__name__ == "module"


def _may_be_image(value: object) -> bool:
    return isinstance(value, bytes) or type(value).__module__.startswith(_IMAGE_MODULES)


def _may_be_schema(value: object) -> bool:
    return isinstance(value, type | dict)


def _key_names() -> list[str]:
    from ..core.provider_types import BUILT_IN

    return [kind.key_variable for kind in BUILT_IN.values() if kind.key_variable]


def _policies() -> list[str]:
    standing = registry_if_standing()
    return list(standing.state.policies) if standing is not None else list(_POLICIES)


def _provider_ids() -> list[str]:
    standing = registry_if_standing()
    if standing is not None:
        return standing.state.provider_ids()
    return list(dict.fromkeys(provider for provider, _ in _configured()))


def _conversations() -> list[str]:
    standing = registry_if_standing()
    if standing is None:
        return []
    remembered = standing.remembered
    kept = remembered.names() if remembered is not None else []
    # A name with a blank would have to stand in quotes.
    return [name for name in dict.fromkeys([*standing.conversations(), *kept]) if not re.search(r"\s", name)]


def _folders() -> list[str]:
    standing = registry_if_standing()
    remembered = standing.remembered if standing is not None else None
    return remembered.folders() if remembered is not None else []


def _model_names() -> list[str]:
    """Ids as they may be pinned, bare ones first. Before the first request: those that the configuration names."""
    standing = registry_if_standing()
    if standing is not None:
        pairs = [(entry.provider_id, entry.model_id) for entry in standing.state.catalogue.entries]
    else:
        pairs = list(_configured())
    return list(dict.fromkeys([model for _, model in pairs] + [f"{provider}/{model}" for provider, model in pairs]))


def _configured() -> Iterator[tuple[str, str]]:
    # Read and not loaded: looking up keys might make the keyring ask its user to unlock it.
    from ..config.discovery import find
    from ..config.names import modern

    document = find(os.environ, Path.cwd()).document
    for provider in modern(document.value).value["llm_providers"] if document is not None else ():
        for model in provider.get("models", ()):
            yield str(provider["id"]), str(model["model_id"])
