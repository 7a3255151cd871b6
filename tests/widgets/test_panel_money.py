"""Amounts read the same in Python and in the panel: `money.json` is checked from both sides (the other is
`labextension/test/panel.test.ts`)."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from sekha_magics.display.money import format_usd

CASES = json.loads(Path(__file__).with_name("money.json").read_text("utf-8"))


@pytest.mark.parametrize(("usd", "shown"), CASES)
def test_an_amount_of_the_shared_list_is_shown_as_it_says(usd: str | None, shown: str) -> None:
    assert format_usd(None if usd is None else Decimal(usd)) == shown
