"""One answer on its way, in a thread of its own: the kernel stays free, and it can be stopped at any moment."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from ..core.types import Reply
from ..errors import StreamInterrupted
from ..stream import Stream

__all__ = ["Answering", "Ended"]


@dataclass(frozen=True, slots=True)
class Ended:
    """`reply` where it was answered, `error` where that failed, and neither where it was stopped. `text` is all that
    came."""

    text: str
    reply: Reply | None = None
    error: Exception | None = None


class Answering:
    """Begins at once. `on_text` gets all of the text so far, again and again, and `on_end` is called last, once.

    Both are called in the thread of the answer, which runs in `context`.
    """

    def __init__(self, stream: Stream, context: Context, on_text: Callable[[str], None],
                 on_end: Callable[[Ended], None]) -> None:  # fmt: skip
        self._stream, self._on_text, self._on_end = stream, on_text, on_end
        # Protects the two below: a stop comes from another thread, before, during or after the loop.
        self._lock = threading.Lock()
        self._stopped = False
        self._cancel: Callable[[], object] | None = None
        self._thread = threading.Thread(target=context.run, args=(self._run,), name="sekha-answer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Cancel the request; what it cost is still settled. Returns at once, and does nothing the second time."""
        with self._lock:
            cancel = None if self._stopped else self._cancel
            self._stopped = True
            if cancel is not None:
                cancel()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait for the end, and say whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._on_end(asyncio.run(self._listen()))

    async def _listen(self) -> Ended:
        pieces: list[str] = []
        try:
            self._let_it_be_stopped()
            async for piece in self._stream:
                pieces.append(piece)
                self._on_text("".join(pieces))
        except asyncio.CancelledError:
            return Ended("".join(pieces))
        except StreamInterrupted as error:
            return Ended(error.partial or "".join(pieces), error=error)
        except Exception as error:  # noqa: BLE001 - it is shown where the answer would stand
            return Ended("".join(pieces), error=error)
        finally:
            with self._lock:
                self._cancel = None
        reply = self._stream.reply
        return Ended("".join(pieces) if reply is None else reply.text, reply)

    def _let_it_be_stopped(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with self._lock:
            if self._stopped:
                raise asyncio.CancelledError
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
