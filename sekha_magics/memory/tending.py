"""How a memory is carried elsewhere, cleared out, and made to forget."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..errors import InvalidInput
from . import checks
from .archive import missing
from .finding import Finding

if TYPE_CHECKING:
    from datetime import timedelta

    import pandas as pd

    from .reindexing import Reindexing
    from .transfer import Brought

__all__ = ["Tending"]


class Tending(Finding):
    """What removes or rewrites says first what it would do, where it is asked with `dry_run`."""

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
