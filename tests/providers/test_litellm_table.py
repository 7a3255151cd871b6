"""What is known of models without asking anybody."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sekha_magics.providers.litellm.table import limits


@pytest.mark.parametrize(
    ("type_", "model"),
    [
        ("openai", "gpt-4o-mini"),
        ("anthropic", "claude-haiku-4-5"),
        ("openrouter", "anthropic/claude-haiku-4.5"),
        ("litellm", "groq/llama-3.1-8b-instant"),
    ],
)
def test_a_known_model_has_a_window(type_: str, model: str) -> None:
    known = limits(type_, model)
    assert known is not None
    assert known.context_window is not None
    assert known.context_window > 100_000
    assert known.max_output_tokens is not None
    assert known.supports_function_calling


def test_abilities_and_the_length_of_vectors_are_told() -> None:
    vision, plain = limits("openai", "gpt-4o-mini"), limits("openai", "gpt-3.5-turbo")
    assert vision is not None
    assert plain is not None
    assert (vision.supports_vision, plain.supports_vision) == (True, False)
    embedding = limits("openai", "text-embedding-3-small")
    assert embedding is not None
    assert (embedding.mode, embedding.dimension) == ("embedding", 1536)


@pytest.mark.parametrize(
    ("type_", "model"),
    [
        ("openai", "gpt-4o-mini-of-my-own"),
        ("openai", "gpt-4"[:3]),
        ("openai", "claude-haiku-4-5"),
        ("anthropic", "gpt-4o-mini"),
        ("openrouter", "gpt-4o-mini"),
        ("ollama", "llama3.1:8b"),
        ("scripted", "gpt-4o-mini"),
        ("openai", ""),
        ("litellm", "sample_spec"),
        ("openai", "sample_spec"),
    ],
)
def test_nothing_is_guessed_from_a_similar_name(type_: str, model: str) -> None:
    assert limits(type_, model) is None


def test_looking_up_does_not_import_litellm() -> None:
    code = (
        "import sys; from sekha_magics.providers.litellm.table import limits;"
        "print(limits('openai', 'gpt-4o') is not None, 'litellm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["True", "False"]
