"""A whole provider in one small class: the example for those who write one.

It talks to nobody: it shouts the question back. A package makes such a class known with an entry point:

    [project.entry-points."sekha_magics.providers"]
    shouting = "my_package:ShoutingProvider"
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from sekha_magics import Provider, ProviderType
from sekha_magics.core.types import Usage
from sekha_magics.core.wire import ChatCall, EmbedCall, Embedded, Finish, Probe
from sekha_magics.errors import AuthenticationFailed, ContextLengthExceeded

WINDOW = 100_000


class ShoutingProvider(Provider):
    """Answers in capitals, one word at a time."""

    traits = ProviderType("shouting", key_variable="SHOUTING_KEY", local=True, free=True)

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        key = self.endpoint.api_key
        if key is not None and not key.reveal().startswith("loud-"):
            # A message never repeats the key.
            raise AuthenticationFailed("the key is not loud", provider_id=self.endpoint.provider_id, status=401)
        question = call.messages[-1].text
        if len(question) > WINDOW:
            raise ContextLengthExceeded(f"{len(question)} characters are too many", model_id=call.model_id)
        answer = question.upper()
        if not call.stream:
            if answer:
                yield answer
        else:
            for piece in answer.splitlines(keepends=True):
                # Here a real provider waits for its network, and here it is cancelled.
                await asyncio.sleep(0)
                yield piece
        left_out = tuple(name for name in ("seed", "temperature") if getattr(call, name) is not None)
        yield Finish("stop", Usage(len(question), len(answer)), call.model_id, left_out=left_out)

    async def embed(self, call: EmbedCall) -> Embedded:
        size = call.dimension or 4
        rows = [[float(len(text) + 1)] + [float(text.count("!"))] * (size - 1) for text in call.texts]
        vectors = np.array(rows, dtype=np.float32).reshape(len(call.texts), size)
        return Embedded(vectors, Usage(sum(map(len, call.texts))), call.model_id)

    async def probe(self) -> Probe:
        return Probe(True, "always here", ("hall", "stadium"))
