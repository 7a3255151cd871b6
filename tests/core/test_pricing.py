"""Money is exact, and agrees with the table it comes from."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, localcontext

import pytest
from genai_prices import Usage as TableUsage
from genai_prices import calc_price
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.catalogue import Price, Rate
from sekha_magics.core.pricing import cost_of, estimate, settle, total, upper_bound
from sekha_magics.core.types import Usage
from sekha_magics.prices import table_price

from .strategies import rates

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
# The most used of each large maker, as the leaderboards of OpenRouter and the examples of the makers' own pages name
# them, by the ids that the price table knows.
MOST_USED = [
    ("openai", "gpt-4o"),
    ("openai", "gpt-4o-mini"),
    ("openai", "gpt-4.1"),
    ("openai", "gpt-5"),
    ("openai", "gpt-5-mini"),
    ("openai", "gpt-5.4"),
    ("openai", "o3"),
    ("openai", "o4-mini"),
    ("anthropic", "claude-sonnet-4-5"),
    ("anthropic", "claude-haiku-4-5"),
    ("anthropic", "claude-opus-4-5"),
    ("openrouter", "anthropic/claude-sonnet-4.5"),
    ("openrouter", "google/gemini-2.5-pro"),
    ("litellm", "gemini/gemini-2.5-pro"),
    ("litellm", "gemini/gemini-2.5-flash"),
    ("litellm", "mistral/mistral-large-latest"),
    ("litellm", "deepseek/deepseek-chat"),
    ("litellm", "xai/grok-4"),
    ("litellm", "groq/llama-3.3-70b-versatile"),
    ("openrouter", "qwen/qwen3-coder"),
]
# Those that price sound, images or reasoning apart, and one that embeds.
PARTICULAR = [
    ("openai", "gpt-realtime"),
    ("openai", "gpt-image-1"),
    ("litellm", "perplexity/sonar-deep-research"),
    ("openai", "text-embedding-3-small"),
]
TIERED = [("openai", "gpt-5.4"), ("anthropic", "claude-sonnet-4-5"), ("openrouter", "anthropic/claude-sonnet-4.5"),
          ("openrouter", "google/gemini-2.5-pro"), ("litellm", "gemini/gemini-2.5-pro")]  # fmt: skip


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Of any kinds of tokens, which add up: no token is of two kinds but for cached sound and images."""
    parts = st.integers(0, 80_000)
    text, cached, written, audio, images, cached_audio, cached_images = (draw(parts) for _ in range(7))
    answer, thought, spoken, drawn = (draw(parts) for _ in range(4))
    return Usage(
        input_tokens=text + cached + written + audio + images + cached_audio + cached_images,
        output_tokens=answer + thought + spoken + drawn,
        cached_input_tokens=cached + cached_audio + cached_images,
        reasoning_tokens=thought,
        cache_write_tokens=written,
        input_audio_tokens=audio + cached_audio,
        cached_audio_tokens=cached_audio,
        output_audio_tokens=spoken,
        input_image_tokens=images + cached_images,
        cached_image_tokens=cached_images,
        output_image_tokens=drawn,
    )


def by_the_table(provider: str, model: str, usage: Usage, price: Price) -> Decimal:
    """What genai-prices computes. Kinds that overlap and are not told apart it refuses: only priced ones are told."""
    told = {
        "cache_read_tokens": (usage.cached_input_tokens, price.cached_input),
        "cache_write_tokens": (usage.cache_write_tokens, price.cache_write),
        "input_audio_tokens": (usage.input_audio_tokens, price.input_audio),
        "cache_audio_read_tokens": (usage.cached_audio_tokens, price.cached_audio),
        "output_audio_tokens": (usage.output_audio_tokens, price.output_audio),
        "input_image_tokens": (usage.input_image_tokens, price.input_image),
        "cache_image_read_tokens": (usage.cached_image_tokens, price.cached_image),
        "output_image_tokens": (usage.output_image_tokens, price.output_image),
        "output_reasoning_tokens": (usage.reasoning_tokens, price.reasoning),
    }
    priced = {name: tokens for name, (tokens, rate) in told.items() if rate is not None}
    return calc_price(
        TableUsage(input_tokens=usage.input_tokens, output_tokens=usage.output_tokens, **priced),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    ).total_price


def priced(provider: str, model: str) -> Price:
    price = table_price(provider, model, NOW)
    assert price is not None
    return price


