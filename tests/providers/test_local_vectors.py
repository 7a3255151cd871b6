"""The embedded model's embeddings."""

from __future__ import annotations

import logging
import subprocess
import sys

import anyio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics.core.wire import EmbedCall, Embedded, Endpoint
from sekha_magics.errors import BadRequest, ModelNotFound
from sekha_magics.providers.local.provider import EMBEDDING_MODEL, LocalProvider

pytest.importorskip("wordllama")


def embed(*texts: str, model: str = EMBEDDING_MODEL, dimension: int | None = None) -> Embedded:
    provider = LocalProvider(Endpoint("local", "local"))
    return anyio.run(provider.embed, EmbedCall(model, texts, dimension))


def test_vectors_are_float32_rows_of_unit_length_in_the_order_of_the_texts() -> None:
    texts = ["a cat", "quarterly revenue of the bank", "a kitten", "x"]
    vectors = embed(*texts).vectors
    assert vectors.dtype == np.float32 and vectors.shape == (4, 256)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.vstack([embed(text).vectors for text in texts])
    assert np.allclose(vectors, alone, atol=1e-5)


def test_what_is_alike_in_meaning_is_near() -> None:
    cat, kitten, revenue = embed("a cat", "a kitten", "quarterly revenue of the bank").vectors
    assert cat @ kitten > cat @ revenue + 0.2


def test_no_texts_give_no_rows() -> None:
    assert embed().vectors.shape == (0, 256)


def test_a_text_without_tokens_is_the_zero_vector_and_not_a_nan() -> None:
    vectors = embed("", "word").vectors
    assert not vectors[0].any() and np.isfinite(vectors).all()


def test_a_long_text_among_short_ones_is_embedded_with_them() -> None:
    result = embed(*["short"] * 70, "long words " * 50_000)
    assert np.allclose(result.vectors[0], result.vectors[69]) and np.isfinite(result.vectors).all()
    assert result.usage is not None and result.usage.input_tokens > 100_000


def test_tokens_are_counted() -> None:
    one, two = embed("the cat sat").usage, embed("the cat sat", "the cat sat").usage
    assert one is not None and two is not None
    assert two.input_tokens == 2 * one.input_tokens > 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=60), max_size=6))
def test_any_text_has_a_finite_vector(texts: list[str]) -> None:
    vectors = embed(*texts).vectors
    assert vectors.shape == (len(texts), 256) and np.isfinite(vectors).all()


def test_a_text_that_is_no_text_is_a_bad_request_that_names_provider_and_model() -> None:
    with pytest.raises(BadRequest) as caught:
        embed("\ud800")
    assert (caught.value.provider_id, caught.value.model_id) == ("local", EMBEDDING_MODEL)


def test_another_dimension_or_model_is_refused() -> None:
    with pytest.raises(BadRequest, match="256"):
        embed("a", dimension=64)
    assert embed("a", dimension=256).vectors.shape == (1, 256)
    with pytest.raises(ModelNotFound, match="bert"):
        embed("a", model="bert")


def test_loading_the_table_leaves_the_users_logging_alone() -> None:
    script = (
        "import logging, sekha_magics.providers.local.vectors as v; v.embed(['a']);"
        "root = logging.getLogger(); print(root.handlers, root.level)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"[] {logging.WARNING}"
