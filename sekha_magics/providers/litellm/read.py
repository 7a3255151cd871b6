"""What came back, read for what it says and no more: text, why it ended, tokens, cost, and who answered.

LiteLLM fills gaps: a stream that was cut ends with `stop`, a usage that never came is counted by itself. So the pieces
of a stream are taken from the provider's own iterator, and the facts of a whole answer from its JSON.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any

from ...core.types import Usage
from ...core.wire import Finish

__all__ = ["Reading", "money", "usage_of", "whole_answer"]


class Reading:
    """The facts of one streamed answer, gathered piece by piece."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.usage: Usage | None = None
        self.model: str | None = None
        self.cost: Decimal | None = None
        self.began = False

    async def pieces(self, chunks: AsyncIterator[Any]) -> AsyncIterator[str]:
        """The text in the provider's chunks. What is no chunk of an answer (a keep-alive, an end mark) is skipped."""
        async for chunk in chunks:
            choices = getattr(chunk, "choices", None)
            if choices is None:
                continue
            self._note(chunk)
            if not choices:
                continue
            choice = choices[0]
            self.reason = choice.finish_reason or self.reason
            if text := choice.delta.content:
                self.began = True
                yield text

    def _note(self, chunk: Any) -> None:
        self.model = getattr(chunk, "model", None) or self.model
        if usage := getattr(chunk, "usage", None):
            # Anthropic tells the input at the start and the output at the end.
            self.usage = _greater(self.usage, usage_of(usage))
            cost = money(_get(usage, "cost"))
            self.cost = self.cost if cost is None else cost

    def correct(self, stream: Any) -> None:
        """Where only LiteLLM's own stream was seen: take back what it made up."""
        self.reason = stream.received_finish_reason
        if not any(getattr(chunk, "usage", None) for chunk in stream.chunks):
            self.usage = None

    def finish(self, left_out: tuple[str, ...], opening: str) -> Finish:
        usage = None if self.usage == Usage() else self.usage
        return Finish(self.reason, usage, _model_in(opening) or self.model, self.cost, left_out)


def whole_answer(response: Any, raw: Mapping[str, Any] | None, left_out: tuple[str, ...]) -> tuple[str, Finish]:
    """Text and facts of an answer that was not streamed. `raw` is its JSON, when it was seen."""
    choice = response.choices[0]
    said = raw is None or _says_why(raw)
    counted = raw is None or bool(raw.get("usage")) or "eval_count" in raw
    usage = usage_of(response.usage) if counted and getattr(response, "usage", None) else None
    finish = Finish(
        reason=choice.finish_reason if said else None,
        usage=None if usage == Usage() else usage,
        served_model=(raw or {}).get("model") or getattr(response, "model", None),
        reported_cost=money(((raw or {}).get("usage") or {}).get("cost")),
        left_out=left_out,
    )
    return choice.message.content or "", finish


def _says_why(raw: Mapping[str, Any]) -> bool:
    if "choices" in raw:
        return bool(raw["choices"] and raw["choices"][0].get("finish_reason"))
    return bool(raw.get("stop_reason") or raw.get("done"))


def usage_of(value: Any) -> Usage:
    """From OpenAI's form, as an object or a mapping; LiteLLM gives Anthropic's and Ollama's counts in it too."""
    into, out = _get(value, "prompt_tokens_details"), _get(value, "completion_tokens_details")
    # OpenAI's realtime and image models say what the cached tokens were of.
    cached = _get(into, "cached_tokens_details")
    written = _count(into, "cache_write_tokens") or _count(into, "cache_creation_tokens")
    return Usage(
        input_tokens=_count(value, "prompt_tokens"),
        output_tokens=_count(value, "completion_tokens"),
        cached_input_tokens=_count(into, "cached_tokens"),
        reasoning_tokens=_count(out, "reasoning_tokens"),
        cache_write_tokens=written or _count(value, "cache_creation_input_tokens"),
        input_audio_tokens=_count(into, "audio_tokens"),
        cached_audio_tokens=_count(cached, "audio_tokens"),
        output_audio_tokens=_count(out, "audio_tokens"),
        input_image_tokens=_count(into, "image_tokens"),
        cached_image_tokens=_count(cached, "image_tokens"),
        output_image_tokens=_count(out, "image_tokens"),
    )


def _greater(one: Usage | None, other: Usage) -> Usage:
    if one is None:
        return other
    return Usage(*(max(getattr(one, f.name), getattr(other, f.name)) for f in fields(Usage)))


def _get(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)


def _count(value: Any, name: str) -> int:
    number = _get(value, name)
    return number if isinstance(number, int) and number > 0 else 0


def money(value: Any) -> Decimal | None:
    """Exact from the shortest text of the number, which is what stood in the JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return None
    return money if money.is_finite() and money >= 0 else None


def _model_in(opening: str) -> str | None:
    """The model Anthropic names in its first event, which LiteLLM does not pass on."""
    try:
        message = json.loads(opening).get("message") if opening else None
    except (ValueError, AttributeError):
        return None
    model = message.get("model") if isinstance(message, dict) else None
    return model if isinstance(model, str) else None
