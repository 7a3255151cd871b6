"""An answer as an asynchronous iterator of its pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from .ask import Ask
from .core.types import Reply
from .loop import Emit, spawn

__all__ = ["Stream"]


class Stream:
    """The pieces of one answer, as they come: `async for piece in stream`. After the last, `reply` is the whole answer.

    Leaving the loop cancels the request.
    """

    def __init__(
        self,
        prepare: Callable[[], Ask],
        answer: Callable[[Ask, Emit], Awaitable[Reply]],
        remember: Callable[[Ask, Reply], Reply],
    ) -> None:
        self._prepare, self._answer, self._remember = prepare, answer, remember
        self.reply: Reply | None = None

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        inbox: asyncio.Queue[str | None] = asyncio.Queue()
        ask = await asyncio.to_thread(self._prepare)

        def put(piece: str | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(inbox.put_nowait, piece)

        running = spawn(lambda emit: self._answer(ask, emit), put)
        running.future.add_done_callback(lambda _: put(None))
        try:
            while (piece := await inbox.get()) is not None:
                yield piece
        finally:
            if not running.settled.is_set():
                await asyncio.to_thread(running.cancel)
        if running.future.cancelled():
            await asyncio.to_thread(running.settled.wait)
            raise asyncio.CancelledError
        self.reply = self._remember(ask, running.result())
