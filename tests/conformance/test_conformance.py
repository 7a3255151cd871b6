"""Every provider that is built in, and the example of one that is not, passes the same suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from sekha_magics.core.wire import Endpoint, Secret
from sekha_magics.providers import create
from tests.conformance.example_plugin import ShoutingProvider
from tests.conformance.suite import ProviderConformance, Stage
from tests.local_model import place_model
from tests.upstream.answers import Kind
from tests.upstream.asking import EMBEDDING_MODEL, MODEL
from tests.upstream.server import Upstream

KEY = "sk-recognisable-0123456789"


def as_written(text: str) -> str:
    return text


def wired(upstream: Upstream, kind: Kind, *, through: str | None = None) -> Stage:
    """A provider at the loopback server, by its own type or by the type `litellm`."""
    upstream.accept(kind, KEY)
    prefix = f"{kind}/" if through else ""
    where = {"type": through or kind, "base_url": upstream.url(kind), "timeout": 20}
    embedding = EMBEDDING_MODEL.get(kind)
    return Stage(
        build=lambda: create(Endpoint("wired", api_key=Secret(KEY), **where)),
        model=prefix + MODEL[kind],
        embedding_model=embedding and prefix + embedding,
        refusing=lambda: create(Endpoint("wired", api_key=Secret(f"not-{KEY}"), **where)),
        says=as_written,
        key=KEY,
    )


class TestOpenAI(ProviderConformance):
    @pytest.fixture
    def stage(self, upstream: Upstream) -> Stage:
        return wired(upstream, "openai")


class TestOpenRouter(ProviderConformance):
    @pytest.fixture
    def stage(self, upstream: Upstream) -> Stage:
        return wired(upstream, "openrouter")


class TestAnthropic(ProviderConformance):
    @pytest.fixture
    def stage(self, upstream: Upstream) -> Stage:
        return wired(upstream, "anthropic")


class TestOllama(ProviderConformance):
    @pytest.fixture
    def stage(self, upstream: Upstream) -> Stage:
        return wired(upstream, "ollama")


@pytest.mark.parametrize("kind", ["openai", "openrouter", "anthropic", "ollama"])
class TestThroughLiteLLM(ProviderConformance):
    @pytest.fixture
    def stage(self, upstream: Upstream, kind: Kind) -> Stage:
        return wired(upstream, kind, through="litellm")


class TestLiteLLMAlone(ProviderConformance):
    """A provider whose connections are LiteLLM's own; with them go the lines that hold U+2028, which it drops."""

    @pytest.fixture
    def stage(self, upstream: Upstream) -> Stage:
        upstream.accept("openai", KEY)
        base = upstream.url("openai")
        return Stage(
            build=lambda: create(Endpoint("other", "litellm", base, Secret(KEY), 20)),
            model="deepseek/deepseek-chat",
            refusing=lambda: create(Endpoint("other", "litellm", base, Secret(f"not-{KEY}"), 20)),
            key=KEY,
        )


class TestScripted(ProviderConformance):
    @pytest.fixture
    def stage(self) -> Stage:
        return Stage(
            build=lambda: create(Endpoint("stage", "scripted", api_key=Secret(KEY))),
            model="any",
            embedding_model="any",
            refusing=lambda: create(Endpoint("stage", "scripted", options={"fail": {"status": 503}})),
            says=as_written,
            key=KEY,
        )


class TestTheExampleOfAPlugin(ProviderConformance):
    @pytest.fixture
    def stage(self) -> Stage:
        return Stage(
            build=lambda: ShoutingProvider(Endpoint("loud", "shouting", api_key=Secret("loud-key"))),
            model="hall",
            embedding_model="hall",
            refusing=lambda: ShoutingProvider(Endpoint("loud", "shouting", api_key=Secret(KEY))),
            says=str.upper,
            key=KEY,
        )


@pytest.mark.model
class TestLocal(ProviderConformance):
    @pytest.fixture
    def stage(self, own_directories: Path) -> Stage:
        place_model(own_directories)
        return Stage(
            build=lambda: create(Endpoint("here", "local")),
            model="smollm2-135m-instruct",
            embedding_model="wordllama-256",
            refusing=lambda: create(Endpoint("here", "local", options={"path": str(own_directories / "none.gguf")})),
            max_tokens=12,
        )
