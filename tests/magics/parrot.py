"""A provider that repeats the last user message, or says what its options tell it to, and remembers what it heard.

Options: `answer`, `pause` (seconds between its pieces), `fail` (the name of a class of `ProviderError`), `silent`
(seconds until a probe is answered).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from sekha_magics import Registry, errors
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.types import Usage
from sekha_magics.core.wire import ChatCall, Finish, Probe
from sekha_magics.providers.base import Provider

MODELS: list[dict[str, Any]] = [
    {"model_id": "echo", "tasks": ["chat_small", "chat_smart"], "context_window": 100_000},
    {"model_id": "see", "tasks": ["vision"], "supports_vision": True, "context_window": 100_000},
]
PRICE = {"input": 1, "output": 2}


class Parrot(Provider):
    traits = ProviderType("parrot", local=True, image_urls=True)
    heard: ClassVar[list[ChatCall]] = []

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        self.heard.append(call)
        options = self.endpoint.options
        if name := options.get("fail"):
            raise getattr(errors, name)(f"{name} on purpose \x1b[31m<script>")
        said = next(m.text for m in reversed(call.messages) if m.role == "user")
        answer = str(options.get("answer", said))
        pieces = re.findall(r"\S+\s*|\s+", answer) if call.stream else [answer]
        for piece in pieces or [""]:
            await asyncio.sleep(float(options.get("pause", 0)))
            yield piece
        yield Finish("stop", Usage(len(said.split()), len(answer.split())), call.model_id)

    async def probe(self) -> Probe:
        await asyncio.sleep(float(self.endpoint.options.get("silent", 0)))
        return Probe(True, "here", ("echo", "see"))


def make_registry(*, price: bool = True, content: str = "full", **options: Any) -> Registry:
    """A registry with one parrot, which has not heard anything yet."""
    Parrot.heard.clear()
    models = [model | ({"price": PRICE} if price else {}) for model in MODELS]
    registry = Registry.from_dict({"llm_providers": [], "ledger": {"content": content}})
    registry.register_provider({"id": "cage", "type": "parrot", "models": models, "options": options}, Parrot)
    return registry
