"""What a decision depends on, as values: prices, models on offer, and the state of their providers.

A `Catalogue` changes when the configuration or the price table does; the state changes with every call. A
`Snapshot` is both at one moment, and its id is a hash of their content, so that a decision can be taken again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from functools import cached_property
from typing import Any, Literal, NamedTuple

from .breaker import BreakerRules, BreakerState
from .budget import Budget
from .exact import EXACT
from .learning import AnswerLength, Correction
from .reasons import Reason


class Rate(NamedTuple):
    """USD per million tokens. `tiers` are (start, rate): an input longer than `start` tokens pays `rate` for all."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()


@dataclass(frozen=True, slots=True)
class Price:
    """Rates of one model; `per_request` is USD.

    What has no rate of its own is charged as what it is part of: cached, written, audio and image tokens as input;
    reasoning, audio and images of the answer as output; cached audio and images as audio and images.
    """

    source: Literal["config", "free", "table"]
    input: Rate
    output: Rate
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    per_request: Decimal = Decimal(0)
    as_of: date | None = None
    input_audio: Rate | None = None
    cached_audio: Rate | None = None
    output_audio: Rate | None = None
    input_image: Rate | None = None
    cached_image: Rate | None = None
    output_image: Rate | None = None
    reasoning: Rate | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One model at one provider, as configured. `position` is its place in the file.

    `missing_key` is None when the provider has its key or needs none, else a sentence that names the variable.
    `default_for` names the tasks for which `default_models` points here. `image_urls` says whether the provider fetches
    images by address. Sizes are bytes, windows tokens. `family` is a name of `core.families`, which says how the model
    counts tokens; empty where nobody knows.
    """

    position: int
    provider_id: str
    provider_type: str
    model_id: str
    tasks: tuple[str, ...]
    priority: int = 50
    enabled: bool = True
    local: bool = False
    context_window: int | None = None
    max_output_tokens: int | None = None
    dimension: int | None = None
    supports_vision: bool = False
    supports_audio: bool = False
    supports_function_calling: bool = False
    max_images: int = 10
    max_image_bytes: int = 20 * 1024 * 1024
    image_formats: tuple[str, ...] = ("jpg", "jpeg", "png", "gif", "webp")
    image_urls: bool = False
    price: Price | None = None
    missing_key: str | None = None
    default_for: tuple[str, ...] = ()
    family: str = ""


@dataclass(frozen=True, slots=True)
class RoutingRules:
    """The `routing` section as far as a request obeys it. `max_cost_per_request` is USD.

    `remote_fallback` off means that a request which began at a local model is not sent to another machine after it.
    """

    default_task: str = "chat_small"
    policy: str = "priority"
    require_vision_for_images: bool = True
    max_cost_per_request: Decimal | None = None
    auto_fallback: bool = True
    remote_fallback: bool = True
    max_retries: int = 2
    breaker: BreakerRules = field(default_factory=BreakerRules)


class Prepared(NamedTuple):
    """`against` are the reasons that hold for every request; `rates` are USD per token, None where they vary.

    `fitting_output` is how many tokens of answer to make room for when none were asked for: many models state a maximum
    output as large as their window, so that is not demanded. `fitting_usd` is what it costs by the `rates`.
    """

    entry: Entry
    against: tuple[Reason, ...]
    fitting_output: int
    rates: tuple[Decimal, Decimal] | None
    fitting_usd: Decimal


_DEFAULT_OUTPUT = 1024


def _prepare(entry: Entry) -> Prepared:
    against = []
    if entry.missing_key is not None:
        against.append(Reason("no_key", entry.missing_key))
    if not entry.enabled:
        against.append(Reason("disabled", "switched off in the configuration"))
    price, window = entry.price, entry.context_window
    rates = None
    if price is not None and not (price.input.tiers or price.output.tiers or price.per_request):
        rates = (price.input.base.scaleb(-6), price.output.base.scaleb(-6))
    quarter = _DEFAULT_OUTPUT if window is None else window // 4
    fitting = min(entry.max_output_tokens or _DEFAULT_OUTPUT, _DEFAULT_OUTPUT, quarter)
    return Prepared(entry, tuple(against), fitting, rates, EXACT.multiply(rates[1], fitting) if rates else Decimal(0))


@dataclass(frozen=True)
class Catalogue:
    """Everything on offer, in the order of the file."""

    entries: tuple[Entry, ...]
    rules: RoutingRules = field(default_factory=RoutingRules)

    @cached_property
    def catalogue_id(self) -> str:
        return _digest(self.to_json())

    @cached_property
    def prepared(self) -> tuple[Prepared, ...]:
        """What follows from each entry alone, worked out once for all decisions."""
        return tuple(_prepare(entry) for entry in self.entries)

    @cached_property
    def families(self) -> frozenset[str]:
        """Those of all that is switched on, and known."""
        return frozenset(entry.family for entry in self.entries if entry.enabled and entry.family)

    @cached_property
    def served(self) -> frozenset[str]:
        """The tasks of all that is switched on."""
        return frozenset(task for entry in self.entries if entry.enabled for task in entry.tasks)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, money as strings; `from_json` gives an equal catalogue back. Holds no key."""
        return {"entries": [_entry_json(e) for e in self.entries], "rules": _plain(asdict(self.rules))}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Catalogue:
        rules = dict(value["rules"])
        limit = rules["max_cost_per_request"]
        rules["max_cost_per_request"] = None if limit is None else Decimal(limit)
        if "breaker" in rules:
            rules["breaker"] = BreakerRules(*rules["breaker"])
        return cls(tuple(_entry_from_json(e) for e in value["entries"]), RoutingRules(**rules))


