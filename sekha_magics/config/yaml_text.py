"""YAML as configurations need it: safe, exact and bounded.

Decimal fractions become `Decimal` as written, `yes` and `no` stay text, a key given twice is an error, and no file,
however it is made, takes more than a moment or runs anything. Errors name the line and quote no value, which may be
a key.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import yaml

from ..errors import ConfigError
from .problems import KeyPath

__all__ = ["LARGEST_FILE", "YamlDocument", "decode", "dump_yaml", "exact_number", "read_yaml"]

LARGEST_FILE = 1 << 20
_MOST_NODES = 50_000
_DEEPEST = 40
_LARGEST_EXPONENT = 400


class YamlDocument(NamedTuple):
    """`value` is None for an empty document; `lines` gives the line, counted from 1, on which each key stands."""

    value: Any
    lines: dict[KeyPath, int]


def exact_number(text: str) -> Decimal:
    """A decimal number as written. Raises ValueError for what is none, or is beyond any use (`1e999999999`)."""
    try:
        number = Decimal(text.replace("_", ""))
    except InvalidOperation:
        raise ValueError("not a number") from None
    if number.is_finite() and abs(number.adjusted()) > _LARGEST_EXPONENT:
        raise ValueError("a number beyond any use")
    return number


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2, with mergeable mappings."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the class attribute PyYAML reads


def _number(loader: _Loader, node: yaml.ScalarNode) -> Decimal:
    return exact_number(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


_RESOLVERS = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    (
        "float",
        r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
        list("-+0123456789."),
    ),
    ("merge", r"^<<$", ["<"]),
)
for _tag, _pattern, _first in _RESOLVERS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)
_Loader.add_constructor("tag:yaml.org,2002:float", _number)
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


def decode(raw: bytes, name: str) -> str:
    if len(raw) > LARGEST_FILE:
        raise ConfigError(f"{name} is larger than {LARGEST_FILE:,} bytes, the most a configuration may have.")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}, line {line}: this is not UTF-8.", hint="Save the file as UTF-8.") from None


def read_yaml(text: str, name: str) -> YamlDocument:
    """One YAML document. Raises ConfigError with the line of what cannot be read."""
    try:
        loader = _Loader(text.replace("\r\n", "\n"))
        node = loader.get_single_node()
        if node is None:
            return YamlDocument(None, {})
        _refuse_bombs(node, name)
        lines: dict[KeyPath, int] = {}
        _walk(node, (), lines, name)
        return YamlDocument(loader.construct_document(node), lines)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(_told(error, name)) from None
    except yaml.YAMLError:
        raise ConfigError(f"{name}: it contains a character that YAML does not allow.") from None
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deeply.") from None
    except (ValueError, OverflowError):
        raise ConfigError(f"{name}: it contains a number beyond any use.") from None


def _told(error: yaml.MarkedYAMLError, name: str) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"{name}, line {mark.line + 1}" if mark else name
    match error:
        case yaml.composer.ComposerError() if "single document" in (error.context or ""):
            told = "several documents in one file; keep one, and remove the rest with its `---`"
        case yaml.composer.ComposerError():
            told = "`*name` refers to nothing; put text that begins with `*` or `&` in quotes"
        case yaml.constructor.ConstructorError():
            told = "a `!tag`, merge or key that configurations do not use"
        case _:
            # The scanner quotes what it found; one character or the name of a token is harmless, more may be a key.
            told = re.sub(r"(['\"])(?!<)[^'\"]{3,}\1", "'...'", error.problem or "cannot be read")
            if r"'\t'" in told:
                told = "a tab; YAML is indented with spaces"
    return f"{where}: {told}."


def _refuse_bombs(root: yaml.Node, name: str) -> None:
    """Count the nodes an aliased document stands for without expanding it."""
    sizes: dict[int, int] = {}
    open_nodes: set[int] = set()

    def size(node: yaml.Node, depth: int) -> int:
        if id(node) in sizes:
            return sizes[id(node)]
        if id(node) in open_nodes:
            raise ConfigError(f"{name}, line {node.start_mark.line + 1}: an alias that contains itself.")
        if depth > _DEEPEST:
            raise ConfigError(f"{name}, line {node.start_mark.line + 1}: it is nested too deeply.")
        open_nodes.add(id(node))
        total = 1
        if isinstance(node, yaml.MappingNode):
            total += sum(size(k, depth + 1) + size(v, depth + 1) for k, v in node.value)
        elif isinstance(node, yaml.SequenceNode):
            total += sum(size(item, depth + 1) for item in node.value)
        open_nodes.discard(id(node))
        sizes[id(node)] = total
        return total

    if size(root, 0) > _MOST_NODES:
        raise ConfigError(f"{name}: it stands for more than {_MOST_NODES:,} values; aliases were expanded.")


def _walk(node: yaml.Node, path: KeyPath, lines: dict[KeyPath, int], name: str) -> None:
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                raise ConfigError(f"{name}, line {line}: a key must be a word.")
            if key.value in first and key.tag != "tag:yaml.org,2002:merge":
                raise ConfigError(f"{name}, line {line}: `{key.value}` stands already on line {first[key.value]}.")
            first[key.value] = line
            lines.setdefault((*path, key.value), line)
            _walk(value, (*path, key.value), lines, name)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines.setdefault((*path, index), item.start_mark.line + 1)
            _walk(item, (*path, index), lines, name)


class _Dumper(yaml.SafeDumper):
    """Block style, prices digit for digit, lists indented under their key."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def _fraction(dumper: _Dumper, value: Decimal) -> yaml.ScalarNode:
    text = f"{value:f}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else f"{text}.0")


_Dumper.add_representer(Decimal, _fraction)
# On top of PyYAML's own rules for quoting, which are those of YAML 1.1: other programs read the file too.
for _tag, _pattern, _first in _RESOLVERS:
    _Dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def dump_yaml(value: Any) -> str:
    """YAML text that `read_yaml` gives back equal."""
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
    return text
