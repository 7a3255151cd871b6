"""A provider whose answers stand in the configuration: for tests, demonstrations and notebooks without a network.

The same request at the same point of a session always gets the same answer. Everything is under `options`:

    - id: stage
      type: scripted
      options:
        replies: ["first", "second"]    # in turn, then again from the start; or {pattern: reply}, where the first
                                        # regular expression found in the last user message decides
        pieces: 8                       # characters in a streamed piece
        delay: 0.05                     # seconds before every piece
        finish: stop                    # the finish reason; null for an answer that was cut
        usage: {input: 12, output: 5}   # tokens to report; null for none; by default a quarter of the characters
        cost: "0.0012"                  # USD the provider itself reports
        served_model: scripted-2        # by default the model asked for
        dimension: 64                   # length of the vectors
        ignores: [seed]                 # parameters it does not know, left out and said so
        models: [fast, slow]            # what it lists when asked
        fail: {status: 429, times: 2, retry_after: 1, message: "slow down", after: 0}
      models: [{model_id: fast, task: chat_small}]

Without `replies`, or when no pattern is found, the answer is the last user message. `fail` lets the first `times` calls
fail (all of them without it), after `after` pieces; `status` is an HTTP status, or `connection` or `timeout`. Vectors
are hashed words: texts that share words are near each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, ClassVar, Literal

from ..core.provider_types import BUILT_IN, ProviderType
from ..core.types import Usage
from ..core.wire import ChatCall, EmbedCall, Embedded, Endpoint, Finish, Probe
from ..errors import ConfigError, ConnectionFailed, ProviderError, ProviderTimeout
from .base import Provider
from .statuses import failure_class

__all__ = ["ScriptedProvider"]


@dataclass(frozen=True, slots=True)
class _Fail:
    status: int | str
    times: int | None = None
    retry_after: float | None = None
    message: str = "as scripted"
    after: int = 0


@dataclass(frozen=True, slots=True)
class _Script:
    replies: tuple[str, ...] | tuple[tuple[re.Pattern[str], str], ...] = ()
    pieces: int = 8
    delay: float = 0.0
    finish: str | None = "stop"
    usage: Usage | Literal["counted"] | None = "counted"
    cost: Decimal | None = None
    served_model: str | None = None
    dimension: int = 64
    ignores: tuple[str, ...] = ()
    models: tuple[str, ...] | None = None
    fail: _Fail | None = None


class ScriptedProvider(Provider):
    """Answers from `endpoint.options`. Raises `ConfigError` when it is built from options it does not understand."""

    traits: ClassVar[ProviderType] = BUILT_IN["scripted"]

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        try:
            self._script = _read(endpoint)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise _bad(endpoint, f"options cannot be read: {error}") from error
        self._calls = 0
        self._replied = 0

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        script, failing = self._script, self._fails()
        text = self._reply(call)
        step = script.pieces if call.stream else max(len(text), 1)
        pieces = [text[i : i + step] for i in range(0, len(text), step)]
        for position, piece in enumerate(pieces):
            if script.delay:
                await asyncio.sleep(script.delay)
            if failing is not None and position == failing.after:
                raise self._error(failing, call.model_id)
            yield piece
        if failing is not None and failing.after >= len(pieces):
            raise self._error(failing, call.model_id)
        prompt = "".join(message.text for message in call.messages)
        wanted = {"temperature": call.temperature, "max_tokens": call.max_tokens, "seed": call.seed, **call.params}
        yield Finish(
            script.finish,
            self._usage(prompt, text),
            script.served_model or call.model_id,
            script.cost,
            tuple(sorted(name for name in script.ignores if wanted.get(name) is not None)),
        )

    async def embed(self, call: EmbedCall) -> Embedded:
        import numpy as np

        if self._script.delay:
            await asyncio.sleep(self._script.delay)
        if (failing := self._fails()) is not None:
            raise self._error(failing, call.model_id)
        dimension = call.dimension or self._script.dimension
        vectors = np.zeros((len(call.texts), dimension), dtype=np.float32)
        for row, text in zip(vectors, call.texts, strict=True):
            for word in re.findall(r"\w+", text.lower()) or [text]:
                digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
                row[int.from_bytes(digest[:4], "big") % dimension] += 1.0 if digest[4] % 2 else -1.0
            if not row.any():
                # Words can cancel each other out, and a vector of nothing has no direction.
                row[0] = 1.0
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        usage = self._usage("".join(call.texts), "")
        return Embedded(vectors, usage, self._script.served_model or call.model_id, self._script.cost)

    async def probe(self) -> Probe:
        return Probe(True, "scripted", self._script.models)

    def _fails(self) -> _Fail | None:
        """The failure this call has to end in, if any."""
        self._calls += 1
        fail = self._script.fail
        return fail if fail is not None and (fail.times is None or self._calls <= fail.times) else None

    def _reply(self, call: ChatCall) -> str:
        asked = next((m.text for m in reversed(call.messages) if m.role == "user"), "")
        replies = self._script.replies
        for reply in replies:
            if isinstance(reply, tuple) and reply[0].search(asked):
                return reply[1]
        in_turn = [reply for reply in replies if isinstance(reply, str)]
        if not in_turn:
            return asked
        self._replied += 1
        return in_turn[(self._replied - 1) % len(in_turn)]

    def _usage(self, prompt: str, answer: str) -> Usage | None:
        usage = self._script.usage
        return Usage(-(-len(prompt) // 4), -(-len(answer) // 4)) if usage == "counted" else usage

    def _error(self, fail: _Fail, model_id: str) -> ProviderError:
        named: dict[str, type[ProviderError]] = {"connection": ConnectionFailed, "timeout": ProviderTimeout}
        status = fail.status if isinstance(fail.status, int) else None
        cls = named[str(fail.status)] if status is None else failure_class(status)
        return cls(
            f"{self.endpoint.provider_id} ({model_id}): {fail.message}",
            provider_id=self.endpoint.provider_id,
            model_id=model_id,
            status=status,
            retry_after=fail.retry_after,
        )


def _read(endpoint: Endpoint) -> _Script:
    options = dict(endpoint.options)
    _known(endpoint, "options", options, _Script)
    if "replies" in options:
        options["replies"] = _replies(endpoint, options["replies"])
    if options.get("cost") is not None:
        # By its text, so that 0.1 in a YAML file is a tenth.
        options["cost"] = Decimal(str(options["cost"]))
    if options.get("usage") is not None:
        options["usage"] = Usage(**{f"{name}_tokens": int(number) for name, number in options["usage"].items()})
    for name in ("ignores", "models"):
        if options.get(name) is not None:
            options[name] = tuple(options[name])
    if options.get("fail") is not None:
        fail = dict(options["fail"])
        _known(endpoint, "options.fail", fail, _Fail)
        status = fail.get("status")
        if not (status in {"connection", "timeout"} or (isinstance(status, int) and 300 <= status < 600)):
            raise _bad(endpoint, f"options.fail.status is {status!r}; it is an HTTP status, `connection` or `timeout`")
        options["fail"] = _Fail(**fail)
    script = _Script(**options)
    if script.pieces < 1 or script.dimension < 1 or script.delay < 0:
        raise _bad(endpoint, "options.pieces and options.dimension are at least 1, options.delay at least 0")
    return script


def _replies(endpoint: Endpoint, replies: Any) -> tuple[Any, ...]:
    if isinstance(replies, str):
        return (replies,)
    if not isinstance(replies, Mapping):
        return tuple(str(reply) for reply in replies)
    try:
        return tuple((re.compile(str(pattern), re.DOTALL), str(reply)) for pattern, reply in replies.items())
    except re.error as error:
        raise _bad(endpoint, f"options.replies has a pattern that is no regular expression: {error}") from error


def _known(endpoint: Endpoint, where: str, given: Mapping[str, Any], form: type) -> None:
    known = [field.name for field in fields(form)]
    for name in given:
        if name not in known:
            raise _bad(endpoint, f"{where} has no {name!r}; it knows {', '.join(known)}")


def _bad(endpoint: Endpoint, what: str) -> ConfigError:
    return ConfigError(f"provider {endpoint.provider_id}: {what}")
