"""A loopback server that speaks the wire formats of OpenAI, OpenRouter, Anthropic and Ollama.

It records every request whole, checks keys as the providers do, and misbehaves on request: `script()` queues answers
for the next requests, `default` is what follows. It listens on 127.0.0.1 alone and needs only the standard library.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
import struct
import threading
import time
from collections import deque
from types import TracebackType
from typing import Self

from .answers import Answer, Kind, Outcome, Seen
from .wires import answer_to, kind_of, stream_error

__all__ = ["Answer", "Seen", "Upstream"]

PREFIX: dict[Kind, str] = {"openai": "/v1", "openrouter": "/api/v1", "anthropic": "", "ollama": ""}


class Upstream:
    """A running server. Use it as a context manager, or call `close()`.

    `arrived` is set by the first request; `most_at_once` is how many were ever under way together.
    """

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.arrived = threading.Event()
        self.default = Answer()
        self.under_way = self.most_at_once = 0
        self._script: deque[Answer] = deque()
        self._keys: dict[Kind, frozenset[str]] = {}
        self._connections = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        ready: threading.Event = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="upstream", daemon=True)
        self._thread.start()
        ready.wait()

    def url(self, kind: Kind) -> str:
        """The base URL to configure for a provider of that kind."""
        return f"http://127.0.0.1:{self.port}{PREFIX[kind]}"

    def script(self, *answers: Answer) -> None:
        """The next requests get these answers, in this order; models and probes count as requests."""
        self._script.extend(answers)

    def accept(self, kind: Kind, *keys: str) -> None:
        """From now on that provider accepts these keys alone. Before, any key will do, and Ollama needs none."""
        self._keys[kind] = frozenset(keys)

    def wait_for(self, requests: int, seconds: float = 60.0) -> None:
        """Until so many requests have arrived; fails when they do not."""
        deadline = time.monotonic() + seconds
        while len(self.requests) < requests:
            assert time.monotonic() < deadline, f"{len(self.requests)} of {requests} requests arrived"
            time.sleep(0.02)

    def of(self, kind: Kind) -> list[Seen]:
        return [seen for seen in self.requests if seen.kind == kind]

    @property
    def connections(self) -> int:
        """How many connections carried the requests so far."""
        return len({seen.connection for seen in self.requests})

    def close(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    # --- inside the server's thread ---------------------------------------------------------------

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen(ready))
        self._loop.close()

    async def _listen(self, ready: threading.Event) -> None:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=64 * 1024 * 1024)
        self.port: int = server.sockets[0].getsockname()[1]
        ready.set()
        await self._stopping.wait()
        server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = next(self._connections)
        self._writers.add(writer)
        try:
            while (seen := await _read_request(reader, connection)) is not None:
                self.requests.append(seen)
                self.arrived.set()
                answer = self._script.popleft() if self._script else self.default
                self.under_way += 1
                self.most_at_once = max(self.most_at_once, self.under_way)
                try:
                    if not await self._answer(seen, answer, reader, writer):
                        break
                except ConnectionError:
                    # Met while writing, before the next look at what the client does.
                    seen.hung_up.set()
                    raise
                finally:
                    self.under_way -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(
        self, seen: Seen, answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        """Send one answer; False when the connection is not to be used again."""
        if not await _pause(None if answer.hang else answer.delay, reader):
            seen.hung_up.set()
            return False
        if answer.reset:
            return _break(writer, reset=True)
        outcome = answer_to(seen, answer, self._keys)
        headers = {"content-type": outcome.content_type, "x-request-id": "req_0001", **answer.headers}
        head = [f"HTTP/1.1 {outcome.status} Whatever", *(f"{k}: {v}" for k, v in headers.items())]
        if outcome.frames is None:
            body, announced = outcome.body, len(outcome.body)
            if answer.cut_after is not None:
                body = body[: len(body) // 2]
            _write_head(writer, [*head, f"content-length: {announced}"])
            writer.write(body)
            await writer.drain()
            return _break(writer, reset=answer.cut == "reset") if answer.cut_after is not None else True
        _write_head(writer, [*head, "transfer-encoding: chunked"])
        return await self._stream(seen, answer, outcome, reader, writer)

    async def _stream(
        self, seen: Seen, answer: Answer, outcome: Outcome, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        sent = 0
        raw = outcome.frames or ()
        frames = [(f.data, f.piece) for f in raw] if answer.frames is None else [(f, True) for f in answer.frames]
        for data, piece in frames:
            if piece and sent == answer.cut_after:
                if answer.stream_error is None or seen.kind is None:
                    return _break(writer, reset=answer.cut == "reset")
                _write_chunk(writer, stream_error(seen.kind, answer.stream_error).data)
                break
            delay = None if piece and sent == answer.stall_after else answer.piece_delay if piece else 0.0
            if not await _pause(delay, reader):
                seen.hung_up.set()
                return False
            _write_chunk(writer, data)
            await writer.drain()
            sent += piece
        if answer.cut_after is not None and sent <= answer.cut_after and answer.stream_error is None:
            return _break(writer, reset=answer.cut == "reset")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


async def _read_request(reader: asyncio.StreamReader, connection: int) -> Seen | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        raw = await _read_chunked(reader)
    else:
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
    path = target.partition("?")[0]
    return Seen(kind_of(path, headers), method, path, headers, raw, connection)


async def _read_chunked(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return body


async def _pause(seconds: float | None, reader: asyncio.StreamReader) -> bool:
    """Wait, for ever when `seconds` is None; False as soon as the client has hung up."""
    loop = asyncio.get_running_loop()
    end = None if seconds is None else loop.time() + seconds
    while (left := 0.02 if end is None else end - loop.time()) > 0:
        await asyncio.sleep(min(left, 0.02))
        if reader.at_eof() or reader.exception() is not None:
            return False
    return True


def _write_head(writer: asyncio.StreamWriter, lines: list[str]) -> None:
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _write_chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


def _break(writer: asyncio.StreamWriter, *, reset: bool) -> bool:
    if reset:
        # A zero linger time makes close() send RST in place of FIN.
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    else:
        writer.close()
    return False
