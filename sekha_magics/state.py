"""What changes while a kernel runs: who is configured, who answered how fast, whose key was refused.

A snapshot freezes it for one decision. Everything here may be read and written from any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from statistics import median
from typing import TYPE_CHECKING

from .core.catalogue import Catalogue, Entry, Latency, Price, ProviderState, Snapshot
from .core.policies import BUILT_IN, Policy
from .core.wire import Endpoint
from .errors import AuthenticationFailed, ConfigError, ProviderError
from .offers import build_catalogue
from .prices import table_price
from .providers import create, provider_types
from .storage.forks import renew_in_child

if TYPE_CHECKING:
    from .config.load import Loaded
    from .providers.base import Provider

__all__ = ["Record", "State"]

_LATENCIES_KEPT = 50


@dataclass
class Record:
    """What this kernel has seen of one provider. `failures` counts those since its last success."""

    calls: int = 0
    errors: int = 0
    failures: int = 0
    last_error: str | None = None
    auth_failed: str | None = None
    latencies: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES_KEPT))


class State:
    """The providers of one registry. Raises `ConfigError` for a provider type nobody supplies."""

    def __init__(self, loaded: Loaded, *, catalogue: Catalogue | None = None) -> None:
        self._lock = threading.RLock()
        renew_in_child(self)
        self.loaded = loaded
        self._fixed = catalogue
        self._built: tuple[date, Catalogue] | None = None
        self.records: dict[str, Record] = {}
        self._latencies: dict[tuple[str, str], deque[float]] = {}
        self._snapshot: Snapshot | None = None
        self._providers: dict[str, Provider] = {}
        self.policies: dict[str, Policy] = dict(BUILT_IN)

    # --- what is on offer ---

    @property
    def catalogue(self) -> Catalogue:
        """The catalogue, priced as of today."""
        if self._fixed is not None:
            return self._fixed
        now = datetime.now(UTC)
        with self._lock:
            if self._built is None or self._built[0] != now.date():
                self._built = (now.date(), build_catalogue(self.loaded, provider_types(), now))
                self._snapshot = None
            return self._built[1]

    def replace(self, loaded: Loaded) -> None:
        """Go on with another configuration; refused keys are given another chance."""
        with self._lock:
            self.loaded, self._built, self._snapshot = loaded, None, None
            self._providers.clear()
            for record in self.records.values():
                record.auth_failed = None

    def entry(self, provider_id: str, model_id: str) -> Entry:
        return next(e for e in self.catalogue.entries if (e.provider_id, e.model_id) == (provider_id, model_id))

    def policy(self, name: str) -> Policy:
        return self.policies[name]

    def price_of_served(self, entry: Entry, served_model: str | None) -> Price | None:
        """The table's price of the model that answered, where it is another than the one asked for."""
        if served_model in (None, entry.model_id) or entry.price is None or entry.price.source != "table":
            return None
        return table_price(entry.provider_type, str(served_model), datetime.now(UTC))

    # --- who is spoken to ---

    def provider(self, provider_id: str) -> Provider:
        with self._lock:
            if provider_id not in self._providers:
                self._providers[provider_id] = create(self._endpoint(provider_id))
            return self._providers[provider_id]

    def providers_in_use(self) -> list[Provider]:
        with self._lock:
            return list(self._providers.values())

    def renew_after_fork(self) -> None:
        # Connections and child processes belong to the parent; the child makes its own.
        self._lock, self._providers = threading.RLock(), {}

    def _endpoint(self, provider_id: str) -> Endpoint:
        for provider in self.loaded.config.llm_providers:
            if provider.id == provider_id:
                return Endpoint(
                    provider_id=provider.id,
                    type=provider.type,
                    base_url=None if provider.base_url is None else str(provider.base_url),
                    api_key=self.loaded.keys.get(provider.id),
                    timeout=float(provider.timeout),
                    options=dict(provider.options),
                )
        raise ConfigError(
            f"The provider {provider_id} is not configured in this kernel.",
            hint="A replayed notebook knows only recorded answers; set SEKHA_MODE=live to ask again.",
        )

    # --- what was seen ---

    def snapshot(self) -> Snapshot:
        with self._lock:
            catalogue = self.catalogue
            if self._snapshot is None:
                self._snapshot = Snapshot(catalogue, self._provider_states(), self._medians())
            return self._snapshot

    def _provider_states(self) -> Mapping[str, ProviderState]:
        return {k: ProviderState(r.auth_failed) for k, r in self.records.items() if r.auth_failed is not None}

    def _medians(self) -> Mapping[tuple[str, str], Latency]:
        return {key: Latency(round(median(ms), 3), len(ms)) for key, ms in self._latencies.items()}

    def succeeded(self, provider_id: str, model_id: str, latency_ms: float) -> None:
        with self._lock:
            record = self.records.setdefault(provider_id, Record())
            record.calls += 1
            record.failures = 0
            record.auth_failed = None
            record.latencies.append(latency_ms)
            self.seen_latencies(provider_id, model_id, [latency_ms])

    def failed(self, provider_id: str, error: ProviderError) -> None:
        with self._lock:
            record = self.records.setdefault(provider_id, Record())
            record.calls += 1
            record.errors += 1
            record.failures += 1
            record.last_error = f"{type(error).__name__}: {error.message}"
            if isinstance(error, AuthenticationFailed):
                record.auth_failed = error.message
                self._snapshot = None

    def seen_latencies(self, provider_id: str, model_id: str, milliseconds: list[float]) -> None:
        """Successful calls, oldest first; those of earlier sessions come from the ledger."""
        with self._lock:
            kept = self._latencies.setdefault((provider_id, model_id), deque(maxlen=_LATENCIES_KEPT))
            kept.extend(milliseconds)
            self._snapshot = None
