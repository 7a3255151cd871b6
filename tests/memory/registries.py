"""Registries whose memory is on: a scripted model to talk to, and embedding models as asked for."""

from __future__ import annotations

from typing import Any

from sekha_magics import Registry

EMBEDDED = {
    "id": "embedded",
    "type": "local",
    "models": [{"model_id": "wordllama-256", "tasks": ["embedding"], "dimension": 256}],
}
STAGE = {"id": "stage", "type": "scripted", "models": [{"model_id": "echo", "tasks": ["chat_small"]}]}


def scripted(model_id: str = "hashed", dimension: int = 64, **options: Any) -> dict[str, Any]:
    model = {"model_id": model_id, "tasks": ["embedding"], "dimension": dimension, "price": {"input": 1, "output": 0}}
    return {"id": f"at_{model_id}", "type": "scripted", "models": [model], "options": options}


def registry(*providers: dict[str, Any], enabled: bool = True, **more: Any) -> Registry:
    given = {"llm_providers": [STAGE, *providers], "memory": {"enabled": enabled}, **more}
    return Registry.from_dict(given)
