"""The embedded model: small, on this machine, without key or network.

Chat is llama.cpp in a process of its own, spoken to over loopback, so that a crash in native code costs one answer and
not the user's variables. Embeddings are a table look-up in this process. What the caller leaves open stays
llama.cpp's default (temperature 0.8), except that an answer without `max_tokens` ends after 1,024 tokens. With a seed,
or at temperature 0, the same request gives the same text.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from ...core.provider_types import BUILT_IN, ProviderType
from ...core.types import Usage
from ...core.wire import ChatCall, EmbedCall, Embedded, Endpoint, Finish, Probe
from ...errors import (
    BadRequest,
    ConfigError,
    ConnectionFailed,
    InvalidInput,
    ModelNotFound,
    ProviderError,
    ProviderTimeout,
    StreamInterrupted,
)
from ..base import Provider
from .child import DEFAULT_CONTEXT, Child, Launch, lease, release
from .files import DEFAULT_MODEL, check_gguf, installed, path_of
from .wire import Answer, events, refusal, request_body

if TYPE_CHECKING:
    import httpx

__all__ = ["EMBEDDING_MODEL", "LocalProvider"]

EMBEDDING_MODEL = "wordllama-256"


class LocalProvider(Provider):
    """`type: local`. Options: `path` (a GGUF file for every chat model), `threads`, `context` (tokens).

    The model writes one answer at a time, so the timeout grows with the number of answers asked for before.
    """

    traits: ClassVar[ProviderType] = BUILT_IN["local"]
    counts_its_own_time = True

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._options = _Options.of(endpoint)

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        with self._naming(call.model_id):
            body, left_out = request_body(call)
            child = await self._child(call.model_id)
            answer = Answer(left_out)
            try:
                async with aclosing(self._pieces(child, body, answer)) as pieces:
                    async for piece in pieces:
                        if call.stream:
                            yield piece
            except ProviderError as error:
                if not (call.stream and answer.partial):
                    raise
                raise StreamInterrupted(error.message, partial=answer.partial, status=error.status) from error
        if not call.stream:
            yield answer.partial
        yield answer.finish()

    async def embed(self, call: EmbedCall) -> Embedded:
        import anyio.to_thread

        from .vectors import DIMENSION, embed

        with self._naming(call.model_id):
            if call.model_id != EMBEDDING_MODEL:
                raise ModelNotFound(
                    f"there is no embedded embedding model {call.model_id!r:.120}", hint=f"There is {EMBEDDING_MODEL}."
                )
            if call.dimension not in (None, DIMENSION):
                raise BadRequest(f"{EMBEDDING_MODEL} has {DIMENSION} dimensions, not {call.dimension}")
            if find_spec("wordllama") is None:
                raise ModelNotFound("the package wordllama is not installed", hint=_INSTALL)
            try:
                vectors, tokens = await anyio.to_thread.run_sync(embed, call.texts, abandon_on_cancel=True)
            except (TypeError, ValueError) as error:
                raise BadRequest(f"{EMBEDDING_MODEL} cannot read this text: {error}") from error
        return Embedded(vectors, Usage(input_tokens=tokens), EMBEDDING_MODEL)

    async def probe(self) -> Probe:
        """Look at what is installed; starts nothing."""
        models: list[str] = []
        missing: list[str] = []
        if find_spec("xllamacpp") is None:
            missing.append(f"no chat: xllamacpp is not installed. {_INSTALL}")
        elif self._options.path is not None:
            try:
                check_gguf(self._options.path)
            except InvalidInput as error:
                missing.append(f"no chat: {error.message}")
            else:
                models.append(self._options.path.stem)
        elif names := installed():
            models.extend(names)
        else:
            missing.append(f"no chat: no model file is here. {_PULL}")
        if find_spec("wordllama") is None:
            missing.append(f"no embeddings: wordllama is not installed. {_INSTALL}")
        else:
            models.append(EMBEDDING_MODEL)
        return Probe(bool(models), " ".join(missing), tuple(models))

    async def aclose(self) -> None:
        """The process ends when no other provider object uses it."""
        import anyio.to_thread

        await anyio.to_thread.run_sync(release, self)

    @contextmanager
    def _naming(self, model_id: str) -> Iterator[None]:
        """Errors raised inside say whose they are."""
        try:
            yield
        except ProviderError as error:
            error.provider_id, error.model_id = self.endpoint.provider_id, model_id
            raise

    def _file(self, model_id: str) -> Path:
        if self._options.path is not None:
            path = self._options.path
        else:
            try:
                path = path_of(model_id)
            except InvalidInput as error:
                raise ModelNotFound(f"there is no embedded model {model_id!r:.120}", hint=_PULL) from error
            if not path.exists():
                hint = (
                    _PULL if model_id == DEFAULT_MODEL else f"`sekha models pull {model_id} --from FILE` puts it there."
                )
                raise ModelNotFound(f"the file of {model_id} is not here", hint=hint)
        try:
            check_gguf(path)
        except InvalidInput as error:
            raise ModelNotFound(error.message, hint=error.hint or _PULL) from error
        return path

    async def _child(self, model_id: str) -> Child:
        import anyio.to_thread

        if find_spec("xllamacpp") is None:
            raise ModelNotFound("the package xllamacpp is not installed", hint=_INSTALL)
        launch = Launch(self._file(model_id), self._options.threads, self._options.context)
        # Whoever is cancelled meanwhile leaves it loading, for the next call.
        return await anyio.to_thread.run_sync(lease, launch, self, abandon_on_cancel=True)

    async def _pieces(self, child: Child, body: bytes, answer: Answer) -> AsyncGenerator[str, None]:
        import anyio.to_thread
        import httpx

        patience = self.endpoint.timeout
        try:
            with child.in_line() as ahead:
                patience *= 1 + ahead
                async with _posted(child, body, patience) as response:
                    if response.status_code != 200:
                        raise refusal(response.status_code, await response.aread())
                    async for event in events(response.aiter_bytes()):
                        if "error" in event:
                            raise refusal(500, json.dumps(event).encode())
                        if piece := answer.take(event):
                            yield piece
        except httpx.TimeoutException as error:
            raise ProviderTimeout(f"the embedded model gave no sign of life for {patience:g} s") from error
        except (httpx.TransportError, ValueError) as error:
            ending = await anyio.to_thread.run_sync(child.obituary)
            raise ConnectionFailed(
                f"the connection to the embedded model broke ({type(error).__name__}; {ending})",
                hint="The next call starts it anew.",
            ) from error


@asynccontextmanager
async def _posted(child: Child, body: bytes, patience: float) -> AsyncGenerator[httpx.Response, None]:
    """The answer to `body`, as it arrives; a silence longer than `patience` seconds ends it."""
    import ssl

    import httpx

    # A client for each call: nothing is shared between event loops. Proxies of the environment have no business on
    # loopback, and a context without certificates is made in no time (plain HTTP uses none).
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    headers = {"authorization": f"Bearer {child.key}", "content-type": "application/json"}
    async with (
        httpx.AsyncClient(timeout=patience, trust_env=False, verify=context) as client,
        client.stream("POST", f"{child.address}/v1/chat/completions", content=body, headers=headers) as response,
    ):
        yield response


_INSTALL = "Run `pip install 'sekha-magics[local]'`."
_PULL = "Run `sekha models pull`."


@dataclass(frozen=True, slots=True)
class _Options:
    path: Path | None = None
    threads: int | None = None
    context: int = DEFAULT_CONTEXT

    @classmethod
    def of(cls, endpoint: Endpoint) -> _Options:
        given, where = dict(endpoint.options), f"provider {endpoint.provider_id}"
        known = ("path", "threads", "context")
        if unknown := sorted(set(given) - set(known), key=str):
            close = get_close_matches(str(unknown[0]), known, 1)
            raise ConfigError(
                f"{where}: the embedded model has no option {unknown[0]!r}",
                hint=f"Did you mean {close[0]!r}?" if close else f"It has {', '.join(known)}.",
            )
        path = given.get("path")
        if path is not None and not (isinstance(path, (str, Path)) and str(path)):
            raise ConfigError(f"{where}: `path` must be the path of a GGUF file, not {path!r:.120}")
        for name, least in (("threads", 1), ("context", 256)):
            value = given.get(name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise ConfigError(f"{where}: `{name}` must be a whole number of at least {least}, not {value!r:.120}")
        return cls(
            None if path is None else Path(path).expanduser().absolute(),
            given.get("threads"),
            given.get("context") or DEFAULT_CONTEXT,
        )
