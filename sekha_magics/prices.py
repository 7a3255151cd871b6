"""Prices of models from the `genai-prices` table, as values that a snapshot can hold.

The table is dated and matches ids in its own exact way; what it does not know has no price. Units we do not count
(hours of audio, pages) make a model unpriced rather than half priced.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from .core.catalogue import Price, Rate

__all__ = ["Served", "table_price"]

# Extras billed only when a request asks for them (searches, longer caching) do not make a text price incomplete.
_UNCOUNTED_BASICS = ("audio_hours", "input_audio_hours", "input_document_kpages", "input_annotated_document_kpages",
                     "input_mchars", "input_text_messages_kcount")  # fmt: skip
_PARTICULAR = {
    "cached_input": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "input_audio": "input_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
    "output_audio": "output_audio_mtok",
    "input_image": "input_image_mtok",
    "cached_image": "cache_image_read_mtok",
    "output_image": "output_image_mtok",
    "reasoning": "output_reasoning_mtok",
}
_PER_THOUSAND = Decimal(1000)


class Served(NamedTuple):
    """The price of the model that answered; `known` is False where it is that of the model asked for instead."""

    price: Price | None
    known: bool


def table_price(provider_type: str, model_id: str, at: datetime) -> Price | None:
    """The price at the moment `at` (with a time zone), or None when the table does not know the model.

    `provider_type` is one of ours; for `litellm` the provider is the first part of the id.
    """
    from genai_prices.data_snapshot import get_snapshot

    try:
        _, model = get_snapshot().find_provider_model(model_id, None, provider_type, None)
    except LookupError:
        return None
    prices = model.get_prices(at)
    price = _rate(getattr(prices, "input_mtok", None))
    if price is None or any(getattr(prices, name, None) for name in _UNCOUNTED_BASICS):
        return None
    particular = {ours: _rate(getattr(prices, theirs, None)) for ours, theirs in _PARTICULAR.items()}
    requests = getattr(prices, "requests_kcount", None)
    return Price(
        source="table",
        input=price,
        # Embedding models have no output to charge for.
        output=_rate(getattr(prices, "output_mtok", None)) or Rate(Decimal(0)),
        per_request=requests / _PER_THOUSAND if requests else Decimal(0),
        as_of=at.date(),
        **particular,
    )


def _rate(value: Any) -> Rate | None:
    if value is None:
        return None
    if isinstance(value, Decimal):
        return Rate(value)
    return Rate(value.base, tuple((tier.start, tier.price) for tier in value.tiers))
