"""What llama.cpp's chat endpoint is sent and what it sends back, as plain values: no connection, no process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from ...core.content import Message, Text
from ...core.types import Usage
from ...core.wire import ChatCall, Finish
from ...errors import BadRequest, ContextLengthExceeded, ProviderError
from ..statuses import failure_class

__all__ = ["DEFAULT_MAX_TOKENS", "OBEYED", "Answer", "events", "refusal", "request_body"]

DEFAULT_MAX_TOKENS = 1024

# Parameters that change the text, and nothing about the form of the answer.
OBEYED = frozenset({
    "chat_template_kwargs", "dry_allowed_length", "dry_base", "dry_multiplier", "dry_penalty_last_n",
    "dry_sequence_breakers", "dynatemp_exponent", "dynatemp_range", "frequency_penalty", "grammar", "ignore_eos",
    "logit_bias", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "presence_penalty", "repeat_last_n",
    "repeat_penalty", "response_format", "samplers", "stop", "top_k", "top_n_sigma", "top_p", "typical_p",
    "xtc_probability", "xtc_threshold",
})  # fmt: skip

# llama.cpp takes an unsigned 32-bit seed, whose highest value means "choose one".
_SEEDS = 2**32 - 1


def request_body(call: ChatCall) -> tuple[bytes, tuple[str, ...]]:
    """The JSON to post, always streamed, and the names of the parameters it leaves out.

    Raises `BadRequest` for an image, a sound, or a value JSON has no form for.
    """
    deterministic = call.seed is not None or call.temperature == 0
    body: dict[str, Any] = {
        **{name: value for name, value in call.params.items() if name in OBEYED},
        "messages": [{"role": m.role, "content": _content(m)} for m in call.messages],
        "max_tokens": DEFAULT_MAX_TOKENS if call.max_tokens is None else call.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
        # What is taken from the cache was computed in other batches, and rounds differently.
        "cache_prompt": not deterministic,
    }
    if call.temperature is not None:
        body["temperature"] = call.temperature
    if call.seed is not None:
        body["seed"] = call.seed % _SEEDS
    if call.schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": dict(call.schema)},
        }
    try:
        # Escaped to ASCII: half a surrogate pair must be the server's to refuse, not an encoding error here.
        encoded = json.dumps(body, allow_nan=False).encode("ascii")
    except (TypeError, ValueError) as error:
        raise BadRequest(f"the request has no JSON form: {error}") from error
    return encoded, tuple(sorted(name for name in call.params if name not in OBEYED))


def _content(message: Message) -> str:
    if not all(isinstance(part, Text) for part in message.parts):
        raise BadRequest(
            "the embedded model reads text, not images or sound",
            hint="Choose a model with vision, or leave the image out.",
        )
    return message.text


@dataclass(slots=True)
class Answer:
    """An answer as it grows."""

    left_out: tuple[str, ...] = ()
    partial: str = ""
    reason: str | None = None
    usage: Usage | None = None
    served_model: str | None = None

    def take(self, event: dict[str, Any]) -> str:
        """Note what an event says and return the text it brings, which may be empty."""
        self.served_model = event.get("model") or self.served_model
        if usage := event.get("usage"):
            cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
            self.usage = Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, cached)
        text = ""
        for choice in event.get("choices") or ():
            self.reason = choice.get("finish_reason") or self.reason
            text += (choice.get("delta") or {}).get("content") or ""
        self.partial += text
        return text

    def finish(self) -> Finish:
        return Finish(self.reason, self.usage, self.served_model, left_out=self.left_out)


async def events(chunks: AsyncIterator[bytes]) -> AsyncIterator[dict[str, Any]]:
    """The JSON objects of a server-sent event stream, until it ends or says it is done.

    Only a line feed, with or without a carriage return, ends a line: model text may hold every other character that
    Python takes for a line end.
    """
    pending, data = b"", []
    async for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for raw in lines:
            line = raw.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
            elif not line and data:
                payload, data = b"\n".join(data), []
                if payload == b"[DONE]":
                    return
                yield json.loads(payload)


def refusal(status: int, body: bytes) -> ProviderError:
    """The error that the server's own account of a failure amounts to."""
    try:
        said = json.loads(body)["error"]
        message, kind, status = str(said["message"]), str(said.get("type", "")), int(said.get("code") or status)
    except (ValueError, KeyError, TypeError):
        message, kind = f"the embedded model's server answered {status}", ""
    if kind == "exceed_context_size_error":
        return ContextLengthExceeded(
            message,
            status=status,
            hint="Shorten the prompt, or raise `context` in the options of this provider.",
        )
    return failure_class(status)(message, status=status)
