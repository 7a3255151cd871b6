"""What is in a memory, found by meaning and by words, asked in SQL, or listed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidInput
from . import checks
from .held import Held
from .periods import LEVELS
from .scopes import Wanted

if TYPE_CHECKING:
    import pandas as pd

    from .context import Context
    from .embedding import Embedded

__all__ = ["Finding"]

MODES = ("hybrid", "vector", "text")


class Finding(Held):
    """Nothing here changes a memory."""

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
        first, then the best by similarity, importance and recency. Nothing is from a folder of `exclude` or of
        `memory.exclude`, or stands in `seen`. `embed` makes the query's vectors, by default as for a search. Raises
        `InvalidInput`.
        """
        from .context import count_at_most, recall

        return recall(
            checks.check_query(query),
            checks.check_tokens(token_budget),
            (*self._exclude, *checks.check_folders(exclude, "exclude")),
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

    # --- listing ---

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

    def summaries(self, conversation: str | None = None, level: str | None = None) -> pd.DataFrame:
        """One row per summary, by conversation, level and time, with its `period`, `content` and `sources` (ids)."""
        from .frames import summaries_frame

        name = None if conversation is None else checks.check_name(conversation, "conversation")
        return summaries_frame(
            self._archive, name, None if level is None else checks.check_choice(level, "level", LEVELS)
        )

    def stats(self) -> pd.DataFrame:
        """What there is: one row of `what`, `count`, `bytes` (on disk) and `detail` for each kind."""
        from .frames import stats_frame

        return stats_frame(self._folder, self._archive, self._vectors, self._matrices)
