"""The ways to ask: once or many times, waiting or not, for an answer, vectors, or the choice alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..ask import Ask, prepare_chat, prepare_embedding
from ..core.content import Message
from ..core.types import Decision, Embedding, Reply
from ..errors import InvalidInput
from ..loop import Emit, run_async, run_blocking
from ..mapping.job import Job
from ..mapping.prepare import prepare as prepare_map
from ..mapping.rows import read as read_rows
from ..recall import with_room_for_memory
from ..stream import Stream
from .remembering import Remembering

__all__ = ["Asking"]

Prompt = str | Sequence[Message | Mapping[str, Any]]


class Asking(Remembering):
    """Every one checks what it is given, and goes by the engine."""

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
