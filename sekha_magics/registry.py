"""The registry: the object users hold. It knows the providers and models, and answers by way of the engine.

All blocking methods may be called from any thread and after a fork; all raise `SekhaError` classes with a hint.
"""

from __future__ import annotations

import asyncio
import atexit
import math
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from . import frames, whereabouts
from .ask import Ask, Wishes, prepare_chat, prepare_embedding
from .budget import Budget
from .cassette import Cassette
from .config import change
from .config import load as configuration
from .config.keys import KeyStore
from .conversations import Conversations
from .core.content import Message
from .core.simulation import Simulation
from .core.types import Decision, Embedding, Event, Origin, Reply
from .counting import warm_families
from .display import formatters
from .earlier import learn_in_background
from .engine import Engine
from .errors import InvalidInput
from .experiments import looking_back
from .failover import Patience
from .loop import Emit, run_async, run_blocking
from .mapping.job import Job
from .mapping.kept import Kept
from .mapping.prepare import prepare as prepare_map
from .mapping.rows import read as read_rows
from .probing import probe_all
from .process import cassettes, known_keys
from .progress import bar
from .providers import provider_types, register, warm
from .purse import Purse
from .recall import with_memory, with_room_for_memory
from .state import State
from .storage.forks import renew_in_child
from .stream import Stream

if TYPE_CHECKING:
    import pandas as pd

    from .config.load import Loaded
    from .core.catalogue import Snapshot
    from .experiments.today import Today
    from .experiments.whatif import WhatIf
    from .ledger.store import Ledger
    from .memory.asking import Question
    from .memory.store import Memory
    from .providers.base import Provider

__all__ = ["Registry", "Stream", "current_registry", "get_registry", "set_registry"]

_ASK_AGAIN_SECONDS = 5.0

Prompt = str | Sequence[Message | Mapping[str, Any]]


