"""What is known of a kind of provider before any is configured, and without importing what speaks to it."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BUILT_IN", "ProviderType"]


@dataclass(frozen=True, slots=True)
class ProviderType:
    """`hosts` are the type's own: a project's file may name them without being trusted.

    `key_variable` is the environment variable its key customarily stands in. `local` says that data stays on this
    machine unless the configuration says otherwise, `free` that calls cost nothing.
    """

    name: str
    key_variable: str | None = None
    needs_key: bool = False
    hosts: tuple[str, ...] = ()
    default_base_url: str | None = None
    local: bool = False
    free: bool = False
    image_urls: bool = False


BUILT_IN: dict[str, ProviderType] = {
    t.name: t
    for t in (
        ProviderType("ollama", default_base_url="http://localhost:11434", local=True, free=True),
        ProviderType("openai", "OPENAI_API_KEY", needs_key=True, hosts=("api.openai.com",), image_urls=True),
        ProviderType("anthropic", "ANTHROPIC_API_KEY", needs_key=True, hosts=("api.anthropic.com",), image_urls=True),
        ProviderType("openrouter", "OPENROUTER_API_KEY", needs_key=True, hosts=("openrouter.ai",), image_urls=True),
        ProviderType("litellm", image_urls=True),
        ProviderType("local", local=True, free=True),
        ProviderType("scripted", local=True, free=True, image_urls=True),
    )
}
