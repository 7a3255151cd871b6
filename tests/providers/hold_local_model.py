"""Ask the model in argv[1], say `ready`, wait until standard input closes. With `fork`, a forked process asks too."""

from __future__ import annotations

import os
import sys
import time

import anyio

from sekha_magics.core.content import Message, Text
from sekha_magics.core.wire import ChatCall, Endpoint
from sekha_magics.providers.local.provider import LocalProvider


def ask() -> None:
    async def one() -> None:
        call = ChatCall("smollm2-135m-instruct", (Message("user", (Text("Hi"),)),), max_tokens=1)
        async for _ in provider.chat(call):
            pass

    anyio.run(one)


provider = LocalProvider(Endpoint("embedded", "local", options={"path": sys.argv[1], "context": 512}))
ask()
print("ready", flush=True)
if "fork" in sys.argv and os.fork() == 0:
    provider = LocalProvider(provider.endpoint)
    ask()
    print("forked", os.getpid(), flush=True)
    time.sleep(300)
sys.stdin.read()
