"""The last step before the network: one HTTP client for each endpoint, which nothing above it can talk round.

LiteLLM, and the OpenAI client inside it, read many variables and globals that name other hosts, keys and headers. Here
a request goes to the endpoint's own origin or nowhere, carries the endpoint's own key and the few headers its provider
needs, follows no redirect, and is sent once. What really happened is noted in an `Exchange`.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

import anyio
import httpx

from ...core.wire import Endpoint
from ...errors import ServerFailed
from .dialects import Dialect

__all__ = ["Exchange", "Misdirected", "Wire", "listening"]

_KEPT = frozenset({
    "accept", "accept-encoding", "anthropic-beta", "anthropic-version", "connection", "content-length", "content-type",
    "host", "transfer-encoding",
})  # fmt: skip

# Long enough for the pause between two cells, short enough for the idle timeout of common proxies.
_IDLE_SECONDS = 30.0
_END_SECONDS = 0.1


class Misdirected(httpx.TransportError):
    """Something tried to send a request of this endpoint to another host."""


class Exchange:
    """What happened on the wire during one call: the answer's head, or why there is none.

    `failure` is also set when a body breaks off. `opening` is the first line of data of a streamed answer.
    """

    __slots__ = ("failure", "opening", "response")

    def __init__(self) -> None:
        self.response: httpx.Response | None = None
        self.failure: httpx.TransportError | None = None
        self.opening = ""

    async def close(self) -> None:
        if self.response is not None:
            await self.response.aclose()


_current: ContextVar[Exchange | None] = ContextVar("sekha_exchange", default=None)


@contextmanager
def listening(exchange: Exchange) -> Iterator[None]:
    """Requests sent inside, by this task, are noted in `exchange`."""
    token = _current.set(exchange)
    try:
        yield
    finally:
        _current.reset(token)


class Wire:
    """The clients of one endpoint in one event loop."""

    def __init__(self, endpoint: Endpoint, dialect: Dialect) -> None:
        self._of = (os.getpid(), asyncio.get_running_loop())
        self._dialect = dialect
        self.http = _Client(endpoint, dialect)
        self.address = dialect.address(endpoint.base_url)

    def usable(self) -> bool:
        """Connections belong to the loop that opened them, and to one process."""
        return self._of == (os.getpid(), asyncio.get_running_loop())

    def for_litellm(self) -> Any:
        """What LiteLLM takes as `client`."""
        if self._dialect.route == "openai":
            return _openai_class()(api_key="set-on-the-wire", base_url=self.address, http_client=self.http)
        return _handler_class()(self.http)

    async def close(self) -> None:
        await self.http.aclose()


class _Client(httpx.AsyncClient):
    def __init__(self, endpoint: Endpoint, dialect: Dialect) -> None:
        # As many as a job keeps busy side by side: beyond them each answer costs a new connection.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=100, keepalive_expiry=_IDLE_SECONDS)
        super().__init__(timeout=endpoint.timeout, limits=limits, follow_redirects=False, verify=_certificates())
        self._origin = _origin(httpx.URL(dialect.address(endpoint.base_url)))
        self._own_headers = {"user-agent": "sekha-magics", **dict(dialect.headers)}
        if endpoint.api_key is not None:
            key = endpoint.api_key.reveal()
            self._own_headers[dialect.key_header] = f"Bearer {key}" if dialect.key_header == "authorization" else key
        if dialect.key_header == "x-api-key":
            self._own_headers["anthropic-version"] = "2023-06-01"

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        exchange = _current.get() or Exchange()
        try:
            if _origin(request.url) != self._origin:
                raise Misdirected(f"a request to {request.url.host} was stopped")
            kept = {name: value for name, value in request.headers.items() if name in _KEPT}
            if request.method == "POST":
                kept.setdefault("content-type", "application/json")
            sent = httpx.Request(
                request.method,
                request.url,
                headers={**kept, **self._own_headers},
                stream=request.stream,
                extensions=request.extensions,
            )
            response = await super().send(sent, stream=stream, **{**options, "follow_redirects": False})
            # Whoever asked sees the request it made, without the key.
            response.request = request
            exchange.response = response
            if stream and not response.is_success:
                await response.aread()
        except httpx.TransportError as error:
            exchange.failure = error
            raise
        if stream and response.is_success and isinstance(response.stream, httpx.AsyncByteStream):
            response.stream = _Noted(response.stream, exchange)
            response.__class__ = _Answer
            response.extensions["sekha_exchange"] = exchange
        return response


@cache
def _certificates() -> ssl.SSLContext:
    """Reading the certificates takes longer than the rest of making a client, and all of them use the same."""
    return httpx.create_ssl_context()


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


class _Noted(httpx.AsyncByteStream):
    """A body that tells its exchange when it breaks off, and is read to its end where only the end is left.

    The OpenAI client stops at `[DONE]`, before the end of the body; a connection closed there could not be used again.
    """

    def __init__(self, inner: httpx.AsyncByteStream, exchange: Exchange) -> None:
        self._inner, self._exchange = inner, exchange
        self._left = aiter(inner)
        self._tail = b""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for data in self._left:
                self._tail = data[-16:]
                yield data
        except httpx.TransportError as error:
            self._exchange.failure = error
            raise

    async def aclose(self) -> None:
        if self._tail.rstrip().endswith(b"[DONE]"):
            # The answer is whole: what goes wrong now costs the connection and nothing else.
            with anyio.move_on_after(_END_SECONDS), suppress(httpx.TransportError):
                async for _ in self._left:
                    pass
        await self._inner.aclose()


class _Answer(httpx.Response):
    """A streamed answer, whose lines end where the wire formats say that lines end.

    httpx also ends a line at U+2028, U+0085 and others, which stand unescaped inside JSON texts. LiteLLM takes a line
    for the end of the stream when a text in it contains `[DONE]`, so there the same text is written with an escape.
    """

    async def aiter_lines(self) -> AsyncIterator[str]:
        exchange: Exchange = self.extensions["sekha_exchange"]
        rest = b""
        async for data in self.aiter_bytes():
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield _line(line, exchange)
        if rest:
            yield _line(rest, exchange)


def _line(raw: bytes, exchange: Exchange) -> str:
    line = raw.removesuffix(b"\r").decode(errors="replace")
    data = line.removeprefix("data:").strip()
    if line.startswith('{"error"'):
        # Only Ollama's lines begin so; LiteLLM would complain that they are no answer.
        raise ServerFailed(str(json.loads(line)["error"]))
    if not exchange.opening and data.startswith("{"):
        exchange.opening = data
    return line if data == "[DONE]" else line.replace("[DONE]", "[\\u0044ONE]")


@cache
def _openai_class() -> Any:
    from openai import AsyncOpenAI

    class Once(AsyncOpenAI):
        """OpenAI's client without its retries, which LiteLLM turns on again for embeddings."""

        @property
        def max_retries(self) -> int:
            return 0

        @max_retries.setter
        def max_retries(self, value: int) -> None:
            """LiteLLM sets it with every call."""

    return Once


@cache
def _handler_class() -> Any:
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    class Handler(AsyncHTTPHandler):  # type: ignore[misc]
        """LiteLLM's own handler sends a request a second time when the first got no answer. This one does not."""

        def __init__(self, http: _Client) -> None:
            self.client, self.timeout, self.event_hooks, self.client_alias = http, None, None, None

        async def post(
            self,
            url: str,
            data: Any = None,
            json: Any = None,
            params: Any = None,
            headers: Any = None,
            timeout: Any = None,
            stream: bool = False,
            logging_obj: Any = None,
            files: Any = None,
            content: Any = None,
        ) -> httpx.Response:
            form = data if isinstance(data, dict) else None
            raw = content if data is None or form is not None else data
            request = self.client.build_request(
                "POST", url, data=form, content=raw, json=json, params=params, headers=headers, files=files,
                timeout=httpx.USE_CLIENT_DEFAULT if timeout is None else timeout,
            )  # fmt: skip
            response = await self.client.send(request, stream=stream)
            return response.raise_for_status()

        def __del__(self) -> None:
            """The provider closes the connections, in the loop that opened them."""

    return Handler
