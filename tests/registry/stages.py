"""Registries of scripted providers, described in one line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sekha_magics.registry import Registry


def provider(
    name: str, *, priority: int = 50, model: Mapping[str, Any] | None = None, **options: Any
) -> dict[str, Any]:
    """A scripted provider with one model `<name>-model`; what is not about the model goes into `options`."""
    return {
        "id": name,
        "type": "scripted",
        "priority": priority,
        "options": options,
        "models": [{"model_id": f"{name}-model", "tasks": ["chat_small", "embedding"], "dimension": 64,
                    "context_window": 8192, **(model or {})}],
    }  # fmt: skip


def registry(*providers: Mapping[str, Any], **sections: Any) -> Registry:
    return Registry.from_dict({"llm_providers": list(providers) or [provider("stage")], **sections})


PRICE = {"price": {"input": 2, "output": 10, "cached_input": 1}}
