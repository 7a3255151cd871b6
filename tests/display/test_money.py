from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.types import Cost
from sekha_magics.display.money import exact, format_cost, format_sum, format_usd, recorded_source

AMOUNTS = st.decimals(min_value=0, max_value=10**9, allow_nan=False, allow_infinity=False, places=12)


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        ("0", "$0"),
        ("0E-12", "$0"),
        ("0.0123", "$0.0123"),
        ("0.0123456", "$0.0123"),
        ("0.5", "$0.50"),
        ("0.125", "$0.125"),
        ("12.3", "$12.30"),
        ("12.345", "$12.34"),
        ("1234.5", "$1,234.50"),
        ("0.0000375", "$0.0000375"),
        ("0.00003754999", "$0.0000375"),
        ("0.0000000375", "$0.0000000375"),
        ("0.009999999", "$0.01"),
        ("0.99999", "$1.00"),
        ("0.001", "$0.001"),
        ("-0.5", "-$0.50"),
        ("3.75E-14", "$3.75E-14"),
        ("1E-400", "$1.00E-400"),
        ("1E+30", "$1.000E+30"),
        ("NaN", "unpriced"),
        ("Infinity", "unpriced"),
    ],
)
def test_an_amount_keeps_the_digits_that_matter(usd: str, shown: str) -> None:
    assert format_usd(Decimal(usd)) == shown


def test_unknown_free_and_estimated_are_said() -> None:
    assert format_usd(None) == "unpriced"
    assert format_usd(Decimal(0), "unpriced") == "unpriced"
    assert format_usd(Decimal(0), "free") == "free"
    assert format_usd(None, "free") == "free"
    assert format_usd(Decimal("0.0123"), "estimated") == "~$0.0123"


@given(AMOUNTS)
def test_an_amount_above_zero_is_never_shown_as_zero(usd: Decimal) -> None:
    shown = Decimal(format_usd(usd).replace("$", "").replace(",", ""))
    assert (shown == 0) == (usd == 0)
    assert abs(shown - usd) <= max(Decimal("0.005"), usd) * Decimal("0.01") or usd >= 1


def test_a_sum_says_what_it_leaves_out() -> None:
    assert format_sum(Decimal("0.0123")) == "$0.0123"
    assert format_sum(Decimal("0.0123"), 2) == "$0.0123 + 2 unpriced calls"
    assert format_sum(Decimal(0), 1) == "1 unpriced call"
    assert format_sum(Decimal(0)) == "$0"


@given(AMOUNTS)
def test_equal_amounts_are_written_equally_for_programs(usd: Decimal) -> None:
    written = exact(usd)
    assert written is not None
    assert Decimal(written) == usd
    assert "E" not in written
    assert exact(usd + Decimal("0E-20")) == written


def test_an_unknown_amount_is_null_for_programs() -> None:
    assert exact(None) is None
    assert exact(Decimal("NaN")) is None


@pytest.mark.parametrize(
    ("cost", "source", "shown"),
    [
        (Cost(Decimal("0.0123"), "replayed", "reported"), "reported", "$0.0123"),
        (Cost(Decimal("0.0123"), "replayed", "estimated"), "estimated", "~$0.0123"),
        (Cost(Decimal(0), "replayed", "free"), "free", "free"),
        (Cost(None, "replayed", "unpriced"), "unpriced", "unpriced"),
        (Cost(None, "replayed"), "unpriced", "unpriced"),
        (Cost(Decimal("0.5"), "replayed"), "computed", "$0.50"),
        (Cost(Decimal("0.5"), "computed"), "computed", "$0.50"),
    ],
)
def test_a_replayed_cost_is_shown_as_it_was_recorded(cost: Cost, source: str, shown: str) -> None:
    assert recorded_source(cost) == source
    assert format_cost(cost) == shown
