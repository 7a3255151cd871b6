"""What a registry remembers: conversations of this kernel, and the memory, which is given what asks and embeds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .. import whereabouts
from ..ask import Ask, prepare_chat, prepare_embedding
from ..core.content import Message
from ..core.types import Embedding, Reply
from ..loop import run_blocking
from ..mapping.kept import Kept
from ..progress import bar
from ..recall import with_memory
from .held import Held

if TYPE_CHECKING:
    from ..memory.asking import Question
    from ..memory.store import Memory

__all__ = ["Remembering"]


class Remembering(Held, ABC):
    """Conversations and memory."""

    @abstractmethod
    def embed(self, texts: str | Sequence[str], *, model: str | None = None, log: bool = True,
              **wishes: Any) -> Embedding: ...  # fmt: skip

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

    # --- memory ---

    @property
    def memory(self) -> Memory:
        """What notebooks remember, opened at first use. `memory.enabled` keeps every named conversation there."""
        from ..memory.asking import Asker
        from ..memory.embedding import Embedder
        from ..memory.store import Memory

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

    def _remember(self, ask: Ask, reply: Reply) -> Reply:
        if (name := ask.origin.conversation) is not None:
            self._conversations.add(name, ask.own, reply.text)
            if self.state.loaded.config.memory.enabled and ask.log:
                self.memory.keep_turn(name, ask.own, reply.text)
        return reply

    # --- what the memory is given ---

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
