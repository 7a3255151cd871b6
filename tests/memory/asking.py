"""A registry whose chat model is the loopback server, with a memory that embeds nothing."""

from __future__ import annotations

from typing import Any

from sekha_magics import Registry
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

MODEL = "gpt-4o-mini"


def at(address: str, window: int | None = None, **more: Any) -> Registry:
    model = {
        "model_id": MODEL,
        "tasks": ["chat_small"],
        "price": {"input": 1, "output": 2},
        **({} if window is None else {"context_window": window}),
    }
    provider = {"id": "far", "type": "openai", "base_url": address, "api_key": "sk-recognisably-1", "models": [model]}
    return Registry.from_dict({"llm_providers": [provider], **more})


def sent(upstream: Upstream, number: int = -1) -> tuple[str, str]:
    """The system's and the user's message of a request."""
    system, user = upstream.requests[number].body["messages"]
    assert (system["role"], user["role"]) == ("system", "user")
    return system["content"], user["content"]


def material(user: str) -> list[str]:
    """The lines of a question that are quoted, without their marks."""
    return [line.removeprefix("> ") for line in user.splitlines() if line.startswith("> ")]


def says(text: str) -> Answer:
    return Answer(text=text)
