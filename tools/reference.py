"""Writes the tables of the reference from the code, so that they cannot say anything else than it does.

    python tools/reference.py [--check] PAGE

A table stands between `<!-- table: NAME -->` and `<!-- end -->`. With `--check` nothing is written: the exit code is 1,
and a sentence says which table is not as the code says.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import getattr_static
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from sekha_magics import errors
from sekha_magics.accessor import Accessor
from sekha_magics.billing import bill
from sekha_magics.budget import Budget
from sekha_magics.cassette import Cassette
from sekha_magics.cli import _parser
from sekha_magics.config.schema import Config
from sekha_magics.core.types import Call, Candidate, Cost, Decision, Embedding, Reply, Usage
from sekha_magics.ledger.catalogue import columns
from sekha_magics.ledger.store import TABLES as LEDGER_TABLES
from sekha_magics.ledger.store import Ledger
from sekha_magics.ledger.views import VIEWS
from sekha_magics.magics.arguments import Option, Table
from sekha_magics.magics.entry import SekhaMagics
from sekha_magics.magics.options import CHAT, COST, ROUTE, SQL, SUBCOMMANDS
from sekha_magics.mapping.answers import Answer, Quote
from sekha_magics.mapping.job import Job
from sekha_magics.memory.store import Memory
from sekha_magics.registry import Registry, get_registry, set_registry
from sekha_magics.widgets import Chat, Dashboard

MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def rows(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


# --- magics ---------------------------------------------------------------------------------------


def options_of(options: Sequence[Option]) -> str:
    def said(option: Option) -> tuple[str, str]:
        flags = ", ".join(f"`{flag}`" for flag in option.flags)
        flags = f"{flags[:-1]} {option.metavar}`" if option.metavar else flags
        values = f" ({', '.join(f'`{c}`' for c in option.choices)})" if option.choices else ""
        return flags, option.help + values + ("; may be repeated" if option.repeat else "")

    return rows(("option", "meaning"), map(said, options))


def subcommands() -> str:
    def said(table: Table) -> tuple[str, str]:
        usage = "<br>".join(f"`{line}`" for line in table.usage)
        return usage, " ".join([table.summary, *(f"`{o.flags[-1]}`: {o.help}." for o in table.options)])

    return rows(("line", "what it does"), map(said, SUBCOMMANDS.values()))


def traits() -> str:
    own = SekhaMagics.class_own_traits(config=True)
    return rows(("trait", "default", "meaning"), ((f"`{n}`", f"`{t.default_value!r}`", t.help) for n, t in own.items()))


# --- configuration --------------------------------------------------------------------------------


def config_keys() -> str:
    return rows(("key", "value", "default"), _keys(Config, ""))


def _keys(section: type[BaseModel], prefix: str) -> Iterator[Sequence[str]]:
    properties = section.model_json_schema()["properties"]
    definitions = Config.model_json_schema()["$defs"]
    for name, info in section.model_fields.items():
        below = _section_below(info)
        path = f"{prefix}{name}"
        if below is None:
            yield f"`{path}`", _kind(properties[name], definitions), _default(info)
            continue
        many = next((mark for kind, mark in (("tuple", "[]"), ("dict", ".NAME")) if kind in str(info.annotation)), "")
        kinds = {"": "section", "[]": "list of sections", ".NAME": "sections by name"}
        yield f"`{path}`", kinds[many], _default(info)
        yield from _keys(below, f"{path}{many}.")


def _section_below(info: FieldInfo) -> type[BaseModel] | None:
    found = [a for a in _parts(info.annotation) if inspect.isclass(a) and issubclass(a, BaseModel)]
    return found[0] if found else None


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    for part in getattr(annotation, "__args__", ()):
        yield from _parts(part)


def _default(info: FieldInfo) -> str:
    if info.is_required():
        return "required"
    match info.default:
        case BaseModel() | None | () | {}:
            return "none" if info.default is None else "empty"
        case bool():
            return f"`{str(info.default).lower()}`"
        case tuple():
            return ", ".join(f"`{v}`" for v in info.default)
        case SecretStr():
            raise ValueError("a key has no default")
        case value:
            return f"`{value}`"


def _kind(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _kind(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "anyOf" in schema:
        kinds = [k for option in schema["anyOf"] if (k := _kind(option, definitions)) != "null"]
        return next((k for k in kinds if k.startswith("number")), kinds[0])
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kind = {
        "string": "text",
        "boolean": "true or false",
        "integer": "whole number",
        "array": "list",
        "object": "mapping",
    }
    words: str = kind.get(schema["type"], schema["type"])
    if schema["type"] == "array":
        return f"list of {_kind(schema['items'], definitions)}"
    # pydantic keeps its own names for bounds where a validator stands before them.
    low, above, high = (
        _first(schema, *names) for names in (("minimum", "ge"), ("exclusiveMinimum", "gt"), ("maximum", "le"))
    )
    if high is None or high >= 1e6:
        return words
    return f"{words}, above {above:g} to {high:,g}" if low is None else f"{words}, {low:g} to {high:,g}"


def _first(schema: dict[str, Any], *names: str) -> Any:
    return next((schema[name] for name in names if name in schema), None)


# --- command line ---------------------------------------------------------------------------------


def commands() -> str:
    return rows(("command", "what it does", "options"), _commands(_parser(), ""))


def _commands(parser: argparse.ArgumentParser, says: str) -> Iterator[Sequence[str]]:
    below = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if parser.get_default("run"):
        own = [a for a in parser._actions if a not in below and not isinstance(a, argparse._HelpAction)]
        words = " ".join(
            [
                parser.prog,
                *(
                    f"[{a.metavar}]" if a.nargs == "?" else f"[{a.metavar} ...]" if a.nargs == "*" else str(a.metavar)
                    for a in own
                    if not a.option_strings
                ),
            ]
        )
        options = [
            f"`{a.option_strings[-1]}{f' {a.metavar or a.dest.upper()}' if a.nargs != 0 else ''}`"
            for a in own
            if a.option_strings
        ]
        yield f"`{words}`", says, ", ".join(options)
    for action in below:
        said = {choice.dest: choice.help or "" for choice in action._choices_actions}
        for name, command in action.choices.items():
            yield from _commands(command, said.get(name, ""))


# --- Python ---------------------------------------------------------------------------------------


def methods(of: type) -> Callable[[], str]:
    def table() -> str:
        own = {name: getattr_static(of, name) for part in of.__mro__[:-1] for name in vars(part)}
        public = [(n, m) for n, m in own.items() if not n.startswith("_") and _is_callable(m)]
        return rows(("name", "promise"), ((_signature(n, m), _promise(m)) for n, m in public))

    return table


def fields(of: type) -> Callable[[], str]:
    def table() -> str:
        types = {n: getattr(a, "__forward_arg__", a) for n, a in of.__annotations__.items() if not n.startswith("_")}
        for name, member in vars(of).items():
            if isinstance(member, property):
                types[name] = member.fget.__annotations__.get("return", "")
        said = " ".join((inspect.getdoc(of) or "").split())
        return f"{said}\n\n" + rows(("name", "type"), ((f"`{n}`", f"`{a}`") for n, a in types.items()))

    return table


def functions() -> str:
    return rows(
        ("name", "promise"), ((_signature(f.__name__, f), _promise(f)) for f in (get_registry, set_registry, bill))
    )


def ledger_views() -> str:
    """Each view with the comment that stands above it in the SQL, and its columns."""
    known = columns()
    said = {
        name: " ".join(line.removeprefix("-- ") for line in comment.splitlines())
        for comment, name in re.findall(
            r"((?:^-- .*\n)+)CREATE OR REPLACE VIEW (\w+)", LEDGER_TABLES.views, re.MULTILINE
        )
    }
    return rows(
        ("view", "rows", "columns"),
        ((f"`{name}`", said[name], ", ".join(f"`{column}`" for column in known[name])) for name in VIEWS),
    )


def error_classes() -> str:
    found = [getattr(errors, name) for name in errors.__all__]
    found.sort(key=lambda e: (len(e.__mro__), e.__name__))
    return rows(
        ("error", "is a", "when"), ((f"`{e.__name__}`", f"`{e.__bases__[0].__name__}`", _promise(e)) for e in found)
    )


def _is_callable(member: Any) -> bool:
    return isinstance(member, classmethod | staticmethod | property) or inspect.isfunction(member)


def _signature(name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"`.{name}`"
    function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
    names = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and "*" not in names:
            names.append("*")
        star = {"VAR_KEYWORD": "**", "VAR_POSITIONAL": "*"}.get(parameter.kind.name, "")
        given = getattr(parameter.default, "__name__", None) or repr(parameter.default)
        default = "" if parameter.default is parameter.empty else f"={given}"
        names.append(f"{star}{parameter.name}{default}")
    return f"`{'await ' if inspect.iscoroutinefunction(function) else ''}{name}({', '.join(names)})`"


def _promise(member: Any) -> str:
    """The first paragraph of its docstring, on one line."""
    text = inspect.getdoc(member.fget if isinstance(member, property) else member) or ""
    return " ".join(text.split("\n\n")[0].split())


TABLES: dict[str, Callable[[], str]] = {
    "chat_options": lambda: options_of(CHAT.options),
    "route_options": lambda: options_of([o for o in ROUTE.options if o not in CHAT.options]),
    "cost_options": lambda: options_of(COST.options),
    "sql_options": lambda: options_of(SQL.options),
    "subcommands": subcommands,
    "traits": traits,
    "config_keys": config_keys,
    "commands": commands,
    "functions": functions,
    "registry": methods(Registry),
    "ledger": methods(Ledger),
    "ledger_views": ledger_views,
    "memory": methods(Memory),
    "budget": methods(Budget),
    "cassette": methods(Cassette),
    "dashboard": methods(Dashboard),
    "chat": methods(Chat),
    "decision": fields(Decision),
    "candidate": fields(Candidate),
    "reply": fields(Reply),
    "embedding": fields(Embedding),
    "job": methods(Job),
    "answer": fields(Answer),
    "quote": fields(Quote),
    "accessor": methods(Accessor),
    "call": fields(Call),
    "cost": fields(Cost),
    "usage": fields(Usage),
    "errors": error_classes,
}


def main(arguments: Sequence[str]) -> int:
    check, page = "--check" in arguments, Path(arguments[-1])
    before = page.read_text("utf-8")
    stale: list[str] = []

    def fresh(match: re.Match[str]) -> str:
        head, name, end = match.groups()
        new = f"{head}{TABLES[name]()}{end}"
        if new != match.group(0):
            stale.append(name)
        return new

    after = MARKED.sub(fresh, before)
    if missing := TABLES.keys() - {m.group(2) for m in MARKED.finditer(before)}:
        print(f"{page} has no place for: {', '.join(sorted(missing))}", file=sys.stderr)
        return 1
    if check and stale:
        print(f"{page} is not as the code says: {', '.join(stale)}", file=sys.stderr)
        return 1
    if not check and stale:
        page.write_text(after, "utf-8")
        print(f"Written anew in {page}: {', '.join(stale)}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
