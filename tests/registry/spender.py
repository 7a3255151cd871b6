"""A provider whose answers use a random share of the tokens they may, so that its bills differ from call to call.

`options`: `seed`; `most`, the tokens of its longest answer where the call sets no limit; `die_at`, the number of the
call during which its process is killed.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import AsyncIterator
from typing import Any

from sekha_magics import Registry
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.types import Usage
from sekha_magics.core.wire import ChatCall, Finish, Probe
from sekha_magics.providers.base import Provider

PRICE = {"input": 2, "output": 10}


class Spender(Provider):
    traits = ProviderType("spender")

    def __init__(self, endpoint: Any) -> None:
        super().__init__(endpoint)
        self._random = random.Random(endpoint.options.get("seed", 0))
        self._calls = 0

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        number = self._calls = self._calls + 1
        await asyncio.sleep(self._random.random() / 100)
        if number == self.endpoint.options.get("die_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        text = call.messages[-1].text
        yield text
        written = self._random.randint(0, call.max_tokens or int(self.endpoint.options.get("most", 1000)))
        yield Finish("stop", Usage(self._random.randint(1, len(text) // 2), written), call.model_id)

    async def probe(self) -> Probe:
        return Probe(True)


def spenders(*, budget: dict[str, Any] | None = None, ledger: str | None = None, **options: Any) -> Registry:
    """A registry with one of them."""
    registry = Registry.from_dict({"llm_providers": [], "budget": budget or {}, "ledger": {"path": ledger}})
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": PRICE}
    registry.register_provider({"id": "shop", "type": "spender", "models": [model], "options": options}, Spender)
    return registry