@pytest.mark.parametrize(("provider", "model"), MOST_USED + PARTICULAR)
@given(usage=usages())
def test_a_cost_is_what_the_table_itself_computes(provider, model, usage):
    price = priced(provider, model)
    assert cost_of(price, usage) == by_the_table(provider, model, usage, price)


@pytest.mark.parametrize(("provider", "model"), TIERED)
@given(off=st.sampled_from([-1, 0, 1]), cached=st.integers(0, 200_000), out=st.integers(0, 50_000))
def test_at_the_start_of_a_tier_and_beside_it_the_cost_is_the_tables_too(provider, model, off, cached, out):
    price = priced(provider, model)
    (start, dearer), *_ = price.input.tiers
    usage = Usage(start + off, out, cached_input_tokens=min(cached, start - 1))
    assert cost_of(price, usage) == by_the_table(provider, model, usage, price)
    rate = dearer if off == 1 else price.input.base
    assert cost_of(price, Usage(start + off)) == rate * (start + off) / 1_000_000


def test_every_tiered_price_of_the_list_is_tried_at_its_boundary():
    assert [m for m in dict.fromkeys(sorted(MOST_USED, key=MOST_USED.index)) if priced(*m).input.tiers] == TIERED


@given(
    st.builds(Price, st.just("config"), *[rates] * 4, st.just(Decimal(0)), st.none(), *[st.none() | rates] * 7),
    st.builds(Usage, *[st.integers(0, 3_000)] * 11),
)
def test_whatever_a_usage_claims_no_cost_passes_the_upper_bound(price, usage):
    bound = upper_bound(price, usage.input_tokens, usage.output_tokens, audio=True, images=True)
    assert bound is not None
    assert 0 <= cost_of(price, usage) <= bound


def test_sound_that_was_cached_pays_the_rate_of_cached_sound_and_is_paid_for_once():
    usage = Usage(100, 40, 30, input_audio_tokens=50, cached_audio_tokens=20, output_audio_tokens=40)
    price = Price(
        "config",
        Rate(Decimal(1)),
        Rate(Decimal(2)),
        Rate(Decimal("0.5")),
        input_audio=Rate(Decimal(10)),
        cached_audio=Rate(Decimal(3)),
        output_audio=Rate(Decimal(20)),
    )
    # 50 of text, 10 of it cached; 30 heard, 20 of cached sound; 40 spoken.
    assert cost_of(price, usage) == (Decimal(40) + 10 * Decimal("0.5") + 30 * 10 + 20 * 3 + 40 * 20) / 1_000_000


def test_an_unknown_model_has_no_price_and_is_not_guessed_from_its_beginning():
    assert table_price("openai", "no-such-model-at-all", NOW) is None
    assert table_price("litellm", "nowhere/nothing", NOW) is None


def test_a_tier_begins_above_its_start_and_then_counts_for_all_tokens():
    price = Price("config", Rate(Decimal(1), ((1000, Decimal(3)),)), Rate(Decimal(0)))
    assert cost_of(price, Usage(1000)) == Decimal("0.001")
    assert cost_of(price, Usage(1001)) == Decimal("0.003003")


@given(st.builds(Price, st.just("config"), rates, rates), st.integers(0, 10**6), st.integers(0, 10**6))
def test_an_estimate_is_the_cost_of_that_usage(price, tokens_in, tokens_out):
    assert estimate(price, tokens_in, tokens_out) == cost_of(price, Usage(tokens_in, tokens_out))


def test_the_users_own_decimal_precision_does_not_change_a_bill():
    price = Price("config", Rate(Decimal("0.123456")), Rate(Decimal("7.654321")))
    exact = cost_of(price, Usage(123_456, 98_765))
    with localcontext() as context:
        context.prec = 3
        assert cost_of(price, Usage(123_456, 98_765)) == exact
        assert settle(exact) == exact


def test_one_token_of_the_cheapest_model_is_not_rounded_away():
    price = Price("config", Rate(Decimal("0.0375")), Rate(Decimal(0)))
    assert settle(cost_of(price, Usage(1))) == Decimal("3.75E-8")


@given(st.lists(st.none() | st.decimals("0", "1000", places=12), max_size=30))
def test_a_sum_keeps_the_unknown_apart(amounts):
    known, unknown = total(amounts)
    assert known == sum((a for a in amounts if a is not None), Decimal(0))
    assert unknown == amounts.count(None)
