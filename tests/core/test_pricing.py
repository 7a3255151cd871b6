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
from sekha_magics.core.pricing import cost_of, estimate, settle, total
from sekha_magics.core.types import Usage
from sekha_magics.prices import table_price

from .strategies import rates

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MODELS = [("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("openai", "gpt-4.1"), ("anthropic", "claude-sonnet-4-5"),
          ("anthropic", "claude-haiku-4-5"), ("openai", "text-embedding-3-small"),
          ("openrouter", "anthropic/claude-sonnet-4.5")]  # fmt: skip

usages = st.builds(
    lambda n, cached, written, out: Usage(n, out, min(cached, n), 0, min(written, n - min(cached, n))),
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.integers(0, 400_000),
    st.integers(0, 100_000),
)


@pytest.mark.parametrize(("provider", "model"), MODELS)
@given(usage=usages)
def test_a_cost_is_what_the_table_itself_computes(provider, model, usage):
    price = table_price(provider, model, NOW)
    assert price is not None
    theirs = calc_price(
        TableUsage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cached_input_tokens if price.cached_input else 0,
            cache_write_tokens=usage.cache_write_tokens if price.cache_write else 0,
        ),
        model_ref=model,
        provider_id=provider,
        genai_request_timestamp=NOW,
    )
    assert cost_of(price, usage) == theirs.total_price


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
