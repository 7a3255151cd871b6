"""Windows and abilities of known models, from the table LiteLLM ships, read as a file: LiteLLM is not imported.

A model is found by its exact name or not at all. Prices are not taken from here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

__all__ = ["ModelLimits", "limits"]

_TABLE = "model_prices_and_context_window_backup.json"


@dataclass(frozen=True, slots=True)
class ModelLimits:
    """Sizes are tokens, None when the table does not say. `mode` is chat, embedding, responses, ...

    `dimension` is the length of an embedding model's vectors.
    """

    context_window: int | None = None
    max_output_tokens: int | None = None
    supports_vision: bool = False
    supports_audio: bool = False
    supports_function_calling: bool = False
    supports_schema: bool = False
    mode: str | None = None
    dimension: int | None = None


def limits(provider_type: str, model_id: str) -> ModelLimits | None:
    """What is known of `model_id` at a provider of that type, or None.

    The name alone is not enough: `gpt-4o` is OpenAI's only where the table says that OpenAI serves it.
    """
    table = _table()
    if provider_type == "litellm":
        return _limits(table.get(model_id))
    for key in (f"{provider_type}/{model_id}", model_id):
        entry = table.get(key)
        if entry is not None and entry.get("litellm_provider") == provider_type:
            return _limits(entry)
    return None


@cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    spec = find_spec("litellm")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / _TABLE
        if path.is_file():
            table: dict[str, Mapping[str, Any]] = json.loads(path.read_bytes())
            # An entry of that name only documents the others.
            table.pop("sample_spec", None)
            return table
    return {}


def _limits(entry: Mapping[str, Any] | None) -> ModelLimits | None:
    if entry is None:
        return None
    return ModelLimits(
        # Some entries know one number for both.
        context_window=_tokens(entry.get("max_input_tokens")) or _tokens(entry.get("max_tokens")),
        max_output_tokens=_tokens(entry.get("max_output_tokens")),
        supports_vision=bool(entry.get("supports_vision")),
        supports_audio=bool(entry.get("supports_audio_input")),
        supports_function_calling=bool(entry.get("supports_function_calling")),
        supports_schema=bool(entry.get("supports_response_schema")),
        mode=entry.get("mode"),
        dimension=_tokens(entry.get("output_vector_size")),
    )


def _tokens(value: Any) -> int | None:
    # A few figures are texts, some are floats.
    try:
        return int(value) or None
    except (TypeError, ValueError):
        return None
