"""A prompt in any form users have it, as messages: a text, or a list in the form of OpenAI's or Anthropic's API."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..errors import InvalidInput
from .content import Audio, Image, Message, Part, Role, Text
from .vision import image_of_block, load_image, split_data_uris

__all__ = ["parse_messages"]

_ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_TEXT_KINDS = ("text", "input_text", "output_text")
_IMAGE_KINDS = ("image_url", "input_image", "image")
_FORM = 'Give a text, or a list of messages: [{"role": "user", "content": "..."}].'


def parse_messages(
    prompt: str | Sequence[Message | Mapping[str, Any]], images: Iterable[Any] = (), system: str | None = None
) -> tuple[Message, ...]:
    """Messages of `prompt`, with `system` before them and `images` at the end of the last user message.

    Images standing in the user's own messages as content parts or base64 data URIs become image parts; a URL in prose
    is text. Raises `InvalidInput`.
    """
    messages = [_text_message(prompt)] if isinstance(prompt, str) else _list(prompt)
    if images is None or isinstance(images, (str, bytes, Mapping)) or not isinstance(images, Iterable):
        raise InvalidInput(f"images is a {type(images).__name__}, not a list.", hint="Write images=[picture].")
    pictures = tuple(load_image(image) for image in images)
    if pictures:
        last = max((i for i, m in enumerate(messages) if m.role == "user"), default=None)
        if last is None:
            raise InvalidInput("There is no user message to put the images in.", hint=_FORM)
        messages[last] = Message("user", messages[last].parts + pictures)
    if not any(part for message in messages if message.role != "system" for part in _filled(message)):
        raise InvalidInput("The prompt is empty.", hint="Write a question.")
    if system is not None:
        if not isinstance(system, str):
            raise InvalidInput(f"system is a {type(system).__name__}, not a text.")
        messages.insert(0, Message("system", (Text(system),)))
    return tuple(messages)


def _filled(message: Message) -> list[Part]:
    return [part for part in message.parts if not isinstance(part, Text) or part.text.strip()]


def _text_message(text: str) -> Message:
    return Message("user", split_data_uris(text) if "data:image/" in text else (Text(text),))


def _list(prompt: Any) -> list[Message]:
    if not isinstance(prompt, Sequence) or isinstance(prompt, (bytes, bytearray)):
        raise InvalidInput(f"The prompt is a {type(prompt).__name__}.", hint=_FORM)
    return [m if isinstance(m, Message) else _message(m, index) for index, m in enumerate(prompt)]


def _message(value: Any, index: int) -> Message:
    if not isinstance(value, Mapping):
        raise InvalidInput(f"Message {index} is a {type(value).__name__}, not a mapping.", hint=_FORM)
    role = value.get("role")
    if role not in _ROLES:
        raise InvalidInput(f"Message {index} has the role {role!r}.", hint=f"Roles are {', '.join(_ROLES)}.")
    content = value.get("content")
    if isinstance(content, str):
        return _text_message(content) if role == "user" else Message(_ROLES[role], (Text(content),))
    if not isinstance(content, Sequence) or isinstance(content, (bytes, bytearray)):
        raise InvalidInput(f"Message {index} has a content of {type(content).__name__}.", hint=_FORM)
    parts = [part for number, block in enumerate(content) for part in _parts(block, role, f"{index}, part {number}")]
    return Message(_ROLES[role], tuple(parts))


def _parts(block: Any, role: str, where: str) -> tuple[Part, ...]:
    if isinstance(block, (Text, Image, Audio)):
        return (block,)
    if isinstance(block, str):
        return (Text(block),)
    if not isinstance(block, Mapping):
        raise InvalidInput(f"Message {where} is a {type(block).__name__}, not a content part.", hint=_FORM)
    kind = block.get("type")
    if kind in _TEXT_KINDS and isinstance(block.get("text"), str):
        return _text_message(block["text"]).parts if role == "user" else (Text(block["text"]),)
    if kind in _IMAGE_KINDS:
        return (image_of_block(block),)
    if kind == "input_audio" and isinstance(block.get("input_audio"), Mapping):
        audio = block["input_audio"]
        try:
            sound = base64.b64decode(str(audio.get("data", "")), validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(f"The audio in message {where} is not valid base64: {error}.") from None
        return (Audio(str(audio.get("format", "wav")), sound),)
    raise InvalidInput(
        f"Message {where} is of the type {kind!r}, which is not understood.",
        hint=f"Types are {', '.join((*_TEXT_KINDS, *_IMAGE_KINDS, 'input_audio'))}.",
    )
