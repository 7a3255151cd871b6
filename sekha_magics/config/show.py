"""The configuration in force, as short as it can be written, and where each key comes from instead of the key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .load import Loaded
from .problems import KeyPath
from .yaml_text import dump_yaml

__all__ = ["show", "show_yaml"]

_SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth|cookie", re.IGNORECASE)


def show(loaded: Loaded) -> dict[str, Any]:
    """Plain values, those that differ from their default. Options that look like keys are hidden, those that came from
    a variable stand as written."""
    kept = loaded.config.model_dump(exclude_defaults=True, exclude={"llm_providers": {"__all__": {"api_key"}}})
    config: dict[str, Any] = {"config_version": loaded.config.config_version, "llm_providers": [], **_plain(kept)}
    for i, given in enumerate(config["llm_providers"]):
        name = given["id"]
        # The key stands where a reader looks for it, not at the end.
        provider = {k: given.pop(k) for k in ("id", "type", "base_url") if k in given}
        if (key := loaded.key_sources.get(name)) or (key := loaded.missing_keys.get(name)):
            provider["api_key"] = f"({key})"
        if "options" in given:
            given["options"] = _options(given["options"], ("llm_providers", i, "options"), loaded)
        config["llm_providers"][i] = {**provider, **given}
    return config


def show_yaml(loaded: Loaded) -> str:
    return dump_yaml(show(loaded)) + "# what is not here has its default\n"


def _options(value: Any, path: KeyPath, loaded: Loaded) -> Any:
    if path in loaded.references:
        return loaded.references[path]
    if isinstance(value, Mapping):
        return {
            key: "***"
            if _SECRET_NAME.search(key) and isinstance(item, str) and (*path, key) not in loaded.references
            else _options(item, (*path, key), loaded)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_options(item, (*path, i), loaded) for i, item in enumerate(value)]
    if isinstance(value, str) and any(key.reveal() in value for key in loaded.keys.values()):
        return "***"
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | Decimal):
        return value
    return str(value)