class Registry:
    """Providers, models and the way to ask them.

    Made by `from_yaml`, `from_dict`, `from_env` or `discover`; `close()` it, or use it in a `with` statement.
    """

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

    # --- making one ---

    @classmethod
    def from_yaml(cls, path: str | os.PathLike[str]) -> Registry:
        """From the file at `path`. Raises `ConfigError`."""
        return cls._load(lambda keys: configuration.load(Path(path), **_surroundings(keys)))

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Registry:
        """From a mapping with the keys of a configuration file. Raises `ConfigError`."""
        return cls._load(lambda keys: configuration.from_mapping(mapping, **_surroundings(keys)))

    @classmethod
    def from_env(cls) -> Registry:
        """From the environment alone, as where there is no file."""
        return cls._load(lambda keys: configuration.from_environment(**_surroundings(keys)))

    @classmethod
    def discover(cls) -> Registry:
        """From the first configuration found, or from nothing but the environment."""
        return cls._load(lambda keys: configuration.load(None, **_surroundings(keys)))

    @classmethod
    def replaying(cls, path: str | os.PathLike[str]) -> Registry:
        """From a cassette alone: no key, configuration or network is used."""
        return cls._playing(Cassette.open(path, "replay"))

    @classmethod
    def _playing(cls, cassette: Cassette) -> Registry:
        nothing = configuration.from_mapping({"llm_providers": []}, **_surroundings(KeyStore({})))
        return cls(nothing, cassette=cassette)

    @classmethod
    def _load(cls, load: Callable[[KeyStore], Loaded]) -> Registry:
        """With what SEKHA_CASSETTE asks for; a replay takes the place of every configuration."""
        cassette = cassettes.of_environment()
        if cassette is not None and cassette.mode == "replay":
            return cls._playing(cassette)
        keys = KeyStore(environ=os.environ)
        return cls(load(keys), keys=keys, cassette=cassette)

    # --- asking ---

    def route(self, prompt: Prompt, *, images: Iterable[Any] = (), system: str | None = None, source: str = "route",
              conversation: str | None = None, log: bool = True, **wishes: Any) -> Decision:  # fmt: skip
        """Choose a model and say why; nothing is sent. Takes the arguments of `chat`.

        Raises `NoEligibleModel`, whose `candidates` hold every reason, and `InvalidInput`.
        """
        checked = self._wishes(wishes)
        self._get_ready(checked)
        origin = self._origin(source, conversation)
        before = self._conversations.of(conversation)
        ask = prepare_chat(prompt, checked, origin, images=images, system=system, before=before, log=log,
                           families=self.state.catalogue.families)  # fmt: skip
        return self._engine().decide(with_room_for_memory(ask), dry_run=True)

    def chat(self, prompt: Prompt, *, system: str | None = None, conversation: str | None = None, new: bool = False,
             images: Iterable[Any] = (), stream: bool | None = None, on_token: Emit | None = None,
             log: bool = True, **wishes: Any) -> Reply:  # fmt: skip
        """Ask, and wait for the answer.

        `prompt` is a text or a list of messages. `conversation` names one that is remembered in this kernel, `new`
        empties it first. `stream` reads the answer as it is written (by default when `on_token` is given, which is
        called in this thread with each piece). Further arguments: `task`, `model`, `preferred_model`, `policy`,
        `require_vision`, `max_cost` (USD), `max_tokens`, `context_size`, `local_only`, `temperature`, `seed`, `schema`,
        `params`, `memory` (how many tokens of what is remembered are quoted before the prompt), `memory_exclude`
        (folders of which nothing is).

        Raises `NoEligibleModel`, `AllProvidersFailed`, `StreamInterrupted`, a class of `ProviderError`, `InvalidInput`.
        """
        streamed = on_token is not None if stream is None else stream
        ask = self._chat_ask(prompt, wishes, system, conversation, new, images, streamed, log)
        engine = self._engine()
        return self._remember(ask, run_blocking(lambda emit: engine.chat(ask, emit), on_token))

    async def achat(self, prompt: Prompt, *, system: str | None = None, conversation: str | None = None,
                    new: bool = False, images: Iterable[Any] = (), stream: bool | None = None,
                    on_token: Emit | None = None, log: bool = True, **wishes: Any) -> Reply:  # fmt: skip
        """`chat` for a caller with a running loop; cancelling it cancels the request."""
        streamed = on_token is not None if stream is None else stream
        ask = await asyncio.to_thread(self._chat_ask, prompt, wishes, system, conversation, new, images, streamed, log)
        engine = self._engine()
        return self._remember(ask, await run_async(lambda emit: engine.chat(ask, emit), on_token))

    def astream(self, prompt: Prompt, *, system: str | None = None, conversation: str | None = None,
                new: bool = False, images: Iterable[Any] = (), log: bool = True, **wishes: Any) -> Stream:  # fmt: skip
        """The answer piece by piece: `async for piece in reg.astream(...)`. Leaving the loop cancels the request."""
        return Stream(
            lambda: self._chat_ask(prompt, wishes, system, conversation, new, images, True, log),
            lambda ask, emit: self._engine().chat(ask, emit),
            self._remember,
        )

    def embed(self, texts: str | Sequence[str], *, model: str | None = None, log: bool = True,
              **wishes: Any) -> Embedding:  # fmt: skip
        """Vectors of `texts`: float32 of shape [number of texts, dimension].

        Further arguments: `task`, `preferred_model`, `policy`, `max_cost`, `local_only`. Raises as `chat` does.
        """
        checked = self._wishes({"model": model, **wishes}, remembering=False)
        self._get_ready(checked)
        ask = prepare_embedding(texts, checked, self._origin("embed", None), self.state.catalogue.families, log=log)
        engine = self._engine()
        return run_blocking(lambda emit: engine.embed(ask, emit))

    def map(self, prompts: Any, template: str | None = None, *, system: str | None = None, concurrency: int = 8,
            max_cost: Any = None, resume: bool = True, fresh: bool = False, progress: bool | None = None,
            log: bool = True, **wishes: Any) -> Job:  # fmt: skip
        """Ask many prompts side by side: `for answer in reg.map(...)`, or `reg.map(...).to_frame()`.

        `prompts` are texts, a column, or with a `template` ("Classify: {{ text }}") a DataFrame. Identical rows are
        asked once, and a row that fails has an `error` in place of an answer. `max_cost` (USD) ends the job before the
        next request could exceed it. `resume` takes over what an interrupted run of the same job has answered within
        the last thirty days; `fresh` asks all of it again. Nothing is kept for that without `log`, while a cassette is
        in use, or when `ledger.content` is not `full`. `progress` draws a bar; by default where a person watches.
        Further arguments are those of `chat`. Nothing is sent before the job is looped over, or its `quote` read.

        Raises `InvalidInput`, `InterpolationError`, and `NoEligibleModel` when no model may answer at all.
        """
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidInput(f"concurrency is {concurrency!r:.80}.", hint="It is a whole number of 1 or more.")
        checked = self._wishes({**wishes, "max_cost": max_cost}, remembering=False)
        rows = read_rows(prompts, template)
        self._get_ready(checked)
        base = prepare_chat("-", checked, self._origin("chat", None), system=system, stream=False, log=log,
                            families=self.state.catalogue.families)  # fmt: skip
        keep = resume and log and self._cassette is None and self.state.loaded.config.ledger.content == "full"
        return prepare_map(
            self._engine(),
            base,
            rows,
            template=template,
            system=system,
            concurrency=concurrency,
            keep=keep,
            fresh=fresh,
            progress=progress,
        )

    def _chat_ask(
        self,
        prompt: Prompt,
        wishes: Mapping[str, Any],
        system: str | None,
        conversation: str | None,
        new: bool,
        images: Iterable[Any],
        stream: bool,
        log: bool,
    ) -> Ask:
        checked = self._wishes(wishes)
        if conversation is not None and (not isinstance(conversation, str) or not conversation.strip()):
            raise InvalidInput(f"conversation is {conversation!r:.80}, not a name.")
        if new and conversation is not None:
            self.forget_conversation(conversation)
        self._get_ready(checked)
        ask = prepare_chat(
            prompt,
            checked,
            self._origin("chat", conversation),
            images=images,
            system=system,
            before=self._conversations.of(conversation),
            stream=stream,
            log=log,
            families=self.state.catalogue.families,
        )
        return self._with_memory(ask)

    def _with_memory(self, ask: Ask) -> Ask:
        """What is remembered, before the prompt. A replay looks for nothing: what was quoted is recorded."""
        if self._cassette is not None and self._cassette.mode == "replay":
            return ask
        configured = self.state.loaded.config.memory
        return with_memory(
            ask,
            lambda: self.memory,
            self.state.catalogue,
            self.state.policy(ask.request.policy or self.state.catalogue.rules.policy),
            kept=configured.enabled,
            embed=lambda texts, model: self.embed(texts, model=model, local_only=ask.wishes.local_only, log=ask.log),
        )

    def _wishes(self, given: Mapping[str, Any], *, remembering: bool = True) -> Wishes:
        known = [name for name in Wishes.__dataclass_fields__ if remembering or not name.startswith("memory")]
        if unknown := sorted(set(given) - set(known)):
            raise InvalidInput(
                f"{unknown[0]} is not an argument of this call.",
                hint=f"Known are {', '.join(known)}; what only the provider knows goes into params={{...}}.",
            )
        return Wishes.of(given, self.state.policies)

    def _engine(self) -> Engine:
        return Engine(self.state, self._log, self._cassette, self.redact, self._purse, self._patience)

    # --- conversations ---

    def conversations(self) -> list[str]:
        """The names of those in this kernel, oldest first."""
        return self._conversations.names()

    def conversation(self, name: str) -> tuple[Message, ...]:
        """What was said in it so far; nothing in one that is not known."""
        return self._conversations.of(name)

    def forget_conversation(self, name: str) -> None:
        """Empty it."""
        self._conversations.forget(name)

    def _remember(self, ask: Ask, reply: Reply) -> Reply:
        if (name := ask.origin.conversation) is not None:
            self._conversations.add(name, ask.own, reply.text)
            if self.state.loaded.config.memory.enabled and ask.log:
                self.memory.keep_turn(name, ask.own, reply.text)
        return reply

    # --- looking ---

    def tasks(self) -> list[str]:
        """The tasks that somebody serves, in alphabetical order."""
        return sorted({task for entry in self.state.catalogue.entries for task in entry.tasks})

    def models(self) -> pd.DataFrame:
        """One row per model and provider; prices are `Decimal` USD per million tokens, None when unknown."""
        self._get_ready(None)
        return frames.models(self.state.catalogue)

    def health(self, probe: bool = False) -> pd.DataFrame:
        """One row per provider, as seen by this kernel.

        `probe` asks each now, all at once and for some seconds at most; nothing is spent. Where a person watches, a bar
        says how many have answered.
        """
        self._get_ready(None)
        return frames.health(self.state, probe_all(self.state) if probe else {})

    def snapshot(self) -> Snapshot:
        """All that a decision made here and now would depend on beside its request."""
        return self._engine().snapshot(self._origin("route", None))

    def whatif(self, *, since: datetime | None = None, everything: bool = False, progress: bool | None = None,
               **changes: Any) -> WhatIf:  # fmt: skip
        """What the logged requests would have cost under other wishes; nothing is sent, nothing priced again.

        `changes` are `policy`, `model`, `preferred_model`, `task`, `local_only`, `max_cost`, `max_tokens`,
        `context_size`, `require_vision`; without any, each decision is taken again as it was. Looked at are the
        requests of this session, or all `since` a moment (with a time zone), or `everything`. The result has
        `to_frame()`, `then`, `now` (USD: low, expected, high), `moved` and `impossible`.

        Raises `InvalidInput`.
        """
        checked = self._wishes(changes, remembering=False)
        return looking_back.whatif(self, changes, checked, since=since, everything=everything, progress=progress)

    def retake(self, decision_id: str | None = None) -> Today:
        """Take a logged decision again with what holds today: the last one, or that whose id begins so.

        Raises `LedgerError` when there is none.
        """
        self._get_ready(None)
        return looking_back.retake(self, decision_id)

    def reset(self, provider_id: str | None = None) -> None:
        """Ask one provider, or all, again as if they had never failed: breakers closed, rests ended.

        Raises `InvalidInput` for a provider that is not configured.
        """
        self.state.reset(provider_id)

    def simulate(self, provider_id: str, *, down: bool = False, latency: float | None = None,
                 status: int | None = None, probability: float = 1.0, retry_after: float | None = None,
                 cut: int | None = None, seed: int | None = None) -> None:  # fmt: skip
        """Let a provider misbehave in this registry until `end_simulation`; in place of what was simulated before.

        `down` refuses connections. `latency` is in seconds before an answer begins. `status` is the HTTP status that a
        share `probability` of the attempts gets, with `retry_after` in seconds (429 and 503). `cut` breaks an answer
        off after so many tokens. `seed` makes the draws for `probability` the same in every run. Raises `InvalidInput`.
        """
        simulation = Simulation(
            down=down,
            latency=latency,
            status=status,
            probability=probability,
            retry_after=retry_after,
            cut=cut,
            seed=seed,
        )
        self.state.simulate(provider_id, simulation)

    def end_simulation(self, provider_id: str | None = None) -> None:
        """End that of one provider, or all. Breaker, rests and errors are again those from before it.

        Raises `InvalidInput` for a provider that is not configured.
        """
        for name in self.state.simulations() if provider_id is None else [provider_id]:
            self.state.simulate(name, None)

    def simulations(self) -> pd.DataFrame:
        """One row per provider that is simulated now, with the arguments of `simulate`."""
        return frames.simulations(self.state.simulations())

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done while loading that its user should know."""
        return self.state.loaded.notes

    # --- budget, ledger and cassette ---

    @property
    def budget(self) -> Budget:
        """What may be spent, and what is left of it."""
        return Budget(self._purse)

    @property
    def ledger(self) -> Ledger:
        """The log of decisions, candidates and calls, opened at first use."""
        from .ledger.store import Ledger
        from .mapping.kept import forget

        with self._lock:
            if self._ledger is None:
                configured = self.state.loaded.config.ledger
                self._ledger = Ledger(configured.path, content=configured.content, redact=self.redact, forget=forget)
            return self._ledger

    @property
    def memory(self) -> Memory:
        """What notebooks remember, opened at first use. `memory.enabled` keeps every named conversation there."""
        from .memory.asking import Asker
        from .memory.embedding import Embedder
        from .memory.store import Memory

        with self._lock:
            if self._memory is None:
                configured = self.state.loaded.config.memory
                embedder = Embedder(
                    embed=lambda texts, model: self.embed(texts, model=model),
                    served=self._embedding_models,
                    # A recording is of one call's texts: how many wait by chance must not change them.
                    mixes=lambda: self._cassette is None,
                    price=self._price_of_embedding,
                )
                self._memory = Memory(
                    configured.path,
                    embedder,
                    asker=Asker(self._ask_for_memory, self._room_for_memory, bar),
                    index=configured.index,
                    redact=self.redact,
                    notebook=whereabouts.notebook,
                    exclude=configured.exclude,
                    elsewhere=[
                        lambda traces: {"turns": self._conversations.forget_turns(traces)},
                        lambda traces: {"texts in the ledger": self.ledger.forget(traces)},
                        lambda traces: {"answers of map": Kept.forget(traces)},
                    ],
                )
            return self._memory

    @property
    def remembered(self) -> Memory | None:
        """The memory, if it was opened in this kernel; opens none."""
        return self._memory

    def _price_of_embedding(self, texts: Sequence[str], model: str) -> Decimal | None:
        wishes = self._wishes({"model": model})
        ask = prepare_embedding(texts, wishes, self._origin("embed", None), self.state.catalogue.families, log=False)
        return self._engine().decide(ask).estimated_cost

    def _ask_for_memory(self, question: Question) -> Reply:
        ask, engine = self._memory_ask(question), self._engine()
        return run_blocking(lambda emit: engine.chat(ask, emit))

    def _room_for_memory(self, question: Question) -> int | None:
        return self._engine().room(self._memory_ask(question))

    def _memory_ask(self, question: Question) -> Ask:
        checked = self._wishes(question.wishes)
        self._get_ready(checked)
        return prepare_chat(question.messages, checked, self._origin(question.source, question.conversation),
                            stream=False, families=self.state.catalogue.families)  # fmt: skip

    def _embedding_models(self) -> list[str]:
        self._get_ready(None)
        return [entry.model_id for entry in self.state.catalogue.entries if "embedding" in entry.tasks]

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

    def _log(self, event: Event) -> None:
        self.ledger.append(event)

    def _origin(self, source: str, conversation: str | None) -> Origin:
        return Origin(self.session_id, source, whereabouts.notebook(), whereabouts.cell_id(), conversation)

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

    def __repr__(self) -> str:
        entries = self.state.catalogue.entries
        providers = {entry.provider_id for entry in entries}
        return f"<Registry: {len(entries)} models at {len(providers)} providers, from {self.state.loaded.source}>"


def _surroundings(keys: KeyStore) -> dict[str, Any]:
    return {"environ": os.environ, "cwd": Path.cwd(), "provider_types": provider_types(), "keys": keys}


_registry: Registry | None = None
_registry_lock = threading.Lock()


def get_registry() -> Registry:
    """The one the magics use, made by `Registry.discover()` at first use. Raises `ConfigError`."""
    global _registry  # noqa: PLW0603 - one registry per kernel is the point
    with _registry_lock:
        if _registry is None:
            _registry = Registry.discover()
        return _registry


def current_registry() -> Registry | None:
    """The one the magics use, if there is one yet; makes none."""
    return _registry


def set_registry(registry: Registry | None) -> None:
    """Let the magics use `registry`; None lets the next one be discovered anew."""
    global _registry  # noqa: PLW0603
    if registry is not None and not isinstance(registry, Registry):
        raise InvalidInput(f"{registry!r:.80} is not a Registry.", hint="Make one with Registry.from_yaml(path).")
    with _registry_lock:
        _registry = registry
