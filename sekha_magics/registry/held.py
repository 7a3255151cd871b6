"""What a registry holds from the moment it is made until it is closed: state, ledger, budget, cassette, providers."""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from .. import whereabouts
from ..ask import Wishes
from ..budget import Budget
from ..cassette import Cassette
from ..config import change
from ..config.keys import KeyStore
from ..conversations import Conversations
from ..core.types import Event, Origin
from ..counting import warm_families
from ..display import formatters
from ..earlier import learn_in_background
from ..engine import Engine
from ..errors import InvalidInput
from ..failover import Patience
from ..loop import Emit, run_blocking
from ..process import known_keys
from ..providers import provider_types, register, warm
from ..purse import Purse
from ..state import State
from ..storage.forks import renew_in_child
from ..watch import Watch

if TYPE_CHECKING:
    from ..config.load import Loaded
    from ..ledger.store import Ledger
    from ..memory.store import Memory
    from ..providers.base import Provider

__all__ = ["Held"]

_ASK_AGAIN_SECONDS = 5.0


class Held:
    """The parts of one registry, each opened at first use and let go of by `close`."""

    def __init__(self, loaded: Loaded, *, cassette: Cassette | None = None, keys: KeyStore | None = None,
                 patience: Patience | None = None, clock: Callable[[], float] = time.monotonic) -> None:  # fmt: skip
        self.keys = keys or KeyStore(environ=os.environ)
        self.session_id = uuid.uuid4().hex
        self.redact = known_keys
        self.redact.learn(loaded.keys.values())
        self._lock = threading.RLock()
        self._pid = os.getpid()
        renew_in_child(self)
        self._ledger: Ledger | None = None
        self._memory: Memory | None = None
        self._purse = Purse(loaded.config.budget, self.session_id)
        self.watch = Watch()
        self._conversations = Conversations()
        self._cassette = cassette
        # Held while a provider is asked for its models: a second request waits for the answer too.
        self._readying = threading.Lock()
        self._undiscovered = dict.fromkeys(loaded.discover, -math.inf)
        self._latencies_seeded = False
        # The state that was told what earlier sessions teach, and the thread that tells it.
        self._taught: State | None = None
        self._learning: threading.Thread | None = None
        replayed = cassette.catalogue if cassette is not None and cassette.mode == "replay" else None
        self._patience = patience or Patience()
        self.state = State(loaded, catalogue=replayed, clock=clock)
        self.state.catalogue  # noqa: B018 - a model that cannot be offered is an error now, not at the first request
        if (shell := whereabouts.shell()) is not None:
            # Also without the magics a reply shows itself as an answer.
            formatters.register(shell)
        if whereabouts.in_kernel():
            ready = [
                p for p in loaded.config.llm_providers if p.enabled and p.models and p.id not in loaded.missing_keys
            ]
            warm(p.type for p in ready)
            warm_families(self.state.catalogue.families)
        atexit.register(self.close)

    # --- budget, ledger and cassette ---

    @property
    def budget(self) -> Budget:
        """What may be spent, and what is left of it."""
        return Budget(self._purse)

    @property
    def ledger(self) -> Ledger:
        """The log of decisions, candidates and calls, opened at first use."""
        from ..ledger.store import Ledger
        from ..mapping.kept import forget

        with self._lock:
            if self._ledger is None:
                configured = self.state.loaded.config.ledger
                self._ledger = Ledger(configured.path, content=configured.content, redact=self.redact, forget=forget)
            return self._ledger

    @property
    def cassette(self) -> Cassette | None:
        return self._cassette

    def use_cassette(self, path: str | os.PathLike[str] | None, mode: str = "auto") -> None:
        """Record to `path`, or replay it (`record`, `replay`, `auto`, `live`); None lets go of it."""
        cassette = None if path is None else Cassette.open(path, mode, redact=self.redact)
        with self._lock:
            self._cassette = cassette
            replayed = cassette.catalogue if cassette is not None and cassette.mode == "replay" else None
            before, self.state = self.state, State(self.state.loaded, catalogue=replayed, clock=self.state.clock)
            for provider_id, simulation in before.simulations().items():
                if provider_id in self.state.provider_ids():
                    self.state.simulate(provider_id, simulation)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done while loading that its user should know."""
        return self.state.loaded.notes

    def _log(self, event: Event) -> None:
        self.ledger.append(event)

    def _origin(self, source: str, conversation: str | None) -> Origin:
        return Origin(self.session_id, source, whereabouts.notebook(), whereabouts.cell_id(), conversation)

    def _engine(self) -> Engine:
        return Engine(self.state, self._log, self._cassette, self.redact, self._purse, self.watch, self._patience)

    def _wishes(self, given: Mapping[str, Any], *, remembering: bool = True) -> Wishes:
        known = [name for name in Wishes.__dataclass_fields__ if remembering or not name.startswith("memory")]
        if unknown := sorted(set(given) - set(known)):
            raise InvalidInput(
                f"{unknown[0]} is not an argument of this call.",
                hint=f"Known are {', '.join(known)}; what only the provider knows goes into params={{...}}.",
            )
        return Wishes.of(given, self.state.policies)

    # --- changing ---

    def register_provider(self, provider: Mapping[str, Any], provider_class: type[Provider] | None = None) -> None:
        """Add one, described as in a configuration file; `provider_class` makes its `type` known first.

        Raises `ConfigError`.
        """
        if provider_class is not None:
            register(provider_class)
        types = provider_types()
        with self._lock:
            loaded = change.with_provider(self.state.loaded, provider, provider_types=types, keys=self.keys)
            for provider_id in set(loaded.discover) - set(self.state.loaded.discover):
                self._undiscovered[provider_id] = -math.inf
            self._replace(loaded)

    def refresh_keys(self) -> None:
        """Look every key up again, after one was set or forgotten."""
        with self._lock:
            self._replace(change.with_keys(self.state.loaded, provider_types=provider_types(), keys=self.keys))

    def _replace(self, loaded: Loaded) -> None:
        self.redact.learn(loaded.keys.values())
        self.state.replace(loaded)

    # --- getting ready, and ending ---

    def renew_after_fork(self) -> None:
        self._lock, self._readying = threading.RLock(), threading.Lock()

    def _get_ready(self, wishes: Wishes | None) -> None:
        """What a first request needs and loading does not: models that a provider lists, latencies of earlier days."""
        if self._cassette is not None and self._cassette.mode == "replay":
            return
        with self._readying:
            for provider_id, asked in list(self._undiscovered.items()):
                # One that did not answer may have been started since.
                if time.monotonic() - asked > _ASK_AGAIN_SECONDS:
                    self._discover_models(provider_id)
            policy = (wishes and wishes.policy) or self.state.loaded.config.routing.policy
            if policy == "fastest" and not self._latencies_seeded:
                for provider_id, model_id, milliseconds in self.ledger.latencies():
                    self.state.seen_latencies(provider_id, model_id, milliseconds)
                self._latencies_seeded = True
            if wishes is not None and self._taught is not self.state:
                self._taught = self.state
                self._learning = learn_in_background(self.ledger, self.state, self.session_id)

    def _discover_models(self, provider_id: str) -> None:
        async def ask(_emit: Emit) -> Any:
            return await self.state.provider(provider_id).probe()

        probe = run_blocking(ask)
        if not probe.ok:
            self._undiscovered[provider_id] = time.monotonic()
            return
        del self._undiscovered[provider_id]
        with self._lock:
            self._replace(change.with_models(self.state.loaded, provider_id, probe.models or ()))

    def close(self) -> None:
        """Let go of connections and child processes, and fold the ledger. May be called twice."""
        atexit.unregister(self.close)
        if self._pid != os.getpid():
            return
        with self._lock:
            memory, self._memory = self._memory, None
        if memory is not None:
            # First, while what it waits for can still answer.
            memory.close()
        providers = self.state.providers_in_use()
        if providers:

            async def close_all(_emit: Emit) -> None:
                await asyncio.gather(*(provider.aclose() for provider in providers))

            run_blocking(close_all)
        if self._learning is not None:
            self._learning.join()
        with self._lock:
            ledger, self._ledger = self._ledger, None
        self._purse.close()
        if ledger is not None:
            ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()
