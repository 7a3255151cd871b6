"""A `ChatCall` in the words of LiteLLM: messages, and the parameters this model of this provider knows."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...core.content import Audio, Image, Message, Part, Text
from ...core.wire import ChatCall
from ...errors import BadRequest
from .dialects import CONTROL, Dialect

__all__ = ["Rendered", "check_text", "render_messages", "render_params"]


class Rendered(NamedTuple):
    """Keyword arguments for LiteLLM, and the names of the parameters that were left out, as the user wrote them."""

    arguments: dict[str, Any]
    left_out: tuple[str, ...]


def render_messages(messages: tuple[Message, ...], dialect: Dialect) -> list[dict[str, Any]]:
    """OpenAI's form, which LiteLLM translates. Raises `BadRequest` for a part the provider has no form for."""
    return [{"role": m.role, "content": _content(m, dialect)} for m in messages]


def _content(message: Message, dialect: Dialect) -> str | list[dict[str, Any]]:
    check_text(message.text)
    if all(isinstance(part, Text) for part in message.parts):
        return message.text
    return [_part(part, dialect) for part in message.parts]


def _part(part: Part, dialect: Dialect) -> dict[str, Any]:
    match part:
        case Text(text):
            return {"type": "text", "text": text}
        case Image():
            return {"type": "image_url", "image_url": {"url": _image_url(part, dialect)}}
        case Audio(format_, data):
            if not dialect.audio:
                raise BadRequest(f"{dialect.name} takes no audio", hint="Choose a model with supports_audio: true.")
            return {"type": "input_audio", "input_audio": {"data": _base64(data), "format": format_}}


def _image_url(image: Image, dialect: Dialect) -> str:
    if image.data is not None:
        # There is no media type image/jpg.
        format_ = "jpeg" if image.format == "jpg" else image.format
        return f"data:image/{format_};base64,{_base64(image.data)}"
    url = image.url or ""
    if not dialect.image_urls:
        raise BadRequest(f"{dialect.name} fetches no images by address", hint="Pass the image as a file or as bytes.")
    if dialect.name == "anthropic" and not url.startswith("https://"):
        # LiteLLM would download it here, from the user's machine.
        raise BadRequest("anthropic fetches images by https alone", hint="Pass the image as a file or as bytes.")
    return url


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def check_text(text: str) -> None:
    """Raise `BadRequest` for half a surrogate pair, before one of the clients below stumbles over it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        where = f"character {error.start + 1}"
        raise BadRequest(f"the text holds half a surrogate pair ({where}), which cannot be sent") from None


def render_params(call: ChatCall, known: frozenset[str], dialect: Dialect, *, own_host: bool) -> Rendered:
    """What of `call` goes to a provider whose model knows the OpenAI parameters `known`.

    At a host that is not the provider's own any further parameter is passed on, for who set it knows that server; and
    so it is for a provider that LiteLLM alone knows. Raises `BadRequest` for a value that has no JSON form.
    """
    arguments: dict[str, Any] = {}
    body: dict[str, Any] = {}
    left_out: list[str] = []
    for name, (as_written, value) in _wanted(call).items():
        if name in CONTROL or name in dialect.refused:
            left_out.append(as_written)
        elif name in known and name not in dialect.own_params:
            arguments[name] = value
        elif name in dialect.own_params or dialect.takes_anything or (not own_host and dialect.extras == "body"):
            (body if dialect.extras == "body" else arguments)[name] = value
        else:
            left_out.append(as_written)
    if body:
        arguments["extra_body"] = body
    try:
        json.dumps(arguments, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadRequest(f"a parameter has no JSON form: {error}") from error
    return Rendered(arguments, tuple(sorted(left_out)))


def _wanted(call: ChatCall) -> dict[str, tuple[str, Any]]:
    """Parameters by LiteLLM's name, each with the name the user knows. What has a field of its own wins."""
    wanted = {name: (name, value) for name, value in call.params.items() if value is not None}
    for name in ("temperature", "max_tokens", "seed"):
        if (value := getattr(call, name)) is not None:
            wanted[name] = (name, value)
    if call.schema is not None:
        wanted["response_format"] = ("schema", _response_format(call.schema))
    if "max_tokens" in wanted:
        # Two names of one limit; LiteLLM chooses the one the model takes.
        wanted.pop("max_completion_tokens", None)
    return wanted


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    plain = dict(schema)
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": plain, "strict": _is_strict(plain)}}


def _is_strict(schema: Any) -> bool:
    """Whether OpenAI would take it with `strict`: every object closed, every property required."""
    if isinstance(schema, list):
        return all(_is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties or {}):
            return False
    return all(_is_strict(value) for value in schema.values())
