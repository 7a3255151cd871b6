"""What the loopback server is asked to do, what it saw, and what it sends: values shared by server and wires."""

from __future__ import annotations

import hashlib
import json
import math
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["openai", "openrouter", "anthropic", "ollama"]


class Tokens(NamedTuple):
    """Token counts a wire reports in its own words. `input` includes the cached ones and those written to the cache."""

    input: int = 11
    output: int = 7
    cached: int = 0
    reasoning: int = 0
    cache_write: int = 0


USUAL_TOKENS = Tokens()


@dataclass(frozen=True)
class Answer:
    """One answer of the server. The default echoes the last user message, well behaved.

    `text` None echoes. `piece` is the length of a streamed piece in characters. A `status` other than 200 sends an
    error in the provider's own form, from `code` and `message`; `body` replaces whatever would be sent. Delays are in
    seconds: `delay` before the status line, `piece_delay` before every piece. With `hang` nothing is ever answered,
    with `reset` the connection is reset in place of an answer, and after `stall_after` pieces nothing more comes. After
    `cut_after` pieces the connection breaks (`cut`: a plain close in mid-answer, or a reset), or, where
    `stream_error` is given, the wire's own error event is sent there. `finish` None leaves the finish reason out,
    `usage` None the usage, `end` False what ends a stream. `frames` are bytes sent as they stand in place of the
    stream. `cost` is USD, which OpenRouter alone reports.
    """

    text: str | None = None
    piece: int = 4
    thinking: str = ""
    status: int = 200
    code: str = "server_error"
    message: str = "something went wrong"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0
    piece_delay: float = 0.0
    hang: bool = False
    reset: bool = False
    stall_after: int | None = None
    cut_after: int | None = None
    cut: Literal["close", "reset"] = "close"
    stream_error: str | None = None
    finish: str | None = "stop"
    usage: Tokens | None = USUAL_TOKENS
    end: bool = True
    model: str | None = None
    cost: str | None = "0.00012345"
    frames: tuple[bytes, ...] | None = None
    dimension: int = 8


@dataclass
class Seen:
    """One request as it arrived. `raw` is its body, `hung_up` is set when the client left before the answer ended."""

    kind: Kind | None
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes
    connection: int
    hung_up: threading.Event = field(default_factory=threading.Event)

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Frame(NamedTuple):
    """Bytes of a streamed answer. `piece` says whether they carry text: cuts and delays count those."""

    data: bytes
    piece: bool = False


class Outcome(NamedTuple):
    """What a wire made of a request: frames to stream, or one body."""

    status: int = 200
    content_type: str = "application/json"
    body: bytes = b""
    frames: tuple[Frame, ...] | None = None


def as_json(value: Any, status: int = 200) -> Outcome:
    return Outcome(status, body=json.dumps(value, ensure_ascii=False).encode())


def pieces(text: str, length: int) -> list[str]:
    return [text[i : i + length] for i in range(0, len(text), length)]


def vector(text: str, dimension: int) -> list[float]:
    """A unit vector that depends on the text alone."""
    raw = hashlib.shake_256(text.encode()).digest(dimension)
    norm = math.sqrt(sum(byte * byte for byte in raw)) or 1.0
    return [byte / norm for byte in raw]


def last_user_text(messages: list[Any]) -> str:
    """Text of the last user message in the form of any of the four wires."""
    content = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")
