"""Registries whose providers are loopback servers, and a clock that goes where a test puts it."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sekha_magics.config.keys import KeyStore
from sekha_magics.config.load import from_mapping
from sekha_magics.failover import Patience
from sekha_magics.providers import provider_types
from sekha_magics.registry import Registry
from tests.upstream.server import Upstream

# Nothing is gained in a test by waiting as long as a real provider needs.
AT_ONCE = Patience(base=0.0)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def at(name: str, server: Upstream | str, *, priority: int = 1, window: int = 8192, **more: Any) -> dict[str, Any]:
    """A provider with OpenAI's wire format at that server, or at that address."""
    url = server if isinstance(server, str) else server.url("openai")
    return {
        "id": name, "type": "openai", "base_url": url, "api_key": f"sk-{name}-0123456789", "priority": priority,
        "models": [{"model_id": f"{name}-model", "tasks": ["chat_small"], "context_window": window}], **more,
    }  # fmt: skip


def pool(
    *providers: Mapping[str, Any], clock: Clock | None = None, patience: Patience = AT_ONCE, **routing: Any
) -> Registry:
    keys = KeyStore(environ=os.environ)
    loaded = from_mapping(
        {"llm_providers": list(providers), "routing": routing},
        environ=os.environ, cwd=Path.cwd(), provider_types=provider_types(), keys=keys,
    )  # fmt: skip
    return Registry(loaded, keys=keys, patience=patience, **({"clock": clock} if clock else {}))


def nobody() -> str:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
