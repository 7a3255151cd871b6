"""The one background event loop of a process, and the ways to wait for work in it.

Magics are synchronous and the kernel's own loop is busy with the cell, so every request runs in a loop on a thread of
ours. Waiting can be interrupted: Ctrl-C cancels the request, waits until it has settled its bill, and goes on up.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import SekhaError

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["BackgroundLoop", "Emit", "background_loop"]

T = TypeVar("T")
Emit = Callable[[str], None]
Work = Callable[[Emit], Awaitable[T]]

# Waiting in slices keeps Ctrl-C alive where a lock cannot be interrupted (Windows).
_SLICE_SECONDS = 0.2
# A cancelled request still has to close its socket and log what it cost.
_SETTLE_SECONDS = 10.0


class _Running(Generic[T]):
    """One piece of work in the loop: `future` is its result, `settled` is set when nothing of it runs any more."""

    def __init__(self, portal: BlockingPortal, work: Work[T], emit: Emit) -> None:
        self.settled = threading.Event()
        self._work, self._emit = work, emit
        self.future: Future[T] = portal.start_task_soon(self._run)

    async def _run(self) -> T:
        try:
            return await self._work(self._emit)
        finally:
            self.settled.set()

    def cancel(self) -> None:
        self.future.cancel()
        self.settled.wait(_SETTLE_SECONDS)


class BackgroundLoop:
    """Runs coroutines in a thread of its own. Thread-safe; belongs to the process that made it."""

    def __init__(self) -> None:
        from anyio.from_thread import start_blocking_portal

        self._context = start_blocking_portal("asyncio", name="sekha")
        self._portal = self._context.__enter__()
        self._thread_id: int = self._portal.call(threading.get_ident)

    def run(self, work: Work[T], on_token: Emit | None = None) -> T:
        """Wait for `work`; `on_token` is called in this thread for every piece it emits."""
        if threading.get_ident() == self._thread_id:
            raise SekhaError(
                "A blocking call was made from inside the engine's own loop.", hint="Use `await reg.achat(...)` there."
            )
        inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        running = _Running(self._portal, work, inbox.put if on_token else _discard)
        running.future.add_done_callback(lambda _: inbox.put(None))
        try:
            while (piece := _next(inbox)) is not None:
                if on_token is not None:
                    on_token(piece)
        except BaseException:
            running.cancel()
            raise
        return running.future.result()

    async def arun(self, work: Work[T], on_token: Emit | None = None) -> T:
        """The same for a caller that has an asyncio loop of its own; `on_token` is called in that loop."""
        loop = asyncio.get_running_loop()

        def emit(piece: str) -> None:
            loop.call_soon_threadsafe(on_token, piece)  # type: ignore[arg-type]

        running = _Running(self._portal, work, emit if on_token else _discard)
        try:
            return await asyncio.wrap_future(running.future)
        except asyncio.CancelledError:
            await asyncio.to_thread(running.cancel)
            raise

    def stop(self) -> None:
        self._context.__exit__(None, None, None)


def _discard(_: str) -> None:
    return None


def _next(inbox: queue.SimpleQueue[str | None]) -> str | None:
    while True:
        try:
            return inbox.get(timeout=_SLICE_SECONDS)
        except queue.Empty:
            continue


_current: tuple[int, BackgroundLoop] | None = None
_lock = threading.Lock()


def background_loop() -> BackgroundLoop:
    """The loop of this process, started at first use; a forked child starts its own."""
    global _current  # noqa: PLW0603 - one loop per process is the point
    with _lock:
        if _current is None or _current[0] != os.getpid():
            _current = (os.getpid(), BackgroundLoop())
        return _current[1]


def _after_fork() -> None:
    # The lock may have been held by a thread that does not exist in the child.
    global _lock, _current
    _lock, _current = threading.Lock(), None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def run_blocking(work: Work[T], on_token: Emit | None = None) -> T:
    return background_loop().run(work, on_token)


async def run_async(work: Work[T], on_token: Emit | None = None) -> T:
    return await background_loop().arun(work, on_token)


def spawn(work: Work[Any], on_token: Emit) -> _Running[Any]:
    """Start without waiting; for iterators, which decide themselves when to stop."""
    return _Running(background_loop()._portal, work, on_token)
