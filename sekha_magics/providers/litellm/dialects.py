"""How each kind of provider is spoken to through LiteLLM: route, addresses, where the key goes, what it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["CONTROL", "DIALECTS", "Dialect", "dialect_of"]

# Parameters that steer the call instead of the model: they belong to the configuration, or have a place of their own.
CONTROL = frozenset({
    "api_base", "api_key", "api_version", "base_url", "client", "custom_llm_provider", "deployment_id", "extra_body",
    "extra_headers", "fallbacks", "headers", "input", "max_retries", "messages", "model", "model_list", "n",
    "num_retries", "organization", "shared_session", "stream", "stream_options", "timeout",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire format. `route` is LiteLLM's name for it, `home` the address used when none is configured.

    `own_params` are parameters beyond OpenAI's that the provider documents, `refused` those LiteLLM would turn into
    something else on the way. `extras` says how they travel: in the body as they are, or by LiteLLM's own rules.
    `on_wire` is False for the providers whose connections are LiteLLM's own.
    """

    name: str
    route: str
    home: str
    key_header: Literal["authorization", "x-api-key"] = "authorization"
    chat_path: str = ""
    extras: Literal["body", "litellm"] = "body"
    own_params: frozenset[str] = frozenset()
    refused: frozenset[str] = frozenset()
    image_urls: bool = True
    audio: bool = True
    headers: tuple[tuple[str, str], ...] = ()
    on_wire: bool = True
    takes_anything: bool = False

    def address(self, base_url: str | None) -> str:
        """The base of every request, without a slash at its end."""
        return (base_url or self.home).rstrip("/")

    def chat_base(self, base_url: str | None) -> str:
        """What LiteLLM is told as `api_base`: for some routes the whole address, so that it adds nothing."""
        address = self.address(base_url)
        if not self.chat_path or address.endswith(self.chat_path):
            return address
        # Both `https://host` and `https://host/v1` are common ways to write the same.
        return address.removesuffix("/v1") + self.chat_path


_OPENAI = Dialect(
    "openai",
    route="openai",
    home="https://api.openai.com/v1",
    # https://platform.openai.com/docs/api-reference/chat/create, as of 2026-11
    own_params=frozenset({
        "metadata", "prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store",
        "verbosity",
    }),
)  # fmt: skip
_OPENROUTER = Dialect(
    "openrouter",
    route="openrouter",
    home="https://openrouter.ai/api/v1",
    # https://openrouter.ai/docs/api-reference/parameters, as of 2026-11
    own_params=frozenset({
        "include_reasoning", "min_p", "models", "plugins", "prediction", "provider", "reasoning", "repetition_penalty",
        "route", "session_id", "top_a", "top_k", "transforms", "user", "verbosity", "web_search_options",
    }),
    headers=(("x-title", "sekha_magics"),),
)  # fmt: skip
_ANTHROPIC = Dialect(
    "anthropic",
    route="anthropic",
    home="https://api.anthropic.com",
    key_header="x-api-key",
    chat_path="/v1/messages",
    extras="litellm",
    own_params=frozenset({"service_tier", "stop_sequences", "top_k"}),
    audio=False,
)
_OLLAMA = Dialect(
    "ollama",
    route="ollama_chat",
    home="http://localhost:11434",
    chat_path="/api/chat",
    extras="litellm",
    # https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx#parameter, as of 2026-11
    own_params=frozenset({
        "keep_alive", "main_gpu", "min_p", "mirostat", "mirostat_eta", "mirostat_tau", "num_batch", "num_ctx",
        "num_gpu", "num_keep", "num_predict", "num_thread", "penalize_newline", "repeat_last_n", "repeat_penalty",
        "think", "top_k", "typical_p", "use_mmap",
    }),
    # LiteLLM sends it as `repeat_penalty`, where 0 means something else.
    refused=frozenset({"frequency_penalty"}),
    image_urls=False,
    audio=False,
)  # fmt: skip

DIALECTS = {d.name: d for d in (_OPENAI, _OPENROUTER, _ANTHROPIC, _OLLAMA)}
_BY_ROUTE = {**DIALECTS, "ollama_chat": _OLLAMA}


def dialect_of(route: str, internal: frozenset[str]) -> Dialect:
    """The dialect behind one of LiteLLM's provider names; for those it alone speaks, one that leaves all to it.

    `internal` are the parameters LiteLLM keeps for itself.
    """
    known = _BY_ROUTE.get(route)
    if known is not None:
        return known
    return Dialect(route, route=route, home="", extras="litellm", refused=internal, on_wire=False, takes_anything=True)
