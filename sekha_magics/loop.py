"""The one background event loop of a process, and the ways to wait for work in it.

Magics are synchronous and the kernel's own loop is busy with the cell, so every request runs in a loop on a thread of
ours. Waiting can be interrupted: Ctrl-C cancels the request, waits until it has settled its bill, and goes on up.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import SekhaError
from .storage.forks import renew_in_child

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["BackgroundLoop", "Emit", "background_loop", "canceller"]

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
        _work.set(self)
        try:
            return await self._work(self._emit)
        finally:
            self.settled.set()

    def result(self) -> T:
        """What came of it. Raises KeyboardInterrupt when it was cancelled from elsewhere, once it has settled."""
        try:
            return self.future.result()
        except CancelledError:
            self.settled.wait(_SETTLE_SECONDS)
            raise KeyboardInterrupt("the request was cancelled") from None

    def cancel(self) -> None:
        """Cancel and wait until it has settled. Of two quick Ctrl-C the second may come before this has begun, so a
        caller in the main thread calls it once more in a `finally`; when it has settled that does nothing."""
        if self.settled.is_set():
            return
        # In a thread of its own: Ctrl-C reaches the main thread alone, and a second one must not stop this halfway.
        threading.Thread(target=self.future.cancel, name="sekha-cancel", daemon=True).start()
        self.settled.wait(_SETTLE_SECONDS)


_work: ContextVar[_Running[Any] | None] = ContextVar("sekha_work", default=None)


def canceller() -> Callable[[], None]:
    """What ends, from any other thread, the whole piece of work this is called in: its caller waits for all of it."""
    running = _work.get()
    return _nothing_to_cancel if running is None else running.cancel


class BackgroundLoop:
    """Runs coroutines in a thread of its own. Thread-safe; belongs to the process that made it."""

    def __init__(self) -> None:
        started: Future[tuple[BlockingPortal, int]] = Future()
        # Not anyio's own context manager: collected at the interpreter's end, it would wait for a thread that has died.
        threading.Thread(target=_serve, args=(started,), name="sekha", daemon=True).start()
        self.portal, self._thread_id = started.result()

    def run(self, work: Work[T], on_token: Emit | None = None) -> T:
        """Wait for `work`; `on_token` is called in this thread for every piece it emits."""
        if threading.get_ident() == self._thread_id:
            raise SekhaError(
                "A blocking call was made from inside the engine's own loop.", hint="Use `await reg.achat(...)` there."
            )
        inbox: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        running = _Running(self.portal, work, inbox.put if on_token else _discard)
        running.future.add_done_callback(lambda _: inbox.put(None))
        try:
            while (piece := _next(inbox)) is not None:
                if on_token is not None:
                    on_token(piece)
        except BaseException:
            try:
                running.cancel()
            finally:
                running.cancel()
            raise
        return running.result()

    async def arun(self, work: Work[T], on_token: Emit | None = None) -> T:
        """The same for a caller that has an asyncio loop of its own; `on_token` is called in that loop."""
        loop = asyncio.get_running_loop()

        def emit(piece: str) -> None:
            loop.call_soon_threadsafe(on_token, piece)  # type: ignore[arg-type]

        running = _Running(self.portal, work, emit if on_token else _discard)
        try:
            return await asyncio.wrap_future(running.future)
        except asyncio.CancelledError:
            await asyncio.to_thread(running.cancel)
            raise


def _serve(started: Future[tuple[BlockingPortal, int]]) -> None:
    import anyio
    from anyio.from_thread import BlockingPortal

    async def serve() -> None:
        async with BlockingPortal() as portal:
            started.set_result((portal, threading.get_ident()))
            await portal.sleep_until_stopped()

    try:
        anyio.run(serve, backend="asyncio")
    except BaseException as error:
        if started.done():
            raise
        started.set_exception(error)


def _discard(_: str) -> None:
    return None


def _nothing_to_cancel() -> None:
    return None


def _next(inbox: queue.SimpleQueue[str | None]) -> str | None:
    while True:
        try:
            return inbox.get(timeout=_SLICE_SECONDS)
        except queue.Empty:
            continue


class _Current:
    """The loop of this process. A forked child has the object and not the thread, so it starts anew."""

    def __init__(self) -> None:
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        self._loop: BackgroundLoop | None = None

    def get(self) -> BackgroundLoop:
        with self._lock:
            if self._loop is None:
                self._loop = BackgroundLoop()
            return self._loop


_current = _Current()


def background_loop() -> BackgroundLoop:
    """The loop of this process, started at first use."""
    return _current.get()


def run_blocking(work: Work[T], on_token: Emit | None = None) -> T:
    return background_loop().run(work, on_token)


async def run_async(work: Work[T], on_token: Emit | None = None) -> T:
    return await background_loop().arun(work, on_token)


def spawn(work: Work[Any], on_token: Emit) -> _Running[Any]:
    """Start without waiting; for iterators, which decide themselves when to stop."""
    return _Running(background_loop().portal, work, on_token)
