"""Everything wrong with a configuration is told at once, each problem with the path of its key and its line.

A message never contains the value of a variable or of a key: what came from either is put back to the reference it came
from before anything is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple

from ..errors import ConfigError

__all__ = ["KeyPath", "Origin", "Problem", "closest", "config_error", "dotted"]

KeyPath = tuple[str | int, ...]

# Replacing shorter values would garble messages without hiding anything worth hiding.
_LEAST_SECRET = 8


class Problem(NamedTuple):
    """`path` is where the key stands under its present name; `variable` is the one it was overridden by, if any."""

    path: KeyPath
    message: str


@dataclass
class Origin:
    """Where the values of a configuration stand: its name, the line of each key, old names, overriding variables.

    `renamed` gives for a path the key as it was written; `overridden` the environment variable that set it;
    `references` the text of each value before its variables were expanded; `secrets` maps what must not be shown to
    what is shown instead.
    """

    name: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    renamed: dict[KeyPath, str] = field(default_factory=dict)
    overridden: dict[KeyPath, str] = field(default_factory=dict)
    references: dict[KeyPath, str] = field(default_factory=dict, repr=False)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def written(self, path: KeyPath) -> KeyPath:
        """The path as its author wrote it, under old names where those were used."""
        out: list[str | int] = []
        for i, key in enumerate(path):
            if key == 0 and self.renamed.get(path[:i]) == "task":
                continue  # `task: x` became `tasks: [x]`
            out.append(self.renamed.get(path[: i + 1], key))
        return tuple(out)

    def whence(self, path: KeyPath) -> str:
        """`line 12`, or the variable that set the value, or nothing when neither is known."""
        for end in range(len(path), 0, -1):
            if variable := self.overridden.get(path[:end]):
                return f"from {variable}"
        written = self.written(path)
        if written not in self.lines:
            for inside, variable in self.overridden.items():
                if inside[: len(path)] == path:
                    return f"from {variable}"
        for end in range(len(written), 0, -1):
            if line := self.lines.get(written[:end]):
                return f"line {line}"
        return ""

    def hide(self, message: str) -> str:
        """Put back what came from a variable or is a key. Messages quote values between backticks and nowhere else."""
        secrets = [s for s in sorted(self.secrets, key=len, reverse=True) if len(s) >= _LEAST_SECRET]

        def put_back(quoted: re.Match[str]) -> str:
            text = quoted[0]
            for secret in secrets:
                text = text.replace(secret, self.secrets[secret])
            return text

        return re.sub(r"`[^`]*`", put_back, message)


def dotted(path: Iterable[str | int]) -> str:
    """`llm_providers[0].models[1].model_id`"""
    out = ""
    for key in path:
        out += f"[{key}]" if isinstance(key, int) else f".{key}" if out else key
    return out


def closest(word: str, valid: Iterable[str]) -> str | None:
    """The valid word most like `word`, whatever its case, or None when none is like it."""
    by_lower = {v.lower(): v for v in valid}
    found = get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def config_error(
    problems: Iterable[Problem], origin: Origin, *, kind: type[ConfigError] = ConfigError, hint: str | None = None
) -> ConfigError:
    """One error that tells all problems, in the order of the file."""
    lines: list[tuple[int, str]] = []
    for problem in dict.fromkeys(problems):
        whence = origin.whence(problem.path)
        at = dotted(origin.written(problem.path))
        where = f"{at} ({whence}): " if at and whence else f"{at}: " if at else ""
        number = int(whence.removeprefix("line ")) if whence.startswith("line ") else 0
        lines.append((number, origin.hide(where + problem.message)))
    lines.sort(key=lambda pair: pair[0])
    told = [text for _, text in lines]
    if len(told) == 1:
        return kind(f"{origin.name}: {told[0]}", hint=hint)
    return kind("\n  - ".join([f"{origin.name} has {len(told)} problems:", *told]), hint=hint)
