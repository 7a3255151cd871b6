"""What people and models say to each other: text, images and audio, in messages."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

__all__ = ["Audio", "Image", "Message", "Part", "Role", "Text"]

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Text:
    text: str


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its bytes, or by an address the provider fetches. `format` is `png`, `jpeg`, `gif`, `webp`, ...

    `origin` says where it came from, for error messages ("plot.png", "figure `fig`").
    """

    format: str
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None
    origin: str = field(default="", compare=False)

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data if self.data is not None else (self.url or "").encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Audio:
    format: str
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


Part = Text | Image | Audio


@dataclass(frozen=True, slots=True)
class Message:
    role: Role
    parts: tuple[Part, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def images(self) -> tuple[Image, ...]:
        return tuple(part for part in self.parts if isinstance(part, Image))
