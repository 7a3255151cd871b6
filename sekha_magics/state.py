"""What changes while a kernel runs: who is configured, who answered how fast, whose key was refused.

A snapshot freezes it for one decision. Everything here may be read and written from any thread.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from difflib import get_close_matches
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from .core.breaker import Permit
from .core.budget import Budget
from .core.catalogue import Catalogue, Entry, Latency, Snapshot
from .core.decide import decide
from .core.policies import BUILT_IN, Policy
from .core.simulation import Simulation
from .core.types import Decision, Request
from .core.wire import Endpoint
from .errors import ConfigError, InvalidInput, ProviderError
from .habits import Habits, Observed
from .offers import build_catalogue
from .prices import Served, table_price
from .providers import create, provider_types
from .providers.simulated import Part, Simulated
from .rehearsals import Rehearsals
from .storage.forks import renew_in_child
from .vitals import LATENCIES_KEPT, Vitals

if TYPE_CHECKING:
    from .config.load import Loaded
    from .providers.base import Provider

__all__ = ["Chosen", "State"]

Clock = Callable[[], float]


class Chosen(NamedTuple):
    """A decision, and the leave to ask the provider it chose."""

    decision: Decision
    permit: Permit


class State:
    """The providers of one registry. Raises `ConfigError` for a provider type nobody supplies.

    `clock` gives seconds and never goes back: rests and open breakers end by it.
    """

    def __init__(self, loaded: Loaded, *, catalogue: Catalogue | None = None, clock: Clock = time.monotonic) -> None:
        self._lock = threading.RLock()
        renew_in_child(self)
        self.loaded = loaded
        self._fixed = catalogue
        self._built: tuple[date, Catalogue] | None = None
        self.clock = clock
        self.vitals = Vitals()
        self._rehearsals = Rehearsals()
        self.habits = Habits()
        self._changes_at = 0.0
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
            self.vitals.keys_changed()

    def entry(self, provider_id: str, model_id: str) -> Entry:
        return next(e for e in self.catalogue.entries if (e.provider_id, e.model_id) == (provider_id, model_id))

    def policy(self, name: str) -> Policy:
        return self.policies[name]

    def price_of_served(self, entry: Entry, served_model: str | None) -> Served:
        """The price by which a call is charged when `served_model` is what answered.

        That of the table, where it is another model than the one asked for; a model the table does not know is
        charged like the one asked for, and `known` is False.
        """
        if served_model is None or entry.price is None or entry.price.source != "table":
            return Served(entry.price, True)
        maker, slash, asked = entry.model_id.rpartition("/")
        if served_model in (entry.model_id, asked):
            return Served(entry.price, True)
        names = [served_model] if "/" in served_model or not slash else [f"{maker}/{served_model}", served_model]
        now = datetime.now(UTC)
        found = (table_price(entry.provider_type, name, now) for name in names)
        price = next((price for price in found if price is not None), None)
        return Served(entry.price, False) if price is None else Served(price, True)

    # --- who is spoken to ---

    def provider(self, provider_id: str) -> Provider:
        """Who is asked in one attempt: the provider, or one that pretends in its place."""
        with self._lock:
            if provider_id not in self._providers:
                self._providers[provider_id] = create(self._endpoint(provider_id))
            provider, part = self._providers[provider_id], self._rehearsals.part(provider_id)
            return provider if part is None else Simulated(provider, part)

    def simulations(self) -> Mapping[str, Simulation]:
        """What providers pretend now."""
        with self._lock:
            return self._rehearsals.simulations()

    def simulate(self, provider_id: str, simulation: Simulation | None) -> None:
        """Let a provider pretend, in place of what it pretended before; None ends it, and forgets what it led to.

        Raises `InvalidInput`.
        """
        with self._lock:
            self._check_known(provider_id)
            if simulation is None:
                self._rehearsals.end(provider_id, self.vitals)
            else:
                self._rehearsals.begin(provider_id, simulation, self.vitals)
            self._snapshot = None

    def providers_in_use(self) -> list[Provider]:
        with self._lock:
            return list(self._providers.values())

    def renew_after_fork(self) -> None:
        # Connections and child processes belong to the parent; the child makes its own.
        # A probe of the parent would be waited for in vain.
        self._lock, self._providers, self.vitals, self._snapshot = threading.RLock(), {}, Vitals(), None

    def _endpoint(self, provider_id: str) -> Endpoint:
        for provider in self.loaded.config.llm_providers:
            if provider.id == provider_id:
                return Endpoint(
                    provider_id=provider.id,
                    type=provider.type,
                    base_url=None if provider.base_url is None else str(provider.base_url),
                    api_key=self.loaded.keys.get(provider.id),
                    timeout=float(provider.timeout),
                    first_token=provider.timeouts.first_token,
                    idle=provider.timeouts.idle,
                    options=dict(provider.options),
                )
        raise ConfigError(
            f"The provider {provider_id} is not configured in this kernel.",
            hint="A replayed notebook knows only recorded answers; set SEKHA_MODE=live to ask again.",
        )

    # --- what was seen ---

    def snapshot(self) -> Snapshot:
        with self._lock:
            catalogue, now = self.catalogue, self.clock()
            if self._snapshot is None or now >= self._changes_at:
                rules = catalogue.rules.breaker
                self._snapshot = Snapshot(
                    catalogue,
                    self.vitals.states(now, rules),
                    self._medians(),
                    corrections=self.habits.corrections,
                    lengths=self.habits.lengths,
                )
                self._changes_at = self.vitals.next_change(now, rules)
            return self._snapshot

    def choose(self, request: Request, policy: Policy, *, budget: Budget | None, decision_id: str) -> Chosen:
        """Decide, and get leave to ask who was chosen, in one step: no second request takes the same probe.

        `budget` is what is left of the limits in force, None where there are none. Raises `NoEligibleModel`.
        """
        with self._lock:
            snapshot = self.snapshot() if budget is None else replace(self.snapshot(), budget=budget)
            decision = decide(request, snapshot, policy, decision_id=decision_id)
            permit = self.admit(decision.provider_id)
            if permit is None:
                raise AssertionError(f"{decision.provider_id} was eligible and is not admitted")
            return Chosen(decision, permit)

    def _medians(self) -> Mapping[tuple[str, str], Latency]:
        return {key: Latency(round(median(ms), 3), len(ms)) for key, ms in self._latencies.items()}

    def admit(self, provider_id: str) -> Permit | None:
        """Leave for one request to ask the provider, or None while its breaker is open."""
        with self._lock:
            permit = self.vitals.admit(provider_id, self.clock(), self.catalogue.rules.breaker)
            self._snapshot = None if permit and permit.probe else self._snapshot
            return permit

    def settle(self, provider_id: str, permit: Permit, error: ProviderError | None) -> None:
        """What came of one request and all its attempts at that provider."""
        with self._lock:
            self.vitals.settle(provider_id, permit, error, self.clock(), self.catalogue.rules.breaker)
            self._snapshot = None

    def release(self, provider_id: str, permit: Permit) -> None:
        """The request ended without saying anything of the provider."""
        with self._lock:
            self.vitals.release(provider_id, permit)
            self._snapshot = None

    def recent_latencies(self) -> dict[str, tuple[float, ...]]:
        """Of each provider that was asked here, the milliseconds of its last answers, oldest first."""
        with self._lock:
            return {name: tuple(record.latencies) for name, record in self.vitals.records.items()}

    def rest_left(self, provider_ids: Iterable[str]) -> float | None:
        """Seconds until the first of them no longer rests; None without any."""
        with self._lock:
            return self.vitals.rest_left(provider_ids, self.clock())

    def reset(self, provider_id: str | None) -> None:
        """Close the breakers and end the rests of one provider, or of all. Raises `InvalidInput`."""
        with self._lock:
            if provider_id is not None:
                self._check_known(provider_id)
            self.vitals.reset(self.provider_ids() if provider_id is None else [provider_id])
            self._snapshot = None

    def provider_ids(self) -> list[str]:
        """Those of the configuration; in a replay, which has none, those that were recorded."""
        configured = [p.id for p in self.loaded.config.llm_providers]
        return list(dict.fromkeys([*configured, *(e.provider_id for e in self.catalogue.entries)]))

    def _check_known(self, provider_id: str) -> None:
        known = self.provider_ids()
        if provider_id not in known:
            near = get_close_matches(str(provider_id), known, 1)
            meant = f" Did you mean {near[0]}?" if near else ""
            raise InvalidInput(
                f"There is no provider {provider_id!r:.80}.{meant}",
                hint=f"There are {', '.join(known)}." if known else "None is configured.",
            )

    def succeeded(self, provider_id: str, model_id: str, latency_ms: float, part: Part | None = None) -> None:
        """One attempt was answered; one that was simulated (`part`) says nothing of how the provider is."""
        if part is not None:
            return
        with self._lock:
            self.vitals.succeeded(provider_id, latency_ms)
            self.seen_latencies(provider_id, model_id, [latency_ms])

    def failed(self, provider_id: str, error: ProviderError, part: Part | None = None) -> None:
        """One attempt was not; one that was simulated (`part`) is forgotten when its simulation has ended meanwhile."""
        with self._lock:
            if part is not None and part is not self._rehearsals.part(provider_id):
                return
            self.vitals.failed(provider_id, error, self.clock(), counts=part is None)
            self._snapshot = None

    def relived(self, provider_id: str, errors: Sequence[ProviderError], answered: bool) -> None:
        """A recorded request, as if it were made now: it changes how the provider is, and counts in no statistics."""
        with self._lock:
            now, rules = self.clock(), self.catalogue.rules.breaker
            permit = self.admit(provider_id)
            for error in errors:
                self.vitals.failed(provider_id, error, now, counts=False)
            if permit is not None:
                self.vitals.settle(provider_id, permit, None if answered or not errors else errors[-1], now, rules)
            self._snapshot = None

    def observed(
        self, entry: Entry, request: Request, task: str, input_tokens: int, output_tokens: int | None
    ) -> Observed:
        """What a call teaches. How images and sound are counted says nothing of text."""
        plain = not (request.images or request.needs_audio)
        estimated = request.tokens(entry.family).expected if plain else None
        answered = output_tokens if request.operation == "chat" else None
        return Observed(entry.provider_id, entry.model_id, task, estimated, input_tokens, answered)

    def learned(self, observed: Observed) -> None:
        """A call of this kernel."""
        with self._lock:
            self.habits.seen(observed)
            self._snapshot = None

    def learned_earlier(self, observed: Iterable[Observed]) -> None:
        """Calls of earlier sessions, oldest first."""
        rows = list(observed)
        with self._lock:
            self.habits.seen_before(rows)
            self._snapshot = None

    def seen_latencies(self, provider_id: str, model_id: str, milliseconds: list[float]) -> None:
        """Successful calls, oldest first; those of earlier sessions come from the ledger."""
        with self._lock:
            kept = self._latencies.setdefault((provider_id, model_id), deque(maxlen=LATENCIES_KEPT))
            kept.extend(milliseconds)
            self._snapshot = None
