"""Texts to vectors: by LiteLLM, and for Ollama by one request of our own, since LiteLLM's would leave out the key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.types import Usage
from ...core.wire import EmbedCall, Embedded
from ...errors import BadRequest, ServerFailed
from .dialects import Dialect
from .read import money, usage_of
from .wire import Exchange, listening

if TYPE_CHECKING:
    import httpx

__all__ = ["by_litellm", "by_ollama", "nothing_embedded"]


def nothing_embedded(call: EmbedCall) -> Embedded:
    """No texts, no request, no vectors."""
    return Embedded(np.empty((0, call.dimension or 0), dtype=np.float32), Usage(), call.model_id)


async def by_ollama(http: httpx.AsyncClient, address: str, call: EmbedCall, exchange: Exchange) -> Embedded:
    """Ask Ollama's `/api/embed`. Raises `httpx.HTTPError` or a `ProviderError`."""
    body: dict[str, Any] = {"model": call.model_id, "input": list(call.texts)}
    if call.dimension is not None:
        body["dimensions"] = call.dimension
    with listening(exchange):
        response = await http.post(f"{address}/api/embed", json=body)
    raw = response.raise_for_status().json()
    counted = {"usage": {"prompt_tokens": raw.get("prompt_eval_count")}}
    return _embedded(call, raw.get("embeddings"), {**raw, **counted})


async def by_litellm(
    litellm: Any, call: EmbedCall, name: str, dialect: Dialect, addressed: Mapping[str, Any], exchange: Exchange
) -> Embedded:
    """Ask through LiteLLM. Raises its exceptions or a `ProviderError`."""
    if dialect.name == "anthropic":
        raise BadRequest("anthropic does not embed text", hint="Configure an embedding model at another provider.")
    # Only this family of OpenAI's shortens its vectors on request; the others refuse the parameter.
    shortens = call.dimension is not None and "text-embedding-3" in name
    with listening(exchange):
        response = await litellm.aembedding(
            model=name,
            input=list(call.texts),
            **({"encoding_format": "float"} if dialect.on_wire else {}),
            **({"dimensions": call.dimension} if shortens else {}),
            **addressed,
        )
    raw = exchange.response.json() if exchange.response is not None else response.model_dump()
    rows = sorted(raw.get("data") or (), key=lambda row: int(row.get("index", 0)))
    return _embedded(call, [row.get("embedding") for row in rows], raw)


def _embedded(call: EmbedCall, rows: Sequence[Any] | None, raw: Mapping[str, Any]) -> Embedded:
    try:
        vectors = np.asarray(rows, dtype=np.float32)
    except (TypeError, ValueError):
        vectors = np.empty(0, dtype=np.float32)
    if vectors.ndim != 2 or len(vectors) != len(call.texts) or not np.isfinite(vectors).all():
        raise ServerFailed(f"it gave no vector for each of {len(call.texts)} texts")
    if call.dimension is not None and vectors.shape[1] != call.dimension:
        raise BadRequest(
            f"its vectors have {vectors.shape[1]} dimensions, not {call.dimension}",
            hint=f"Write `dimension: {vectors.shape[1]}` for this model.",
        )
    usage = raw.get("usage") or {}
    counted = usage_of(usage)
    return Embedded(
        vectors=vectors,
        usage=counted if counted.input_tokens else None,
        served_model=raw.get("model"),
        reported_cost=money(usage.get("cost")),
    )
