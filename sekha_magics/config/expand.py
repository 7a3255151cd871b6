"""`${VAR}` and `${VAR:-default}` in text, in one pass: what a variable holds is never expanded again.

`$${` stands for the two characters `${`. Any other dollar sign is itself. The default is used when the variable is
unset or empty, and runs to the first `}`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Expanded", "MalformedReference", "expand", "variables_in"]

_REFERENCE = re.compile(
    r"\$(?P<escaped>\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|(?P<broken>\$\{)"
)


class MalformedReference(ValueError):
    """`${` that begins no variable."""


@dataclass(frozen=True, slots=True)
class Expanded:
    """`values` maps each variable that was used to what it held; `unset` names those that had nothing to give."""

    text: str = field(repr=False)
    values: dict[str, str] = field(default_factory=dict, repr=False)
    unset: tuple[str, ...] = ()
    defaults: tuple[str, ...] = ()


def expand(text: str, lookup: Callable[[str], str | None]) -> Expanded:
    """Replace every reference by what `lookup` gives; an unset variable without default becomes nothing.

    `defaults` names the variables whose default was used. Raises MalformedReference.
    """
    values: dict[str, str] = {}
    unset: dict[str, None] = {}
    defaults: dict[str, None] = {}

    def replace(match: re.Match[str]) -> str:
        _refuse_broken(match)
        if match["escaped"]:
            return match["escaped"]
        name, default = match["name"], match["default"]
        value = lookup(name)
        if default is not None and not value:
            defaults[name] = None
            return default
        if value is None:
            unset[name] = None
            return ""
        values[name] = value
        return value

    return Expanded(_REFERENCE.sub(replace, text), values, tuple(unset), tuple(defaults))


def variables_in(text: str) -> tuple[str, ...]:
    """The variables a text refers to, in order. Raises MalformedReference."""
    names: dict[str, None] = {}
    for match in _REFERENCE.finditer(text):
        _refuse_broken(match)
        if match["name"]:
            names[match["name"]] = None
    return tuple(names)


def _refuse_broken(match: re.Match[str]) -> None:
    if match["broken"] or "${" in (match["default"] or ""):
        raise MalformedReference(
            "`${` must begin a variable, `${NAME}` or `${NAME:-default}`; write `$${` for the characters themselves"
        )
