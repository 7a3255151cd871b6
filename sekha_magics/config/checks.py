"""From plain values to a `Config`, or to every problem there is, at once.

What holds between values is checked on the plain values, so that one misspelt key does not hide a duplicate id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from ..core.provider_types import ProviderType
from .names import OLD_MODEL, OLD_PROVIDER, OLD_TOP
from .problems import KeyPath, Problem, closest
from .schema import Config, DefaultModels, ModelConfig, ProviderConfig

__all__ = ["LISTS_ITS_MODELS", "check"]

LISTS_ITS_MODELS = frozenset({"ollama"})
"""Types whose models need not be configured: the provider is asked for them."""


def check(
    value: Mapping[str, Any], provider_types: Mapping[str, ProviderType]
) -> tuple[Config | None, tuple[Problem, ...]]:
    """The configuration, or None and what is wrong with it. Nothing is read, and no variable is looked up."""
    problems: list[Problem] = []
    config = None
    try:
        config = Config.model_validate(dict(value))
    except ValidationError as error:
        errors = error.errors(include_url=False)
        # A list whose items are all wrong counts as empty too.
        inside = {tuple(e["loc"][:-1]) for e in errors}
        problems += [_told(e) for e in errors if e["type"] != "too_short" or tuple(e["loc"]) not in inside]
    problems += _between(value, provider_types)
    return (None if problems else config), tuple(problems)


# --- single values ------------------------------------------------------------------------------------


def _told(error: Any) -> Problem:
    """One of pydantic's errors in the words of a configuration's author."""
    path: KeyPath = tuple(error["loc"])
    context = error.get("ctx", {})
    kind: str = error["type"]
    given = error["input"]
    if kind == "extra_forbidden":
        return Problem(path, _unknown(path))
    if kind == "missing":
        return Problem(path, "is required")
    if kind == "value_error":
        return Problem(path, str(context["error"]))
    if kind == "literal_error":
        valid = re.findall(r"'([^']*)'", context["expected"])
        near = closest(given, valid) if isinstance(given, str) else None
        return Problem(path, f"must be one of {', '.join(valid)}" + (f"; did you mean `{near}`?" if near else ""))
    if kind == "string_pattern_mismatch":
        return Problem(path, _PATTERNS.get(str(path[-1]), "may hold only a-z and 0-9"))
    if kind == "string_type":
        quotes = "; put it in quotes" if isinstance(given, int | float) or hasattr(given, "as_tuple") else ""
        return Problem(path, f"must be text{quotes}")
    return Problem(path, _BY_KIND.get(kind) or _bound(kind, context) or f"is not valid ({kind})")


_PATTERNS = {"id": "may hold only a-z, 0-9, `_` and `-`"}
_BY_KIND = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "decimal_type": "must be a number",
    "decimal_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a section, with keys of its own",
    "model_type": "must be a section, with keys of its own",
    "path_type": "must be a path",
    "too_short": "must not be empty",
}


def _bound(kind: str, context: Mapping[str, Any]) -> str | None:
    words = {
        "greater_than_equal": ("ge", "must be at least {}"),
        "less_than_equal": ("le", "must be at most {}"),
        "greater_than": ("gt", "must be more than {}"),
        "string_too_long": ("max_length", "is longer than {} characters"),
        "decimal_max_places": ("decimal_places", "has more than {} digits behind the point"),
    }
    if kind not in words:
        return None
    name, sentence = words[kind]
    return sentence.format(context[name])


def _unknown(path: KeyPath) -> str:
    section = _section_at(path[:-1])
    old = {**OLD_TOP} if section is Config else OLD_PROVIDER if section is ProviderConfig else {}
    if section is ModelConfig:
        old = OLD_MODEL
    near = closest(str(path[-1]), [*section.model_fields, *old])
    if near:
        return f"is not a key of a configuration; did you mean `{near}`?"
    return f"is not a key of a configuration; here stand {', '.join(section.model_fields)}"


def _section_at(path: KeyPath) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for key in path:
        if isinstance(key, str):
            # A mapping's own keys, such as the ids under `budget.providers`, are no fields.
            field = section.model_fields.get(key)
            section = (_section_in(field.annotation) if field else None) or section
    return section


def _section_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _section_in(inner))), None)


# --- what holds between values ------------------------------------------------------------------------


def _between(value: Mapping[str, Any], provider_types: Mapping[str, ProviderType]) -> Iterator[Problem]:
    providers = _mappings(value.get("llm_providers"))
    first: dict[str, int] = {}
    for i, provider in providers:
        at: KeyPath = ("llm_providers", i)
        name = provider.get("id")
        if isinstance(name, str):
            if name in first:
                yield Problem((*at, "id"), f"`{name}` is already the id of llm_providers[{first[name]}]")
            first.setdefault(name, i)
        kind = provider.get("type")
        if isinstance(kind, str) and kind not in provider_types:
            near = closest(kind, provider_types)
            told = f"did you mean `{near}`?" if near else f"there are {', '.join(sorted(provider_types))}"
            yield Problem((*at, "type"), f"`{kind}` is no type of provider; {told}")
        if not provider.get("models") and str(kind) not in LISTS_ITS_MODELS:
            yield Problem((*at, "models"), "is required: this type of provider does not list its models itself")
        for j, model in _mappings(provider.get("models")):
            if "embedding" in _list(model.get("tasks")) and model.get("dimension") is None:
                yield Problem((*at, "models", j, "dimension"), "is required for an embedding model")
    yield from _defaults_served(value.get("default_models"), providers)
    budget = value.get("budget")
    yield from _budgets_of_known(budget if isinstance(budget, Mapping) else {}, providers)


def _defaults_served(defaults: Any, providers: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    if not isinstance(defaults, Mapping):
        return
    served = _served(providers)
    if served is None:
        return
    for key, wanted in defaults.items():
        if key in DefaultModels.model_fields and isinstance(wanted, str) and wanted not in served:
            near = closest(wanted, sorted(served))
            yield Problem(
                ("default_models", key),
                f"no provider serves `{wanted}`" + (f"; did you mean `{near}`?" if near else ""),
            )


def _served(providers: list[tuple[int, Mapping[str, Any]]]) -> set[str] | None:
    """The names of all models; None where a provider is yet to be asked what is installed."""
    if any(str(p.get("type")) in LISTS_ITS_MODELS and not p.get("models") for _, p in providers):
        return None
    served: set[str] = set()
    for _, provider in providers:
        for _, model in _mappings(provider.get("models")):
            if isinstance(model_id := model.get("model_id"), str):
                served |= {model_id, f"{provider.get('id')}/{model_id}"}
    return served


def _budgets_of_known(budget: Mapping[str, Any], providers: list[tuple[int, Mapping[str, Any]]]) -> Iterator[Problem]:
    ids = {str(provider.get("id")) for _, provider in providers}
    for section, known, told in (
        ("providers", ids, "is no provider's id"),
        ("models", _served(providers), "is served by no provider"),
    ):
        limits = budget.get(section)
        for name in limits if isinstance(limits, Mapping) else ():
            if known is not None and name not in known:
                near = closest(str(name), sorted(known))
                yield Problem(("budget", section, name), told + (f"; did you mean `{near}`?" if near else ""))


def _mappings(value: Any) -> list[tuple[int, Mapping[str, Any]]]:
    return [(i, item) for i, item in enumerate(_list(value)) if isinstance(item, Mapping)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
