"""Providers that LiteLLM speaks to: Ollama, OpenAI, Anthropic, OpenRouter, and whatever else it knows.

LiteLLM translates; it neither retries nor falls back, and for the four it knows no key: address and key are put on
the request at the last step, so nothing in the environment can lend or redirect one. For its other providers address
and key are given with each call, and `options` of the configuration are passed on (`api_version`, a region, ...).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from importlib.util import find_spec
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple
from urllib.parse import urlsplit

from ...core.provider_types import BUILT_IN, ProviderType
from ...core.wire import ChatCall, EmbedCall, Embedded, Endpoint, Finish, Probe
from ...errors import BadRequest, ModelNotFound, ProviderError, ServerFailed
from ..base import Provider
from .dialects import DIALECTS, Dialect, dialect_of
from .errors import failure
from .read import Reading, whole_answer
from .render import Rendered, check_text, render_messages, render_params
from .setup import load, ready, warm

if TYPE_CHECKING:
    from .wire import Exchange, Wire

__all__ = [
    "AnthropicProvider",
    "LiteLLMProvider",
    "OllamaProvider",
    "OpenAIProvider",
    "OpenRouterProvider",
    "warm",
]

# LiteLLM wants a key, or looks for one in the environment.
_NO_KEY = "none-is-configured"


class _Target(NamedTuple):
    """One model as LiteLLM is told of it. `known` are the OpenAI parameters it takes."""

    name: str
    dialect: Dialect
    known: frozenset[str]


class LiteLLMProvider(Provider):
    """Any provider LiteLLM knows; `model_id` begins with its name there (`groq/llama-3.1-8b-instant`)."""

    traits: ClassVar[ProviderType] = BUILT_IN["litellm"]

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self._targets: dict[str, _Target] = {}
        self._wires: dict[str, Wire] = {}
        self._clients: dict[str, Any] = {}

    async def get_ready(self) -> None:
        await _loaded()

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        from .wire import Exchange

        exchange = Exchange()
        failed: ProviderError | None = None
        try:
            async with aclosing(self._answer(call, exchange)) as items:
                async for item in items:
                    yield item
        except Exception as error:  # noqa: BLE001 - LiteLLM and the clients below it raise many kinds
            failed = self._failure(error, exchange, call.model_id)
        if failed is not None:
            # Outside the handler: the original's text may hold a key that the server repeated.
            raise failed

    async def embed(self, call: EmbedCall) -> Embedded:
        from .embed import by_litellm, by_ollama, nothing_embedded
        from .wire import Exchange

        exchange = Exchange()
        try:
            for text in call.texts:
                check_text(text)
            if not call.texts:
                return nothing_embedded(call)
            litellm = await _loaded()
            target = self._target(litellm, call.model_id)
            if target.dialect.name == "ollama":
                wire = self._wire(target.dialect)
                call = replace(call, model_id=target.name.removeprefix("ollama_chat/"))
                return await by_ollama(wire.http, wire.address, call, exchange)
            addressed = self._addressed(target)
            return await by_litellm(litellm, call, target.name, target.dialect, addressed, exchange)
        except Exception as error:  # noqa: BLE001 - as above
            failed = self._failure(error, exchange, call.model_id)
        raise failed

    async def probe(self) -> Probe:
        from .probe import probe

        dialect = DIALECTS.get(self.traits.name)
        if dialect is None:
            return Probe(True, "not asked: LiteLLM cannot say whether its provider is there")
        return await probe(self._wire(dialect), self.endpoint, dialect)

    async def aclose(self) -> None:
        wires, self._wires, self._clients = self._wires, {}, {}
        for wire in wires.values():
            if wire.usable():
                await wire.close()

    # --- one answer -----------------------------------------------------------------------------

    async def _answer(self, call: ChatCall, exchange: Exchange) -> AsyncGenerator[str | Finish]:
        litellm = await _loaded()
        target = self._target(litellm, call.model_id)
        rendered = render_params(call, target.known, target.dialect, own_host=self._at_own_host(target.dialect))
        response, left_out = await self._send(litellm, call, target, rendered, exchange)
        try:
            if call.stream:
                reading = Reading()
                on_wire = target.dialect.on_wire
                async for piece in reading.pieces(response.completion_stream if on_wire else response):
                    yield piece
                if not on_wire:
                    reading.correct(response)
                finish, began = reading.finish(left_out, exchange.opening), reading.began
            else:
                raw = exchange.response.json() if exchange.response is not None else None
                text, finish = whole_answer(response, raw, left_out)
                began = bool(text)
                if text:
                    yield text
            if finish.reason is None and not began:
                raise ServerFailed("it answered with success and with nothing else")
            yield finish
        finally:
            await _close(exchange, response)

    async def _send(
        self, litellm: Any, call: ChatCall, target: _Target, rendered: Rendered, exchange: Exchange
    ) -> tuple[Any, tuple[str, ...]]:
        """LiteLLM's response, and what was left out of the request in the end."""
        from .wire import listening

        fixed: dict[str, Any] = {
            **self._addressed(target),
            "model": target.name,
            "messages": render_messages(call.messages, target.dialect),
            "stream": call.stream,
        }
        if call.stream and target.dialect.route not in {"anthropic", "ollama_chat", "openrouter"}:
            # The others count without being asked.
            fixed["stream_options"] = {"include_usage": True}
        arguments, left_out = rendered
        if target.dialect.name == "openrouter":
            arguments = {**arguments, "extra_body": {"usage": {"include": True}, **arguments.get("extra_body", {})}}
        try:
            with listening(exchange):
                return await litellm.acompletion(**fixed, **arguments), left_out
        except litellm.UnsupportedParamsError:
            refused = _refused(litellm, target, arguments)
            if not refused:
                raise
        arguments = {name: value for name, value in arguments.items() if name not in refused}
        names = {"schema" if name == "response_format" else name for name in refused}
        with listening(exchange):
            return await litellm.acompletion(**fixed, **arguments), tuple(sorted({*left_out, *names}))

    # --- what a model needs, found out once -------------------------------------------------------

    def _target(self, litellm: Any, model_id: str) -> _Target:
        if model_id not in self._targets:
            self._targets[model_id] = self._resolve(litellm, model_id)
        return self._targets[model_id]

    def _resolve(self, litellm: Any, model_id: str) -> _Target:
        dialect = DIALECTS.get(self.traits.name)
        model = model_id
        if dialect is None:
            try:
                model, route, _, _ = litellm.get_llm_provider(model=model_id, api_base=self.endpoint.base_url)
            except litellm.BadRequestError:
                raise BadRequest(
                    f"LiteLLM does not know whose model {model_id!r} is",
                    hint="Write model_id as LiteLLM does: provider/model.",
                ) from None
            dialect = dialect_of(route, frozenset(litellm.types.utils.all_litellm_params))
            if not dialect.on_wire:
                self._refuse_redirection(route)
        if dialect.name == "ollama":
            # Of a model it has no entry for, LiteLLM asks an Ollama, this one or another, three times with each call.
            free = {"input_cost_per_token": 0, "output_cost_per_token": 0}
            entry = {"litellm_provider": "ollama_chat", "mode": "chat", **free}
            litellm.model_cost.setdefault(f"ollama_chat/{model}", entry)
        known = litellm.get_supported_openai_params(model=model, custom_llm_provider=dialect.route) or ()
        if dialect.name == "openai" and litellm.model_cost.get(model, {}).get("mode") == "responses":
            # LiteLLM translates to that API over connections of its own.
            _check_bridge(model)
            dialect = replace(dialect, on_wire=False)
        return _Target(f"{dialect.route}/{model}", dialect, frozenset(known))

    def _refuse_redirection(self, route: str) -> None:
        """For its other providers LiteLLM itself chooses the address; no variable may choose it for us."""
        if self.endpoint.base_url is not None:
            return
        for name in os.environ:
            if name.startswith(route.upper()) and name.endswith(("_BASE", "_URL", "_ENDPOINT", "_HOST")):
                raise BadRequest(
                    f"the environment variable {name} would say where requests for {route} go",
                    hint="Write the address as base_url of this provider, or unset the variable.",
                )

    def _addressed(self, target: _Target) -> dict[str, Any]:
        """Where to, as whom, how long, and once."""
        endpoint, dialect = self.endpoint, target.dialect
        once: dict[str, Any] = {"timeout": endpoint.timeout, "num_retries": 0, "max_retries": 0}
        if not dialect.on_wire:
            key = endpoint.api_key.reveal() if endpoint.api_key is not None else _NO_KEY
            base = endpoint.base_url or dialect.home
            return {**endpoint.options, **once, **({"api_base": base} if base else {}), "api_key": key}
        return {
            **once,
            "api_base": dialect.chat_base(endpoint.base_url),
            "api_key": _NO_KEY,
            "client": self._client(dialect),
        }

    def _at_own_host(self, dialect: Dialect) -> bool:
        base, hosts = self.endpoint.base_url, BUILT_IN[dialect.name].hosts if dialect.name in BUILT_IN else ()
        return base is None or not hosts or urlsplit(base).hostname in hosts

    # --- connections ------------------------------------------------------------------------------

    def _wire(self, dialect: Dialect) -> Wire:
        from .wire import Wire

        wire = self._wires.get(dialect.name)
        if wire is None or not wire.usable():
            wire = self._wires[dialect.name] = Wire(self.endpoint, dialect)
            self._clients.pop(dialect.name, None)
        return wire

    def _client(self, dialect: Dialect) -> Any:
        wire = self._wire(dialect)
        if dialect.name not in self._clients:
            self._clients[dialect.name] = wire.for_litellm()
        return self._clients[dialect.name]

    def _failure(self, error: Exception, exchange: Exchange, model_id: str) -> ProviderError:
        target = self._targets.get(model_id)
        return failure(error, exchange, self.endpoint, target.dialect if target else None, model_id)


