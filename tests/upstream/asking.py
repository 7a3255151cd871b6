"""Asking a provider from a test that is not asynchronous."""

from __future__ import annotations

from typing import Any, NamedTuple

from sekha_magics.core.content import Message, Part, Role, Text
from sekha_magics.core.wire import ChatCall, EmbedCall, Embedded, Endpoint, Finish, Secret
from sekha_magics.providers import create
from sekha_magics.providers.base import Provider
from tests.conformance.suite import items_of, run

from .answers import Kind
from .server import Upstream

MODEL: dict[Kind, str] = {
    "openai": "gpt-4o-mini",
    "openrouter": "anthropic/claude-haiku-4.5",
    "anthropic": "claude-haiku-4-5",
    "ollama": "llama3.1:8b",
}
EMBEDDING_MODEL: dict[Kind, str] = {
    "openai": "text-embedding-3-small",
    "openrouter": "openai/text-embedding-3-small",
    "ollama": "nomic-embed-text",
}


class Said(NamedTuple):
    """A whole answer: what came before the end, and the end."""

    pieces: tuple[str, ...]
    finish: Finish

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def endpoint(upstream: Upstream, kind: Kind, **more: Any) -> Endpoint:
    """An endpoint at the loopback server, with a recognisable key where the provider wants one."""
    key = None if kind == "ollama" else Secret(f"sk-{kind}-0123456789")
    given = {"provider_id": f"{kind}_one", "type": kind, "base_url": upstream.url(kind), "api_key": key, "timeout": 10}
    return Endpoint(**{**given, **more})


def message(text: str, *parts: Part, role: Role = "user") -> Message:
    return Message(role, (Text(text), *parts))


def chat_call(kind: Kind, text: str = "hello", **more: Any) -> ChatCall:
    return ChatCall(**{"model_id": MODEL[kind], "messages": (message(text),), **more})


async def gather(provider: Provider, call: ChatCall) -> Said:
    *pieces, finish = await items_of(provider, call)
    assert isinstance(finish, Finish)
    assert all(isinstance(piece, str) for piece in pieces)
    return Said(tuple(str(piece) for piece in pieces), finish)


def ask(where: Endpoint | Provider, call: ChatCall) -> Said:
    provider = where if isinstance(where, Provider) else create(where)
    return run(provider, lambda p: gather(p, call))


def embed(where: Endpoint, call: EmbedCall) -> Embedded:
    return run(create(where), lambda p: p.embed(call))
