"""From the text behind a magic's name to its options and its prompt.

The prompt is whatever stands behind the last option, byte for byte: nothing in it is unquoted, split or expanded.
Only a word that begins like an option (`-x`, `--name`) is taken for one, so `-5 + 3` and `- a list item` are prompts;
`--` ends the options where a prompt begins like one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from textwrap import wrap
from typing import Any, Literal, NamedTuple

from IPython.core.error import UsageError

__all__ = ["Arguments", "Option", "Place", "Table"]

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"\S+")
_OPTION = re.compile(r"--?[A-Za-z]")
_QUOTED = re.compile(r""""((?:\\"|[^"])*)"|'((?:\\'|[^'])*)'""")
_WIDTH = 100
_COLUMN = 26


class Option(NamedTuple):
    """One option. Without `metavar` it is a switch.

    `convert` turns the text into a value, or raises ValueError with a sentence that says what was expected.
    `choices` are the only values; `source` names where others complete from. `optional` says that the value may be
    left out, `pairs` that it reads KEY=VALUE, where the quotes may stand around VALUE alone.
    """

    flags: tuple[str, ...]
    help: str
    metavar: str | None = None
    convert: Callable[[str], Any] = str
    choices: tuple[str, ...] = ()
    source: str = ""
    repeat: bool = False
    optional: bool = False
    pairs: bool = False

    @property
    def name(self) -> str:
        return max(self.flags, key=len).lstrip("-").replace("-", "_")


HELP = Option(("-h", "--help"), "show this text")


class Arguments(NamedTuple):
    """`values` holds the options that were given, `rest` the text behind them; `help` says that help was asked for."""

    values: Mapping[str, Any]
    rest: str
    help: bool = False


class Place(NamedTuple):
    """Where a half-written line ends: in a `flag`, in the `value` of `option`, or in the `rest`."""

    kind: Literal["flag", "value", "rest"]
    fragment: str
    option: Option | None = None


class Table(NamedTuple):
    """The options of one magic, and the sentences of its help. `words` are what may stand first behind the options."""

    usage: tuple[str, ...]
    summary: str
    options: tuple[Option, ...] = ()
    footer: str = ""
    words: tuple[str, ...] = ()

    @property
    def flags(self) -> dict[str, Option]:
        return {flag: option for option in (*self.options, HELP) for flag in option.flags}

    def parse(self, text: str) -> Arguments:
        """Read the options at the front of `text`. Raises UsageError, which names the closest option there is."""
        if text.strip() in {"?", "??"}:
            return Arguments({}, "", help=True)
        flags = self.flags
        values: dict[str, Any] = {}
        at = 0
        while True:
            start = _end(_SPACE.match(text, at))
            found = _WORD.match(text, start)
            word = found.group() if found else ""
            if word == "--":
                # One separator belongs to the dashes; a prompt may begin with further blanks.
                return Arguments(values, text[start + 3 :])
            if not _OPTION.match(word):
                return Arguments(values, text[start:])
            flag, inline, _ = word.partition("=")
            option = flags.get(flag)
            if option is None:
                raise UsageError(_unknown(flag, flags))
            if option is HELP:
                return Arguments(values, "", help=True)
            at = start + len(flag)
            if option.metavar is None:
                if inline:
                    raise UsageError(f"{flag} takes no value")
                value: Any = True
            else:
                at, value = _value(text, at + len(inline), flag, option, flags, inline=bool(inline))
            if option.repeat:
                values.setdefault(option.name, []).append(value)
            elif option.name in values:
                raise UsageError(f"{flag} is given twice")
            else:
                values[option.name] = value

    def parse_anywhere(self, text: str) -> Arguments:
        """Read options also behind and between words, of which `rest` then consists. Raises as `parse` does."""
        values: dict[str, Any] = {}
        words: list[str] = []
        while True:
            values_here, rest, wants_help = self.parse(text)
            if wants_help:
                return Arguments({}, "", help=True)
            for name in values_here:
                if name in values:
                    raise UsageError(f"--{name} is given twice")
            values |= values_here
            rest = rest.lstrip()
            word = _QUOTED.match(rest) or _WORD.match(rest)
            if word is None:
                return Arguments(values, " ".join(words))
            words.append(word.group())
            text = rest[word.end() :]

    def place(self, text: str) -> Place:
        """Where the end of `text` is, as far as one can tell of a line that is still being written."""
        flags = self.flags
        at = 0
        while True:
            start = _end(_SPACE.match(text, at))
            found = _WORD.match(text, start)
            if (
                found is None
                or not found.group().startswith("-")
                or (found.group() == "--" and found.end() < len(text))
            ):
                return Place("rest", text[start:])
            flag, inline, _ = found.group().partition("=")
            option = flags.get(flag)
            at = start + len(flag)
            if at == len(text):
                return Place("flag", flag)
            if option is None:
                return Place("rest", text[start:])
            if option.metavar is None:
                continue
            start = at + 1 if inline else _end(_SPACE.match(text, at))
            value = _QUOTED.match(text, start) or _WORD.match(text, start)
            at = value.end() if value else len(text)
            if at == len(text):
                return Place("value", text[start:], option)

    def help_text(self) -> str:
        """What `--help` prints."""
        lines = [*self.usage, "", *wrap(self.summary, _WIDTH), ""]
        for option in (*self.options, HELP):
            metavar = f"[{option.metavar}]" if option.optional else option.metavar
            left = ", ".join(option.flags) + (f" {metavar}" if metavar else "")
            about = option.help + (f": {', '.join(option.choices)}" if option.choices else "")
            right = wrap(about + (" (repeatable)" if option.repeat else ""), _WIDTH - _COLUMN - 2)
            first = f"  {left:<{_COLUMN}}" if len(left) < _COLUMN else f"  {left}\n{' ' * (_COLUMN + 2)}"
            lines += [first + right[0], *(" " * (_COLUMN + 2) + line for line in right[1:])]
        if self.footer:
            lines += ["", *wrap(self.footer, _WIDTH)]
        return "\n".join(lines) + "\n"


def _end(match: re.Match[str] | None) -> int:
    assert match is not None
    return match.end()


def _value(
    text: str, at: int, flag: str, option: Option, flags: Mapping[str, Option], *, inline: bool
) -> tuple[int, Any]:
    """The value of `option` and where it ends; the text begins at `at`, straight behind `=` when it is inline."""
    start = at if inline else _end(_SPACE.match(text, at))
    word = _WORD.match(text, start)
    if word is None or (not inline and (word.group() == "--" or word.group().partition("=")[0] in flags)):
        if option.optional:
            return at, ""
        raise UsageError(f"{flag} needs a value: {flag} {option.metavar}")
    key = ""
    if option.pairs and (pair := re.match(r"[^\s=\"']+=", word.group())):
        key = pair.group()
    quoted = _QUOTED.match(text, start + len(key))
    if quoted:
        end = quoted.end()
        if end < len(text) and not text[end].isspace():
            raise UsageError(f"{flag}: there must be a blank behind the closing quote, not {text[end]!r}")
        quote = quoted.group()[0]
        raw = key + quoted.group()[1:-1].replace(f"\\{quote}", quote)
    elif text[start + len(key) : start + len(key) + 1] in {'"', "'"}:
        raise UsageError(f"{flag}: the quote {text[start + len(key)]} is not closed")
    else:
        end, raw = word.end(), word.group()
    if option.choices and raw not in option.choices:
        raise UsageError(f"{flag}: {raw!r} is not one of {', '.join(option.choices)}{_closest(raw, option.choices)}")
    try:
        return end, option.convert(raw)
    except ValueError as error:
        raise UsageError(f"{flag} {raw!r}: {error}") from None


def _closest(word: str, known: tuple[str, ...]) -> str:
    near = get_close_matches(word, known, 1)
    return f". Did you mean {near[0]}?" if near else ""


def _unknown(flag: str, flags: Mapping[str, Option]) -> str:
    longer = [known for known in flags if len(flag) > 2 and known.startswith(flag)]
    near = longer[:1] or get_close_matches(flag, flags, 1) or [known for known in flags if flag.startswith(known)][:1]
    suggestion = f" Did you mean {near[0]}?" if near else ""
    return f"there is no option {flag}.{suggestion} (`--help` lists them; put `--` before a prompt that begins so.)"
