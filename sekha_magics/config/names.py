"""Names that were valid before, under the names they have now; and the plain values a configuration is made of.

Both the old and the new name at once is a problem, not a choice made for the user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from .problems import KeyPath, Problem

__all__ = ["OLD_MODEL", "OLD_PROVIDER", "OLD_TOP", "Modern", "modern", "plain", "present_path"]

OLD_TOP = {"version": "config_version", "providers": "llm_providers"}
OLD_PROVIDER = {"provider_type": "type", "timeout_secs": "timeout"}
OLD_MODEL = {"task": "tasks"}

_DEEPEST = 40


class Modern(NamedTuple):
    """`renamed` gives for each renamed path the key as it was written."""

    value: dict[str, Any]
    renamed: dict[KeyPath, str]
    problems: list[Problem]


def plain(value: Any, path: KeyPath = ()) -> tuple[Any, list[Problem]]:
    """A private copy made of dict, list, text, numbers, booleans and None; anything else is a problem."""
    if len(path) > _DEEPEST:
        return None, [Problem(path[:6], "is nested too deeply")]
    if isinstance(value, Mapping):
        problems: list[Problem] = []
        copy: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                problems.append(Problem((*path, str(key)), "a key must be text; put it in quotes"))
                continue
            copy[key], more = plain(item, (*path, key))
            problems += more
        return copy, problems
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | bytearray):
        items = [plain(item, (*path, i)) for i, item in enumerate(value)]
        return [item for item, _ in items], [problem for _, more in items for problem in more]
    if value is None or isinstance(value, str | bool | int | float | Decimal):
        return value, []
    return None, [Problem(path, f"{type(value).__name__} is not a value of a configuration")]


def modern(mapping: Mapping[str, Any]) -> Modern:
    """Rename what has an old name, at the three places where old names are accepted."""
    renamed: dict[KeyPath, str] = {}
    problems: list[Problem] = []

    def rename(section: Mapping[str, Any], old_names: Mapping[str, str], path: KeyPath) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key, value in section.items():
            new = old_names.get(key)
            if new is None:
                out[key] = value
            elif new in section:
                problems.append(Problem((*path, key), f"is the old name of `{new}`, which is given too; keep one"))
            else:
                out[new] = value
                renamed[(*path, new)] = key
        return out

    top = rename(mapping, OLD_TOP, ())
    if isinstance(providers := top.get("llm_providers"), list):
        top["llm_providers"] = providers = list(providers)
        for i, given in enumerate(providers):
            if not isinstance(given, Mapping):
                continue
            at: KeyPath = ("llm_providers", i)
            providers[i] = provider = rename(given, OLD_PROVIDER, at)
            if isinstance(models := provider.get("models"), list):
                provider["models"] = [
                    _one_task(rename(m, OLD_MODEL, (*at, "models", j)), renamed, (*at, "models", j))
                    if isinstance(m, Mapping)
                    else m
                    for j, m in enumerate(models)
                ]
    return Modern(top, renamed, problems)


def _one_task(model: dict[str, Any], renamed: Mapping[KeyPath, str], path: KeyPath) -> dict[str, Any]:
    if (*path, "tasks") in renamed and not isinstance(model["tasks"], list):
        model["tasks"] = [model["tasks"]]
    return model


def present_path(path: KeyPath) -> KeyPath:
    """A path with old names replaced: `providers[0].timeout_secs` is `llm_providers[0].timeout`."""
    out = list(path)
    for position, old_names in ((0, OLD_TOP), (2, OLD_PROVIDER), (4, OLD_MODEL)):
        if len(out) <= position or (position == 2 and out[0] != "llm_providers"):
            break
        if position == 4 and out[2] != "models":
            break
        key = out[position]
        if isinstance(key, str):
            out[position] = old_names.get(key, key)
    return tuple(out)