class OllamaProvider(LiteLLMProvider):
    """An Ollama server, through its own API."""

    traits: ClassVar[ProviderType] = BUILT_IN["ollama"]


class OpenAIProvider(LiteLLMProvider):
    """OpenAI, or with a `base_url` any server that speaks its wire format."""

    traits: ClassVar[ProviderType] = BUILT_IN["openai"]


class AnthropicProvider(LiteLLMProvider):
    """Anthropic's messages API."""

    traits: ClassVar[ProviderType] = BUILT_IN["anthropic"]


class OpenRouterProvider(LiteLLMProvider):
    """OpenRouter, which says itself what each answer cost."""

    traits: ClassVar[ProviderType] = BUILT_IN["openrouter"]


async def _loaded() -> Any:
    """LiteLLM; the seconds its import may take do not stop the loop."""
    return ready() or await asyncio.to_thread(load)


def _refused(litellm: Any, target: _Target, arguments: Mapping[str, Any]) -> frozenset[str]:
    """Which of the arguments LiteLLM knows that this model does not take with this value (GPT-5: a temperature)."""
    refused = set()
    for name, value in arguments.items():
        try:
            litellm.get_optional_params(
                model=target.name.removeprefix(f"{target.dialect.route}/"),
                custom_llm_provider=target.dialect.route,
                **{name: value},
            )
        except litellm.UnsupportedParamsError:
            refused.add(name)
    return frozenset(refused)


def _check_bridge(model: str) -> None:
    for package in ("fastapi", "orjson"):
        if find_spec(package) is None:
            raise ModelNotFound(
                f"{model} answers through OpenAI's Responses API alone, for which LiteLLM needs {package}",
                hint="Run `pip install fastapi orjson`, or choose another model.",
            )


async def _close(exchange: Exchange, response: Any) -> None:
    """Close what is still open, also when this task is being cancelled: the provider stops generating then."""
    import anyio

    with anyio.CancelScope(shield=True):
        if exchange.response is not None:
            await exchange.close()
            return
        for stream in (response, getattr(response, "completion_stream", None)):
            # Some of LiteLLM's versions leave the inner one open.
            closing = getattr(stream, "aclose", None) or getattr(stream, "close", None)
            if closing is not None and isawaitable(waiting := closing()):
                await waiting
