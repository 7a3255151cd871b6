"""What a memory holds, and how messages come into it and are changed.

A message is committed before the call that adds it returns; its vector follows in the background.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.content import Message
from ..errors import InvalidInput, MemoryStoreError
from ..storage.paths import data_path
from . import checks
from .archive import Archive, NewMessage
from .asking import Asker
from .embedding import Embedder, Embedding
from .matrices import Matrices
from .scopes import Scopes
from .vectors import Vectors

if TYPE_CHECKING:
    from .forgetting import Elsewhere

__all__ = ["Held"]

_AT_ONCE = 500
_DEFAULT = "notes"
_OF_A_CONVERSATION = ("folder", "label", "importance", "pinned", "archived")
_OF_A_MESSAGE = ("content", "folder", "label", "importance")


class Held:
    """Files, and what works on them in the background: of `Memory`, which says what the arguments are."""

    def __init__(
        self,
        folder: Path | None,
        embedder: Embedder,
        *,
        asker: Asker | None = None,
        index: Literal["exact", "hnsw"] = "exact",
        redact: Callable[[str], str] = str,
        notebook: Callable[[], str | None] = lambda: None,
        graph_from: int = 20_000,
        elsewhere: Sequence[Elsewhere] = (),
        exclude: Sequence[str] = (),
    ) -> None:
        self._folder = (data_path() / "memory" if folder is None else Path(folder).expanduser()).absolute()
        self._redact, self._notebook, self._elsewhere = redact, notebook, elsewhere
        self._exclude = checks.check_folders(exclude, "exclude")
        self._archive = Archive(self._folder / "memory.sqlite")
        self._vectors = Vectors(self._archive, self._folder)
        self._embedder, self._asker = embedder, asker
        self._embedding = Embedding(self._archive, self._vectors, embedder, self._folder / "kernels")
        self._scopes = Scopes(self._archive)
        self._matrices = Matrices(self._vectors, index, graph_from)
        # What an earlier kernel left without vectors is seen to by this one. A disk that refuses says so at first use.
        with suppress(MemoryStoreError):
            if self._archive.rows("SELECT 1 FROM unembedded LIMIT 1"):
                self._embedding.notice()

    @property
    def path(self) -> Path:
        """The folder: `memory.sqlite`, and a DuckDB file for each table of vectors."""
        return self._folder

    # --- adding ---

    def add(
        self,
        text: str | Iterable[str],
        conversation: str = _DEFAULT,
        role: str = "user",
        folder: str | None = None,
        label: str | None = None,
        importance: int | None = None,
        model: str | None = None,
        ts: datetime | str | None = None,
    ) -> str | list[str]:
        """Keep a text, or each of several, and give its message id, or a list of them.

        A conversation of a new name takes `folder` ("/uni/notes"), `label` and `importance` (1 to 10); in one that is
        there they are the message's own. `model` names the embedding model; by default routing chooses it. `ts` is when
        it was said, UTC without a time zone of its own; by default now. A text is committed when this returns, of many
        each 500; vectors are made in the background. Raises `InvalidInput`.
        """
        rows = checks.check_texts(text)
        checks.check_choice(role, "role", checks.ROLES)
        name = checks.check_name(conversation, "conversation")
        given = {
            "folder": None if folder is None else checks.check_folder(folder),
            "label": None if label is None else checks.check_name(label, "label"),
            "importance": None if importance is None else checks.check_importance(importance),
            "model": None if model is None else checks.check_name(model, "model"),
        }
        said = None if ts is None else checks.check_time(ts, "ts")
        ids = self._keep([NewMessage(role, row, said) for row in rows], name, **given)
        return ids[0] if isinstance(text, str) else ids

    def add_vectors(self, model: str, messages: Sequence[str], vectors: Any) -> int:
        """Keep vectors of `model` that were made elsewhere, one for each message id, and say how many were kept.

        `vectors` is of shape [messages, dimension]. Many at once go straight to the file. A message that is gone takes
        none. Raises `MemoryStoreError` for vectors that do not fit the model's table, or cannot be compared.
        """
        import numpy as np

        ids = checks.check_texts(messages)
        array = np.asarray(vectors)
        name = checks.check_name(model, "model")
        known = [table for table in self._vectors.tables() if table.model == name]
        fitting = [table for table in known if array.ndim == 2 and table.dimension == array.shape[1]]
        if fitting or known:
            table = (fitting or known)[-1]
        elif array.ndim == 2:
            table = self._vectors.table(int(array.shape[1]), name)
        else:
            raise InvalidInput(f"vectors is of shape {list(array.shape)}.", hint="It is [messages, dimension].")
        return self._vectors.put(table, ids, array)

    def keep_turn(self, conversation: str, said: Sequence[Message], answer: str) -> None:
        """Keep one turn of a conversation, without its system prompt. A disk that refuses costs a warning."""
        turn = [NewMessage(m.role, checks.sound(m.text)) for m in said if m.role != "system" and m.text.strip()]
        if answer.strip():
            turn.append(NewMessage("assistant", checks.sound(answer)))
        # Names of conversations in a kernel may be anything.
        name = " ".join("".join(c if c.isprintable() else " " for c in checks.sound(conversation)).split())[:300]
        try:
            self._keep(turn, conversation=name or _DEFAULT)
        except MemoryStoreError as error:
            warnings.warn(f"This turn is not in the memory: {error.message}", stacklevel=2)

    def _keep(self, messages: Sequence[NewMessage], conversation: str, **more: Any) -> list[str]:
        if not messages:
            return []
        ids: list[str] = []
        holder = self._embedding.holder
        clean = [NewMessage(m.role, self._redact(m.content), m.ts) for m in messages]
        for start in range(0, len(clean), _AT_ONCE):
            part = clean[start : start + _AT_ONCE]
            ids += self._archive.add(part, self._redact(conversation), holder=holder, notebook=self._notebook(), **more)
        self._embedding.notice()
        return ids

    # --- changing ---

    def set_conversation(self, conversation: str, **fields: Any) -> None:
        """Set `folder`, `label`, `importance`, `pinned` or `archived`. Raises `InvalidInput`."""
        checked = checks.check_fields(fields, _OF_A_CONVERSATION, ("folder", "importance", "pinned", "archived"))
        self._archive.change_conversation(checks.check_name(conversation, "conversation"), checked)

    def set_message(self, message: str, **fields: Any) -> None:
        """Set `content`, `folder`, `label` or `importance`; None takes its conversation's. Raises `InvalidInput`."""
        checked = checks.check_fields(fields, _OF_A_MESSAGE, ("content",))
        if "content" in checked:
            checked["content"] = self._redact(checked["content"])
        self._archive.change_message(checks.check_name(message, "message"), checked, holder=self._embedding.holder)
        self._embedding.notice()

    # --- vectors and files ---

    def flush(self) -> int:
        """Make the vectors that are missing now, and say how many messages are left without one."""
        return self._embedding.embed_now()

    def fold(self) -> bool:
        """Move all vectors to their DuckDB files now. False when another process is at it, or holds a file open."""
        return self._vectors.fold(force=True)

    def build_index(self) -> None:
        """Build what `memory.index: hnsw` asks for now, and wait for it; without it the first search begins it."""
        self._matrices.build(self._scopes.seen())

    def close(self) -> None:
        """Let go of threads and files. The memory can be used again."""
        self._embedding.close()
        self._matrices.forget()
        self._archive.close()
