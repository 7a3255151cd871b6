"""The memory: what was said is kept for all kernels of a user, and found again by meaning and by words.

A message is committed before the call that adds it returns; its vector follows in the background. Other kernels see
both with their next search.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.content import Message
from ..errors import InvalidInput, MemoryStoreError
from ..storage.paths import data_path
from . import checks
from .archive import Archive, NewMessage, missing
from .asking import Asker
from .embedding import Embedder, Embedding
from .matrices import Matrices
from .periods import LEVELS
from .scopes import Scopes, Wanted
from .vectors import Vectors

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd

    from .context import Context
    from .embedding import Embedded
    from .forgetting import Elsewhere
    from .judging import Score
    from .reindexing import Reindexing
    from .transfer import Brought

__all__ = ["Memory"]

MODES = ("hybrid", "vector", "text")
_AT_ONCE = 500
_DEFAULT = "notes"
_OF_A_CONVERSATION = ("folder", "label", "importance", "pinned", "archived")
_OF_A_MESSAGE = ("content", "folder", "label", "importance")


class Memory:
    """The memory in `folder`, by default `<data dir>/memory`, shared by any number of kernels.

    `redact` goes over every text before it is stored, `notebook` says where a new conversation comes from, `graph_from`
    is the number of vectors from which on `hnsw` is used; with fewer, exact search is as fast. `elsewhere` are the
    other places that a forgotten text has to leave. Safe to use from any thread, and after a fork. Every method may
    raise `MemoryStoreError` when the disk refuses.
    """

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
    ) -> None:
        self._folder = (data_path() / "memory" if folder is None else Path(folder).expanduser()).absolute()
        self._redact, self._notebook, self._elsewhere = redact, notebook, elsewhere
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

    # --- finding ---

    def search(
        self,
        query: str,
        k: int = 10,
        mode: Literal["hybrid", "vector", "text"] = "hybrid",
        folder: str | None = None,
        exclude: str | Iterable[str] = (),
        label: str | None = None,
        models: str | Iterable[str] | None = None,
        archived: bool = False,
    ) -> pd.DataFrame:
        """The `k` messages that fit `query` best, best first.

        `vector` looks by meaning, `text` by words, `hybrid` merges both. `folder` is looked in with all below it, never
        in those of `exclude`. `models` are the embedding models whose vectors are looked at; by default all, and
        `attrs["skipped"]` says which could not be asked, and why. Columns: score (reciprocal rank fusion), ranks (by
        source), cosine (the best), snippet, content, conversation, folder, label, role, importance, pinned, ts (UTC),
        age, message_id. Raises `InvalidInput`.
        """
        from .frames import hits_frame
        from .search import look

        asked = checks.check_query(query)
        checks.check_choice(mode, "mode", MODES)
        wanted = Wanted(
            folder=None if folder is None else checks.check_folder(folder),
            label=None if label is None else checks.check_name(label, "label"),
            exclude=checks.check_folders(exclude, "exclude"),
            archived=checks.check_flag(archived, "archived"),
        )
        found = look(
            asked,
            checks.check_k(k),
            mode,
            wanted,
            self._known_models(models),
            archive=self._archive,
            scopes=self._scopes,
            matrices=self._matrices,
            embedder=self._embedder,
        )
        return hits_frame(self._archive, query, found)

    def context(
        self,
        query: str,
        token_budget: int,
        exclude: str | Iterable[str] = (),
        *,
        seen: str = "",
        count: Callable[[str], int] | None = None,
        embed: Callable[[Sequence[str], str | None], Embedded] | None = None,
    ) -> Context:
        """What helps with `query`, quoted so that a model can read it and it cannot speak for anybody.

        It comes to `token_budget` tokens at most: by `count`, or by more than any model counts. Pinned messages are
        first, then the best by similarity, importance and recency. Nothing is from a folder of `exclude` or stands in
        `seen`. `embed` makes the query's vectors, by default as for a search. Raises `InvalidInput`.
        """
        from .context import count_at_most, recall

        return recall(
            checks.check_query(query),
            checks.check_tokens(token_budget),
            checks.check_folders(exclude, "exclude"),
            seen,
            count or count_at_most,
            archive=self._archive,
            scopes=self._scopes,
            matrices=self._matrices,
            embedder=self._embedder if embed is None else replace(self._embedder, embed=embed),
        )

    def _known_models(self, models: str | Iterable[str] | None) -> tuple[str, ...] | None:
        if models is None:
            return None
        names = checks.check_texts(models)
        known = sorted({table.model for table in self._vectors.tables()})
        if unknown := [name for name in names if name not in known]:
            raise InvalidInput(
                f"There are no vectors of {unknown[0]!r:.80}.",
                hint=f"There are vectors of {', '.join(known) or 'no model'}.",
            )
        return names

    def sql(self, query: str, frames: Mapping[str, pd.DataFrame] | None = None) -> pd.DataFrame:
        """Answer a query over conversations, messages, summaries, the tables of vectors and `frames`.

        Each `embeddings_<dimension>_<model>` has message_id, model, vector; `embeddings_<dimension>` is all of one
        dimension. The query changes nothing, and reads nothing else. Raises `MemoryStoreError` when DuckDB refuses it.
        """
        from .tables import query as answer

        if not isinstance(query, str):
            raise InvalidInput(f"A query is a text, not a {type(query).__name__}.")
        return answer(self._archive, self._vectors, query, frames or {})

    # --- looking ---

    def conversations(self) -> pd.DataFrame:
        """One row per conversation, oldest first, with the number of its messages."""
        from .frames import conversations_frame

        return conversations_frame(self._archive)

    def messages(self, conversation: str | None = None) -> pd.DataFrame:
        """One row per message, oldest first; of one conversation, or of all."""
        from .frames import messages_frame

        return messages_frame(
            self._archive, None if conversation is None else checks.check_name(conversation, "conversation")
        )

    def names(self) -> list[str]:
        """The names of the conversations, oldest first."""
        return [row[0] for row in self._archive.rows("SELECT name FROM conversations ORDER BY seq")]

    def folders(self) -> list[str]:
        """The folders messages stand in, in alphabetical order."""
        return [row[0] for row in self._archive.rows("SELECT DISTINCT folder FROM remembered ORDER BY folder")]

    def stats(self) -> pd.DataFrame:
        """What there is: one row of `what`, `count`, `bytes` (on disk) and `detail` for each kind."""
        from .frames import stats_frame

        return stats_frame(self._folder, self._archive, self._vectors, self._matrices)

    # --- asking a model ---

    def summarize(self, conversation: str, level: str = "daily", *, fresh: bool = False, **wishes: Any) -> pd.DataFrame:
        """Have the conversation summarized by day, week or month (`daily`, `weekly`, `monthly`), and give `summaries`.

        At most 200, 500 and 1000 words, each level made from the one below. What was summarized before is asked about
        again only if it changed, or with `fresh`. `wishes` are those of `Registry.chat` (model, task, max_cost for it
        all, local_only, ...). `attrs` has `made` (how many now), `asked` and `cost_usd`. What is done is kept when the
        rest fails or is interrupted. Raises as `Registry.chat` does, and `UnusableAnswer`.
        """
        from .summaries import make

        checks.check_choice(level, "level", LEVELS)
        name, asker = checks.check_name(conversation, "conversation"), self._asking()
        checks.check_flag(fresh, "fresh")
        errand, made = make(self._archive, asker, self._redact, name, level, fresh=fresh, wishes=wishes)
        frame = self.summaries(name, level)
        frame.attrs.update(made=made, asked=errand.asked, cost_usd=errand.cost_usd)
        return frame

    def summaries(self, conversation: str | None = None, level: str | None = None) -> pd.DataFrame:
        """One row per summary, by conversation, level and time, with its `period`, `content` and `sources` (ids)."""
        from .frames import summaries_frame

        name = None if conversation is None else checks.check_name(conversation, "conversation")
        return summaries_frame(
            self._archive, name, None if level is None else checks.check_choice(level, "level", LEVELS)
        )

    def score(
        self, *, conversation: str | None = None, message: str | None = None, keep: bool = False, **wishes: Any
    ) -> Score:
        """Have a model say how important a conversation or a message is, from 1 to 10, and why.

        With `keep` it becomes its importance. `wishes` are as in `summarize`. Raises as that does.
        """
        from . import judging

        if (conversation is None) == (message is None):
            raise InvalidInput("Name a conversation or a message.", hint='score(conversation="plans")')
        checks.check_flag(keep, "keep")
        if message is not None:
            ident = checks.check_name(message, "message")
            name, pieces = judging.of_message(self._archive, ident)
        else:
            name = checks.check_name(conversation, "conversation")
            pieces = judging.of_conversation(self._archive, name)
        score = judging.score(self._asking(), name, pieces, wishes)
        if keep and message is not None:
            self.set_message(ident, importance=score.importance)
        elif keep:
            self.set_conversation(name, importance=score.importance)
        return score

    def suggest_labels(self, conversation: str, **wishes: Any) -> list[str]:
        """Have a model suggest one to five labels for a conversation, the best first; none is set.

        `wishes` are as in `summarize`. Raises as that does.
        """
        from . import judging

        name = checks.check_name(conversation, "conversation")
        return judging.labels(self._asking(), name, judging.of_conversation(self._archive, name), wishes)

    def _asking(self) -> Asker:
        if self._asker is None:
            raise InvalidInput("This memory was given no model to ask.", hint="Use that of a registry: reg.memory.")
        return self._asker

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

    def delete(self, *, conversation: str | None = None, message: str | Iterable[str] | None = None) -> int:
        """Delete a conversation, or messages by their ids; the number of messages. Raises `InvalidInput`."""
        name, ids = checks.check_one(conversation, message, "delete")
        return self._archive.delete_messages(ids) if name is None else self._archive.delete_conversation(name)

    def forget(
        self, *, conversation: str | None = None, message: str | Iterable[str] | None = None, dry_run: bool = False
    ) -> pd.DataFrame:
        """Remove a conversation, or messages by their ids, so that no file under the data directory holds their text.

        With it go other messages that repeat it, summaries made of it, its words and vectors, and the prompts and
        answers in the ledger and of `map` that have a passage of it. One row per message that goes, and `attrs` with
        counts of the rest. `dry_run` changes nothing. Raises `InvalidInput`, and when something is in the way
        `MemoryStoreError` or `LedgerError`; it can then be asked for again.
        """
        from . import forgetting

        name, ids = checks.check_one(conversation, message, "forget")
        going = forgetting.find(self._archive, name, ids)
        frame = going.frame()
        if not checks.check_flag(dry_run, "dry_run"):
            frame.attrs.update(forgetting.forget(self._archive, self._vectors, going, self._elsewhere))
        return frame

    # --- coming and going ---

    def export(
        self, path: str | os.PathLike[str], *, conversation: str | None = None, format: str | None = None
    ) -> list[Path]:
        """Write all conversations, or one, to `path`, and say which files.

        A name that ends in .json or .md becomes that file, any other a folder of Parquet files; or as `format` says
        (json, markdown, parquet). JSON and Parquet hold everything but vectors, and `import_from` takes them back.
        """
        from . import exports, transfer

        target = checks.check_path(path)
        name = None if conversation is None else checks.check_name(conversation, "conversation")
        if name is not None and name not in self.names():
            raise missing("conversations", name)
        form = format or exports.SUFFIXES.get(target.suffix.lower(), "parquet")
        return exports.write(transfer.take(self._archive, name), target, form)

    def import_from(self, path: str | os.PathLike[str], *, folder: str | None = None) -> Brought:
        """Keep the conversations of a file: an export of this package, or what ChatGPT or Claude gave its user.

        Those come to stand in `folder`, by default /imported/chatgpt or /imported/claude. What is here already stays
        as it is, so a later export of the same can be imported over it. Vectors follow in the background. Raises
        `InvalidInput` for what is not understood.
        """
        from . import imports, transfer

        wanted = None if folder is None else checks.check_folder(folder)
        found = imports.read(checks.check_path(path), wanted)
        brought = transfer.bring(self._archive, found.conversations, self._redact, holder=self._embedding.holder)
        self._embedding.notice()
        return replace(brought, skipped=found.skipped)

    # --- upkeep ---

    def prune(
        self,
        *,
        older_than: int | timedelta | None = None,
        importance: int | None = None,
        folder: str | None = None,
        action: Literal["archive", "delete"] = "archive",
        dry_run: bool = True,
    ) -> pd.DataFrame:
        """Archive or delete conversations that have had their time; without `dry_run=False` only say which.

        `older_than` is days or a timedelta since the newest message, `importance` the highest that goes, `folder` where
        all of it stands; all that are given must hold. Pinned ones stay. What is archived is not found, and can be had
        back with `set_conversation(..., archived=False)`. Raises `InvalidInput`.
        """
        from . import pruning

        rules = pruning.Rules(
            None if older_than is None else checks.check_age(older_than),
            None if importance is None else checks.check_importance(importance),
            None if folder is None else checks.check_folder(folder),
        )
        if rules == pruning.Rules():
            raise InvalidInput("Nothing says what is to go.", hint="prune(older_than=365, importance=3)")
        checks.check_choice(action, "action", pruning.ACTIONS)
        return pruning.prune(self._archive, rules, action, dry_run=checks.check_flag(dry_run, "dry_run"))

    def reindex(self, model: str, *, dry_run: bool = False) -> Reindexing:
        """Make a vector of `model` for every message that has none; with `dry_run` only say how many, and the price.

        Each batch of 128 is kept at once: interrupted, it goes on when it is called again, in any kernel, and nothing
        is embedded twice. Raises `InvalidInput`, as `Registry.embed` does, and `MemoryStoreError`.
        """
        from . import reindexing

        name = checks.check_name(model, "model")
        if checks.check_flag(dry_run, "dry_run"):
            return reindexing.plan(self._archive, self._embedder, self._embedding, name)
        done = reindexing.reindex(self._archive, self._embedder, self._embedding, name, self._folder)
        self._vectors.fold(wait=0.0)
        return done

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
