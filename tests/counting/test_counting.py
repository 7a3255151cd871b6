"""Counts are those of the families' own tables, of any text, without a network and without a trace."""

from __future__ import annotations

import base64
import os
import random
import subprocess
import sys
from io import BytesIO

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from sekha_magics.core.content import Image, Message, Text
from sekha_magics.core.families import FAMILIES, family_of
from sekha_magics.core.tokens import estimate_messages, estimate_text
from sekha_magics.counting import count_messages, count_texts
from sekha_magics.counting.encodings import count
from sekha_magics.providers.litellm import setup as wire

# Tokens as tiktoken's own `encode_ordinary` gives them.
GOLDEN = [
    ("hello world", 2, 2),
    ("The quick brown fox jumps over the lazy dog.", 10, 10),
    ("def f(x):\n    return x ** 2\n", 11, 11),
    ("你好，世界", 3, 6),
    ("🦆🦆", 6, 6),
    ("1234567890", 4, 4),
]
PROSE = "The village lay in the valley, and nobody who lived there was surprised by what the river brought. " * 30
KINDS = {
    "prose": PROSE,
    "code": "for index, value in enumerate(values):\n    if value > limit:\n        total += value * weights[index]\n"
    * 30,
    "cjk": "这是一个用来测试的中文句子，里面有一些常见的词语。日本語の文章も少しあります。" * 30,
    "emoji": "🦆🚀🎉😀👩‍🔬" * 60,
    "digits": "3.14159 2.71828 1618 42 1000000 " * 60,
    "german": "Die Donaudampfschifffahrtsgesellschaft äußerte sich überraschend fröhlich über größere Aufträge. " * 30,
}
RANDOM = random.Random(1).randbytes(6_000)
KINDS |= {
    "base64": base64.b64encode(RANDOM).decode(),
    "base85": base64.b85encode(RANDOM).decode(),
    "hexadecimal": RANDOM.hex(),
    "letters": "".join(random.Random(2).choices("abcdefghijklmnopqrstuvwxyz", k=6_000)),
    "wrapped base64": base64.encodebytes(RANDOM).decode(),
}
any_text = st.text(st.characters(), max_size=400) | st.text(st.characters(categories=["Cs"]), max_size=20)


@pytest.fixture(scope="module")
def tables() -> dict[str, tiktoken.Encoding]:
    # Importing it makes tiktoken read the tables in its package.
    wire.load()

    return {name: tiktoken.get_encoding(name) for name in ("o200k_base", "cl100k_base")}


@pytest.mark.parametrize(("text", "o200k", "cl100k"), GOLDEN)
def test_a_count_is_that_of_the_familys_table(tables, text, o200k, cl100k):
    for encoding, golden in (("o200k_base", o200k), ("cl100k_base", cl100k)):
        counted = count(encoding, text)
        assert counted is not None
        assert counted.expected == golden == len(tables[encoding].encode_ordinary(text))


@pytest.mark.parametrize("kind", KINDS)
def test_real_counts_lie_within_the_rules_of_thumb(kind):
    thumb = estimate_text(KINDS[kind])
    for encoding in ("o200k_base", "cl100k_base"):
        counted = count(encoding, KINDS[kind])
        assert counted is not None
        assert thumb.low <= counted.expected <= thumb.high


@given(any_text)
def test_any_text_can_be_counted_and_the_range_holds_what_is_expected(text):
    for estimate in (estimate_text(text), count("o200k_base", text), count("cl100k_base", text)):
        assert estimate is not None
        assert 0 <= estimate.low <= estimate.expected <= estimate.high


@given(st.text(max_size=300))
def test_the_true_count_of_a_counted_text_is_in_its_range(tables, text):
    counted = count("o200k_base", text)
    assert counted is not None
    assert counted.low <= len(tables["o200k_base"].encode_ordinary(text)) <= counted.high


def test_special_tokens_in_a_prompt_are_text_like_any_other():
    counted = count("o200k_base", "<|endoftext|>")
    assert counted is not None
    assert counted.expected > 1


