"""What identifies a request: all that its caller said and that can change the answer, and nothing else.

How an answer is shown (streamed or not), the name of a conversation and every id are left out, because two runs of one
notebook differ in them. Equal requests have equal keys on any machine: keys are hashes of canonical JSON.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from numbers import Integral, Real
from typing import Any, Literal, cast

from ..core.content import Audio, Image, Message, Part, Text
from ..errors import InvalidInput

__all__ = ["OPTIONS", "Operation", "Rendered", "difference", "redacted", "render", "summary"]

Operation = Literal["chat", "embed"]

# An option that is None, or has the value given here, is left out: a later version may add options without changing
# the key of any request that does not use them.
OPTIONS: Mapping[str, Any] = {
    "task": None,
    "model": None,
    "preferred_model": None,
    "policy": None,
    "require_vision": None,
    "temperature": None,
    "max_tokens": None,
    "context_size": None,
    "seed": None,
    "schema": None,
    "params": {},
    "max_cost": None,
    "local_only": False,
    "memory": None,
    "memory_exclude": [],
}

_CONTENT = ("messages", "texts")
_EXCERPT = 60


@dataclass(frozen=True)
class Rendered:
    """A request as plain JSON values. Images and audio stand in it by hash, format and size, never by their bytes."""

    operation: Operation
    fields: Mapping[str, Any]

    @cached_property
    def key(self) -> str:
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def to_json(self) -> dict[str, Any]:
        """The operation and its content first, then the options in alphabetical order."""
        first = [name for name in _CONTENT if name in self.fields]
        rest = sorted(self.fields.keys() - set(first))
        return {"operation": self.operation, **{name: self.fields[name] for name in (*first, *rest)}}


def render(operation: Operation, content: Sequence[Message] | Sequence[str], options: Mapping[str, Any]) -> Rendered:
    """The request for `content` (messages of a chat, or texts to embed) under `options`, named as in `OPTIONS`.

    Raises `InvalidInput` for an option that is not known here, since a recording must not be played for a request that
    it does not answer, and for a value that JSON cannot hold.
    """
    if unknown := sorted(options.keys() - OPTIONS.keys()):
        raise InvalidInput(f"a cassette does not know the option {unknown[0]!r}")
    plain = {name: _plain(value, name) for name, value in options.items() if value is not None}
    given = {name: value for name, value in plain.items() if value != OPTIONS[name]}
    if operation == "chat":
        return Rendered(operation, {"messages": [_message(m) for m in cast(Sequence[Message], content)], **given})
    return Rendered(operation, {"texts": list(content), **given})


def difference(recorded: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first thing in which two requests (as `Rendered.to_json()`) differ, in words; None when they are equal."""
    for name in dict.fromkeys((*recorded, *now)):
        if recorded.get(name) == now.get(name):
            continue
        if name in _CONTENT and name in recorded and name in now:
            return _content_difference(name, recorded[name], now[name])
        was, is_now = (_said(fields[name]) if name in fields else "not given" for fields in (recorded, now))
        return f"{name} (recorded: {was}; now: {is_now})"
    return None


def summary(request: Mapping[str, Any]) -> str:
    """The beginning of the last message or text, quoted and on one line."""
    content = next((request[name] for name in _CONTENT if request.get(name)), None)
    if not content:
        return "an empty request"
    text = _words(content[-1])
    return repr(text[:_EXCERPT]) + ("..." if len(text) > _EXCERPT else "")


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """`value` with every string in it passed through `redact`, the keys of mappings included."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {redact(k): redacted(v, redact) for k, v in value.items()}
        case list() | tuple():
            return [redacted(v, redact) for v in value]
        case _:
            return value


def _plain(value: Any, where: str) -> Any:
    """`value` as JSON, equal for equal values: 1 and 1.0 are one temperature, 0.10 and 0.1 one limit."""
    match value:
        case None | bool() | str():
            return value
        case Integral():
            return int(value)
        case Real() if math.isfinite(value):
            number = float(value)
            return int(number) if number.is_integer() else number
        case Decimal() if value.is_finite():
            return str(value.normalize())
        case bytes():
            return {"sha256": hashlib.sha256(value).hexdigest(), "size": len(value)}
        case Mapping():
            if strange := next((key for key in value if not isinstance(key, str)), None):
                raise InvalidInput(f"{where}: the name {strange!r} is no text, so the request cannot be recorded")
            return {key: _plain(v, f"{where}.{key}") for key, v in sorted(value.items())}
        case list() | tuple():
            return [_plain(v, f"{where}[{i}]") for i, v in enumerate(value)]
        case _:
            raise InvalidInput(
                f"{where}: a value of type {type(value).__name__} cannot stand in a cassette",
                hint="Give numbers that are finite, text, lists and mappings.",
            )


def _message(message: Message) -> dict[str, Any]:
    if len(message.parts) == 1 and isinstance(message.parts[0], Text):
        return {"role": message.role, "text": message.parts[0].text}
    return {"role": message.role, "parts": [_part(part) for part in message.parts]}


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"text": text}
        case Image(format=kind, url=str(url), data=None):
            return {"image": kind, "url": url}
        case Image(format=kind, data=data):
            return {"image": kind, "sha256": part.sha256, "size": len(data or b"")}
        case Audio(format=kind, data=data):
            return {"audio": kind, "sha256": part.sha256, "size": len(data)}


def _words(item: Any) -> str:
    """The text of one message or text as it stands in a file, which may hold anything."""
    if not isinstance(item, Mapping):
        return str(item)
    if "text" in item:
        return str(item["text"])
    parts = item.get("parts")
    texts = [str(p["text"]) for p in parts if isinstance(p, Mapping) and "text" in p] if isinstance(parts, list) else []
    return " ".join(texts)


def _said(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= _EXCERPT else text[:_EXCERPT] + "..."


def _content_difference(name: str, recorded: Any, now: Any) -> str:
    one = name.removesuffix("s")
    if not (isinstance(recorded, list) and isinstance(now, list)):
        return f"{name} (recorded: {_said(recorded)}; now: {_said(now)})"
    for number, (was, is_now) in enumerate(zip(recorded, now, strict=False), 1):
        if was == is_now:
            continue
        roles = [m["role"] for m in (was, is_now) if isinstance(m, Mapping) and "role" in m]
        if len(set(roles)) == 2:
            return f"the role of message {number} (recorded: {roles[0]}; now: {roles[1]})"
        before, after = _words(was), _words(is_now)
        where = f"{one} {number}" + (f" ({roles[0]})" if roles else "")
        if before == after:
            return f"an image or another part of {where}"
        at = next(
            (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after))
        )
        start = max(0, at - 15)
        was_there, is_there = (repr(text[start : at + 25]) for text in (before, after))
        return f"{where}, character {at + 1} (recorded: {was_there}; now: {is_there})"
    return f"the number of {name} (recorded: {len(recorded)}; now: {len(now)})"
