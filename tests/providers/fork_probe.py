"""Run by a test in an interpreter of its own: asks three providers, forks, and asks again on both sides at once."""

import asyncio
import os
import sys

from sekha_magics.core.wire import Endpoint, Secret
from sekha_magics.providers import create
from sekha_magics.providers.litellm.setup import warm
from tests.upstream.asking import chat_call, gather

# The fork may come while the import is under way.
warm()
openai, anthropic, ollama = sys.argv[1:]
PROVIDERS = {
    "openai": create(Endpoint("a", "openai", openai, Secret("sk"), 20)),
    "anthropic": create(Endpoint("b", "anthropic", anthropic, Secret("sk"), 20)),
    "ollama": create(Endpoint("c", "ollama", ollama, None, 20)),
}


async def ask_all() -> None:
    for kind, provider in PROVIDERS.items():
        said = await gather(provider, chat_call(kind, "hello"))
        assert said.text == "hello"


runner = asyncio.Runner()
runner.run(ask_all())
child = os.fork()
if child:
    runner.run(ask_all())
    _, status = os.waitpid(child, 0)
    assert status == 0
    print("parent", flush=True)
else:
    asyncio.run(ask_all())
    print("child", flush=True)
    os._exit(0)