@dataclass(frozen=True, slots=True)
class ProviderState:
    """`auth_failed` is None, or what the provider said when it refused the key.

    `failures` are those in a row, `probing` says that the one request a half-open breaker admits is under way.
    `rests` is None, or the sentence why the provider is not to be asked for now. When that ends is not here: a
    snapshot holds no time.
    """

    auth_failed: str | None = None
    breaker: BreakerState = "closed"
    failures: int = 0
    probing: bool = False
    rests: str | None = None


class Latency(NamedTuple):
    """Median of the last 50 successful calls, in milliseconds, and how many there were."""

    p50_ms: float
    calls: int


@dataclass(frozen=True)
class Snapshot:
    """A catalogue and the state of its providers at one moment; what is not in the maps is in its first state.

    `budget` is None while no limit is in force. `corrections` are by provider and model, `lengths` by provider, model
    and task.
    """

    catalogue: Catalogue
    providers: Mapping[str, ProviderState] = field(default_factory=dict)
    latencies: Mapping[tuple[str, str], Latency] = field(default_factory=dict)
    budget: Budget | None = None
    corrections: Mapping[tuple[str, str], Correction] = field(default_factory=dict)
    lengths: Mapping[tuple[str, str, str], AnswerLength] = field(default_factory=dict)

    @cached_property
    def snapshot_id(self) -> str:
        return _digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The state alone, with the id of the catalogue it belongs to."""
        return {
            "catalogue": self.catalogue.catalogue_id,
            "providers": {k: asdict(v) for k, v in sorted(self.providers.items())},
            "latencies": [[*k, *v] for k, v in sorted(self.latencies.items())],
            **({} if self.budget is None else {"budget": self.budget.to_json()}),
            **({"corrections": [[*k, *v] for k, v in sorted(self.corrections.items())]} if self.corrections else {}),
            **({"lengths": [[*k, *v] for k, v in sorted(self.lengths.items())]} if self.lengths else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any], catalogue: Catalogue) -> Snapshot:
        return cls(
            catalogue,
            {k: ProviderState(**v) for k, v in value["providers"].items()},
            {(p, m): Latency(ms, calls) for p, m, ms, calls in value["latencies"]},
            budget=Budget.from_json(value["budget"]) if value.get("budget") else None,
            corrections={(p, m): Correction(*learned) for p, m, *learned in value.get("corrections", ())},
            lengths={(p, m, task): AnswerLength(*learned) for p, m, task, *learned in value.get("lengths", ())},
        )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _plain(value: Any) -> Any:
    match value:
        case Decimal():
            return str(value)
        case date():
            return value.isoformat()
        case dict():
            return {k: _plain(v) for k, v in value.items()}
        case list() | tuple():
            return [_plain(v) for v in value]
        case _:
            return value


def _entry_json(entry: Entry) -> dict[str, Any]:
    plain: dict[str, Any] = _plain(asdict(entry))
    return plain


def _rate_from_json(value: Any) -> Rate | None:
    return None if value is None else Rate(Decimal(value[0]), tuple((start, Decimal(usd)) for start, usd in value[1]))


_RATES = ("input", "output", "cached_input", "cache_write", "input_audio", "cached_audio", "output_audio",
          "input_image", "cached_image", "output_image", "reasoning")  # fmt: skip


def _entry_from_json(value: Mapping[str, Any]) -> Entry:
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in value.items()}
    if price := value["price"]:
        # What an older version wrote knows fewer kinds of tokens.
        rates: dict[str, Any] = {k: _rate_from_json(price.get(k)) for k in _RATES}
        as_of = price["as_of"]
        fields["price"] = Price(
            source=price["source"],
            per_request=Decimal(price["per_request"]),
            as_of=None if as_of is None else date.fromisoformat(as_of),
            **rates,
        )
    return Entry(**fields)
