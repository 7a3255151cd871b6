"""Vectors for what was added, made in the background while nobody waits.

Every message that needs a vector stands in SQLite from the moment it is added, under the name of its kernel. A kernel
works off its own, and takes over those of kernels that are gone. Where no model can be reached the texts stay, are
found by their words, and are tried again later.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import BadRequest, ContentRefused, ContextLengthExceeded, InvalidInput, MemoryStoreError, SekhaError
from ..storage.forks import renew_in_child
from ..storage.liveness import Alive, is_alive
from .archive import Archive
from .vectors import Text, Vectors

__all__ = ["CHARACTERS", "Embedded", "Embedder", "Embedding"]

_BATCH = 128
CHARACTERS = 6_000
"""Of a long message the beginning is embedded: models read 512 tokens and up, and cut or refuse what is longer."""

_ATTEMPTS = 3
_PATIENCE, _LONGEST_PATIENCE = 60.0, 3600.0
_CLOSING_SECONDS = 5.0
_OF_THE_TEXT = (BadRequest, ContentRefused, ContextLengthExceeded, InvalidInput)


class Embedded(Protocol):
    """Vectors float32 of shape [texts, dimension], and the model that gave them."""

    @property
    def vectors(self) -> Any: ...
    @property
    def model_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Embedder:
    """What a memory is given to make vectors with.

    `embed` takes texts and the model they must be embedded with, None for any, and raises `SekhaError`. `served` names
    the models on offer. `mixes` says whether texts of several calls may be embedded together, and `price` what texts
    would cost with a model, in USD; None where that is unknown.
    """

    embed: Callable[[Sequence[str], str | None], Embedded]
    served: Callable[[], Sequence[str]]
    mixes: Callable[[], bool]
    price: Callable[[Sequence[str], str], Decimal | None] | None = None


class _Waiting(NamedTuple):
    text: Text
    batch: str
    model: str | None
    attempts: int


class Embedding:
    """The thread that embeds for this kernel, begun with the first message. `folder` holds kernels' signs of life."""

    def __init__(self, archive: Archive, vectors: Vectors, embedder: Embedder, folder: Path) -> None:
        self._archive, self._vectors, self._embedder = archive, vectors, embedder
        self._folder = folder
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Protects the fields below; the thread waits on it.
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._due: float | None = None
        self._ending = False
        self._patience = _PATIENCE
        # Held while texts are embedded: two threads would pay for the same ones.
        self._working = threading.Lock()
        self._signing = threading.Lock()
        sign: Alive | None = getattr(self, "_sign", None)
        if sign is not None:
            sign.forget()
        self._sign: Alive | None = None

    @property
    def holder(self) -> str:
        """The name under which this kernel's messages wait."""
        with self._signing:
            if self._sign is None:
                # In a transaction, as others look for the dead in one: nobody meets a sign that is not locked yet.
                with self._archive.writing():
                    self._sign = Alive(self._folder / uuid.uuid4().hex)
            return self._sign.path.name

    def notice(self) -> None:
        """Something waits. Returns at once."""
        with self._changed:
            self._due = time.monotonic()
            self._patience = _PATIENCE
            if self._thread is None or not self._thread.is_alive():
                self._ending = False
                self._thread = threading.Thread(target=self._run, name="sekha-embed", daemon=True)
                self._thread.start()
            self._changed.notify()

    def embed_now(self) -> int:
        """Embed what waits, in this thread, and say how many messages are left without a vector."""
        with self._working:
            self._adopt()
            self._work(lambda: False)
        return int(self._archive.rows("SELECT count(*) FROM unembedded WHERE holder = ?", (self.holder,))[0][0])

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing is embedded meanwhile but by who asked for this; what waits for kernels that are gone is ours."""
        with self._working:
            self._adopt()
            yield

    def embed_with(self, model: str, texts: Sequence[Text]) -> int:
        """Embed these with that model now, and say how many have a vector of it. For who holds `alone`."""
        batch = [_Waiting(text, "", model, 0) for text in texts]
        try:
            return self._embed(batch)
        except _OF_THE_TEXT:
            return self._one_by_one(batch)

    def close(self) -> None:
        """Let the thread end after its batch; what waits is taken over by the next kernel."""
        with self._changed:
            thread, self._ending = self._thread, True
            self._changed.notify()
        if thread is not None:
            # Not longer: a provider that hangs must not keep a kernel from ending.
            thread.join(_CLOSING_SECONDS)
        with self._signing:
            if self._sign is not None:
                self._sign.end()
                self._sign = None

    # --- the thread ---

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._ending and (self._due is None or time.monotonic() < self._due):
                    self._changed.wait(None if self._due is None else max(0.0, self._due - time.monotonic()))
                self._due = None
                if self._ending:
                    return
            done = self._attempt()
            with self._changed:
                if not done:
                    self._due = self._due or time.monotonic() + self._patience
                    self._patience = min(2 * self._patience, _LONGEST_PATIENCE)

    def _attempt(self) -> bool:
        """Whether nothing is left to try again."""
        try:
            with self._working:
                self._adopt()
                done = self._work(lambda: self._ending)
            return self._vectors.fold(wait=0.0) and done
        except MemoryStoreError:
            # The disk refuses for now; what waits is still there.
            return False

    def _adopt(self) -> None:
        """Take over what waits for kernels that are gone."""
        mine = self.holder
        with self._archive.writing() as connection:
            named = {row[0] for row in connection.execute("SELECT DISTINCT holder FROM unembedded")}
            signs = {path.name for path in self._folder.glob("*")}
            for holder in sorted((named | signs) - {mine}):
                if not holder or not is_alive(self._folder / holder):
                    connection.execute("UPDATE unembedded SET holder = ? WHERE holder = ?", (mine, holder))

    def _work(self, ending: Callable[[], bool]) -> bool:
        """Embed until nothing waits. False when models cannot be reached, and it must be tried again later."""
        out_of_reach: list[str] = []
        while not ending():
            batch = self._next(out_of_reach)
            if not batch:
                return not out_of_reach
            if not self._embedder.served():
                self._refused(batch, "no embedding model is configured", counted=False)
                return False
            try:
                self._embed(batch)
            except _OF_THE_TEXT as error:
                if len(batch) == 1:
                    self._refused(batch, error.message, counted=True)
                else:
                    self._one_by_one(batch)
            except SekhaError as error:
                self._refused(batch, error.message, counted=False)
                # Others may ask for a model that answers.
                out_of_reach.append(batch[0].model or "")
        return False

    def _one_by_one(self, batch: Sequence[_Waiting]) -> int:
        """One text in a batch that is refused must not keep the others from being found."""
        count = 0
        for one in batch:
            try:
                count += self._embed([one])
            except _OF_THE_TEXT as error:
                self._refused([one], error.message, counted=True)
        return count

    def _embed(self, batch: Sequence[_Waiting]) -> int:
        texts = list(dict.fromkeys(one.text.content[:CHARACTERS] for one in batch))
        embedded = self._embedder.embed(texts, batch[0].model)
        row_of = {text: row for row, text in enumerate(texts)}
        vectors = embedded.vectors[[row_of[one.text.content[:CHARACTERS]] for one in batch]]
        table = self._vectors.table(int(vectors.shape[1]), embedded.model_id)
        sound = _sound(vectors)
        good = [row for row, fine in enumerate(sound) if fine]
        kept = self._vectors.put(table, [batch[row].text for row in good], vectors[good]) if good else 0
        if bad := [one for one, fine in zip(batch, sound, strict=True) if not fine]:
            self._refused(bad, f"{embedded.model_id} gave a vector that is zero or no number", counted=True)
        return kept

    def _next(self, without: Sequence[str]) -> list[_Waiting]:
        """The messages to embed next: of one model, none of `without`; and of one call where calls are not mixed."""
        rows = self._archive.rows(
            "SELECT m.seq, m.message_id, m.content, u.batch, u.model, u.attempts FROM unembedded AS u"
            " JOIN messages AS m ON m.seq = u.message WHERE u.holder = ? AND u.attempts < ?"
            f" AND coalesce(u.model, '') NOT IN ({','.join('?' * len(without))})"
            " ORDER BY u.attempts, u.message LIMIT ?",
            (self.holder, _ATTEMPTS, *without, _BATCH),
        )
        waiting = [_Waiting(Text(*row[:3]), *row[3:]) for row in rows]
        mixes = self._embedder.mixes()
        first = waiting[:1]
        return [one for one in waiting if one.model == first[0].model and (mixes or one.batch == first[0].batch)]

    def _refused(self, batch: Sequence[_Waiting], why: str, *, counted: bool) -> None:
        with self._archive.writing() as connection:
            connection.executemany(
                "UPDATE unembedded SET error = ?, attempts = attempts + ? WHERE message = ?",
                [(why[:500], int(counted), one.text.seq) for one in batch],
            )


def _sound(vectors: Any) -> list[bool]:
    import numpy as np

    finite: list[bool] = (np.isfinite(vectors).all(axis=1) & (np.abs(vectors).max(axis=1) > 0)).tolist()
    return finite
