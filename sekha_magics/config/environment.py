"""What environment variables say: over a file (`SEKHA__...`), and without one (the variables of version 1).

`SEKHA__ROUTING__POLICY=cheapest` sets `routing.policy`; `__` goes one level down, a number is a place in a list, and
what begins with `{` or `[` is JSON. `null` is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from .defaults import dimension_of
from .names import OLD_MODEL, present_path
from .problems import KeyPath, Problem
from .yaml_text import exact_number

__all__ = ["Migrated", "Override", "from_version_1", "overlay", "overrides_in"]

PREFIX = "SEKHA__"


class Override(NamedTuple):
    variable: str
    path: KeyPath
    value: Any


def overrides_in(environ: Mapping[str, str]) -> tuple[list[Override], list[Problem]]:
    """All overrides, sections before what lies inside them."""
    found: list[Override] = []
    problems: list[Problem] = []
    for variable in sorted(name for name in environ if name.upper().startswith(PREFIX)):
        keys = variable[len(PREFIX) :].lower().split("__")
        if not all(keys):
            problems.append(Problem((), f"{variable} names no key; write {PREFIX}ROUTING__POLICY for `routing.policy`"))
            continue
        path: KeyPath = tuple(int(k) if k.isascii() and k.isdigit() and len(k) < 6 else k for k in keys)
        try:
            value = _value(environ[variable])
        except (ValueError, RecursionError):
            problems.append(Problem((), f"{variable} is not the JSON it begins as"))
            continue
        present = present_path(path)
        if present != path and path[-1] in OLD_MODEL and not isinstance(value, list):
            value = [value]
        found.append(Override(variable, present, value))
    found.sort(key=lambda o: len(o.path))
    return found, problems


def _value(text: str) -> Any:
    if text.strip() == "null":
        return None
    if text.lstrip()[:1] in {"{", "["}:
        return json.loads(text, parse_float=exact_number, parse_constant=_no_constant)
    return text


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def overlay(value: dict[str, Any], overrides: list[Override]) -> list[Problem]:
    """Set each override in `value`, which is changed, and say what has no place there."""
    problems = []
    for variable, path, given in overrides:
        at: Any = value
        for depth, step in enumerate(path):
            last = depth == len(path) - 1
            key = str(step) if isinstance(at, dict) else step
            if isinstance(at, list):
                if not isinstance(key, int) or key > len(at):
                    problems.append(Problem(path[:depth], f"has no place {key}, which {variable} sets"))
                    break
                if key == len(at):
                    at.append({})
            elif not isinstance(at, dict):
                problems.append(Problem(path[:depth], f"has nothing inside that {variable} could set"))
                break
            if last:
                at[key] = given
            else:
                if isinstance(at, dict) and at.get(key) is None:
                    at[key] = [] if isinstance(path[depth + 1], int) else {}
                at = at[key]
    return problems


# --- version 1 ----------------------------------------------------------------------------------------

_ADDRESSES = ("OLLAMA_URL", "OLLAMA_BASE_URL", "LLM_URL")
_MODELS = ("EMBEDDING_MODEL", "CHAT_MODEL", "SUMMARIZATION_MODEL", "VISION_MODEL")


class Migrated(NamedTuple):
    """`value` is None when there was nothing to migrate; `variables` says which one an address came from."""

    value: dict[str, Any] | None
    notes: tuple[str, ...]
    variables: dict[KeyPath, str]


def from_version_1(environ: Mapping[str, str]) -> Migrated:
    """The provider `ollama_migrated`, from the variables of version 1."""
    given = {n: v for n in (*_ADDRESSES, "LLM_PROVIDER", *_MODELS) if (v := environ.get(n, "").strip())}
    if not given:
        return Migrated(None, (), {})
    names = ", ".join(given)
    if given.get("LLM_PROVIDER", "ollama").lower() != "ollama":
        told = f"{names} belong to version 1, which knew Ollama alone: LLM_PROVIDER is another, so they are not used."
        return Migrated(None, (told,), {})
    notes = []
    variables: dict[KeyPath, str] = {}
    provider: dict[str, Any] = {"id": "ollama_migrated", "type": "ollama", "priority": 1}
    addresses = {n: given[n] for n in _ADDRESSES if n in given}
    if addresses:
        used, address = next(iter(addresses.items()))
        provider["base_url"] = address if "://" in address else f"http://{address}"
        variables["llm_providers", 0, "base_url"] = used
        if len(set(addresses.values())) > 1:
            notes.append(f"{', '.join(addresses)} differ; {used} is used.")
    models = _version_1_models(given, notes)
    if models:
        provider["models"] = models
    notes.insert(
        0,
        "No configuration was found; the provider `ollama_migrated` was made from the variables of version 1 "
        f"({names}). A config.yaml says more, and replaces them.",
    )
    return Migrated({"llm_providers": [provider]}, tuple(notes), variables)


def _version_1_models(given: Mapping[str, str], notes: list[str]) -> list[dict[str, Any]]:
    chat = given.get("CHAT_MODEL") or given.get("SUMMARIZATION_MODEL")
    tasks: dict[str, list[str]] = {}
    wanted: tuple[tuple[str | None, tuple[str, ...]], ...] = (
        (chat, ("chat_small", "chat_large", "chat_smart")),
        (given.get("SUMMARIZATION_MODEL"), ("chat_small",)),
        (given.get("VISION_MODEL"), ("vision",)),
    )
    for name, its_tasks in wanted:
        if name:
            tasks.setdefault(name, []).extend(t for t in its_tasks if t not in tasks.get(name, []))
    models: list[dict[str, Any]] = [{"model_id": name, "tasks": its} for name, its in tasks.items()]
    if embedding := given.get("EMBEDDING_MODEL"):
        dimension = dimension_of(embedding)
        if dimension is None:
            notes.append(
                f"EMBEDDING_MODEL ({embedding}) is left out: how many dimensions its vectors have is not known. "
                "Write a configuration with its `dimension`."
            )
        else:
            models.append({"model_id": embedding, "tasks": ["embedding"], "dimension": dimension})
    return models