@pytest.mark.parametrize("text", ["a" * 1_000_000, "  " * 500_000, PROSE * 1_000, "这是中文" * 250_000])
def test_of_a_huge_text_a_part_is_counted_and_the_range_is_wide(tables, text):
    counted = count("o200k_base", text)
    assert counted is not None
    exact = sum(len(tables["o200k_base"].encode_ordinary(text[i : i + 4_096])) for i in range(0, len(text), 4_096))
    assert counted.low <= exact <= counted.high
    assert counted.expected == pytest.approx(exact, rel=0.1)


def test_a_table_that_is_not_here_is_not_fetched_and_rules_of_thumb_hold():
    # tiktoken knows the first; LiteLLM does not ship it.
    assert count("r50k_base", "hello world") is None
    assert count("no such table", "hello world") is None


def test_counting_imports_no_wire_opens_no_socket_and_leaves_the_environment_alone():
    script = """
import os, socket, sys
def refuse(*_): raise AssertionError("a socket was opened")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
before = dict(os.environ)
from sekha_magics.counting import count_texts
assert not [m for m in sys.modules if m.startswith("tiktoken")], "imported before it is needed"
(_, tokens), = count_texts(["hello world"], {"gpt-4o"})
assert tokens.expected == 2 and dict(os.environ) == before
assert not {"litellm", "requests", "httpx", "duckdb", "pandas", "pydantic"} & sys.modules.keys()
"""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("TIKTOKEN", "COV", "DATA_GYM"))}
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60, env=environment)


# --- families ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("gpt-4o", "gpt-4o"),
        ("gpt-4o-mini-2024-07-18", "gpt-4o-mini"),
        ("openai/gpt-4.1", "gpt-4o"),
        ("gpt-4", "gpt-4"),
        ("gpt-4-0613", "gpt-4"),
        ("gpt-4-turbo", "gpt-4-turbo"),
        ("gpt-5.4", "gpt-5.x"),
        ("ft:gpt-4o-mini:org::id", "gpt-4o-mini"),
        ("o3-mini", "o1"),
        ("anthropic/claude-sonnet-4.5", "claude"),
        ("text-embedding-3-small", "gpt-4"),
        ("llama3.1:8b", ""),
        ("o3x", ""),
        ("", ""),
    ],
)
def test_a_model_belongs_to_its_family_whoever_serves_it(model, family):
    assert family_of(model) == family


def picture(width: int, height: int) -> Message:
    buffer = BytesIO()
    Pillow.new("1", (width, height)).save(buffer, "PNG")
    return Message("user", (Image("png", buffer.getvalue()),))


# The figures of the makers' own examples, without the four tokens around a message.
@pytest.mark.parametrize(
    ("family", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o-mini", (1024, 1024), 25_501),
        ("gpt-5-mini", (1024, 1024), 1_659),
        ("claude", (1000, 1000), 1_334),
        ("claude", (200, 200), 54),
        ("gemini", (300, 300), 258),
    ],
)
def test_an_image_of_known_size_is_counted_by_the_makers_formula(family, size, tokens):
    ((_, counted),) = count_messages([picture(*size)], {family})
    assert counted.expected == tokens + 4
    assert counted.low <= counted.expected <= counted.high


@given(st.sampled_from([f for f in FAMILIES.values() if f.image]), st.integers(1, 60_000), st.integers(1, 60_000))
def test_images_of_any_size_have_a_range(family, width, height):
    assert family.image is not None
    estimate = family.image(width, height)
    assert 0 <= estimate.low <= estimate.expected <= estimate.high


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n"])
def test_an_image_nobody_can_read_is_counted_by_the_bounds_of_all(data):
    message = Message("user", (Image("png", data),))
    ((_, counted),) = count_messages([message], {"gpt-4o"})
    assert counted == estimate_messages([message])
    address = Message("user", (Image("png", url="https://example.org/a.png"),))
    ((_, counted),) = count_messages([address], {"claude"})
    assert counted == estimate_messages([address])


def test_families_that_count_like_the_rules_of_thumb_are_left_out():
    assert count_messages([Message("user", (Text("hello"),))], {"claude", "gemini"}) == ()
    assert count_texts(["hello"], {"claude"}) == ()
