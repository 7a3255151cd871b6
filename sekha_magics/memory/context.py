"""What of the memory helps with a question, chosen and quoted so that it fits a number of tokens.

A message's score is 2 parts similarity, 1 part importance and 1 part recency, after J. S. Park et al.: Generative
Agents: Interactive Simulacra of Human Behavior, UIST 2023, section 4.1, which adds the same three. Similarity is the
score of the search, from 0 for the last of those found to 1 for the first; importance is the message's, of 10; recency
halves every 30 days. What is pinned comes first, found or not. What stands in an excluded folder never comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.tokens import estimate_text
from ..core.types import Quoted
from .archive import Archive
from .embedding import Embedder
from .matrices import Matrices
from .quoting import Source, fill, frame
from .scopes import Scope, Scopes, Wanted
from .search import Hit, look

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Context", "count_at_most", "recall"]

_PARTS = (0.5, 0.25, 0.25)
_HALF_LIFE_DAYS = 30.0
_FOUND, _PINNED = 100, 200
_COLUMNS = "seq, message_id, conversation, folder, role, ts, content, label, importance, pinned, archived"


@dataclass(frozen=True, slots=True)
class Context:
    """`text` is what to put before a prompt, empty when there is nothing; `quoted` what is in it, in its order.

    `left_out` counts messages that were found and had no room, or said nothing new. `skipped` says of embedding models
    out of reach why.
    """

    text: str = field(repr=False)
    quoted: tuple[Quoted, ...]
    left_out: int = 0
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text

    def to_frame(self) -> pd.DataFrame:
        """One row per quotation, with the terms its score is made of."""
        import pandas as pd

        frame = pd.DataFrame(list(self.quoted), columns=list(Quoted._fields))
        numbers = dict.fromkeys(("score", "similarity", "importance", "recency"), float)
        frame = frame.astype({**numbers, "tokens": int, "cut": bool, "pinned": bool})
        frame["ts"] = pd.to_datetime(frame["ts"], utc=True, format="ISO8601")
        return frame


class _Known(NamedTuple):
    source: Source
    scope: Scope
    pinned: bool
    terms: tuple[float, float, float]

    @property
    def score(self) -> float:
        return sum(part * term for part, term in zip(_PARTS, self.terms, strict=True))


def count_at_most(text: str) -> int:
    """More tokens than any family of models counts."""
    return estimate_text(text).high


def recall(
    query: str,
    budget: int,
    exclude: Sequence[str],
    seen: str,
    count: Callable[[str], int],
    *,
    archive: Archive,
    scopes: Scopes,
    matrices: Matrices,
    embedder: Embedder,
) -> Context:
    """What helps with `query`, in `budget` tokens, without what stands in `seen`."""
    wanted = Wanted(exclude=tuple(exclude))
    found = look(
        query,
        _FOUND,
        "hybrid",
        wanted,
        None,
        archive=archive,
        scopes=scopes,
        matrices=matrices,
        embedder=embedder,
    )
    now = datetime.now(UTC)
    known = [_known(row, similarity, now) for row, similarity in _rows(archive, found.hits)]
    visible = " ".join(seen.casefold().split())
    # Asked again of what was read: a message may have been moved since the search.
    fitting = [
        k for k in known if wanted.admits(k.scope) and " ".join(k.source.content.casefold().split()) not in visible
    ]
    fitting.sort(key=lambda k: (not k.pinned, -k.score, k.source.ts, k.source.message_id))
    lines = fill([k.source for k in fitting], budget, count)
    quoted = tuple(_quoted(fitting[line.number], line.tokens, line.cut) for line in lines)
    text = frame(line.text for line in lines) if lines else ""
    return Context(text, quoted, len(fitting) - len(lines), found.skipped)


def _rows(archive: Archive, hits: Sequence[Hit]) -> list[tuple[tuple[Any, ...], float]]:
    """What was found and what is pinned, each with its similarity."""
    scores = [hit.score for hit in hits]
    least, most = (min(scores), max(scores)) if scores else (0.0, 0.0)
    similarity = {hit.seq: (hit.score - least) / (most - least) if most > least else 1.0 for hit in hits}
    marks = ",".join("?" * len(similarity))
    rows = archive.rows(f"SELECT {_COLUMNS} FROM remembered WHERE seq IN ({marks})", list(similarity))
    pinned = archive.rows(
        f"SELECT {_COLUMNS} FROM remembered WHERE pinned AND NOT archived ORDER BY seq DESC LIMIT ?", (_PINNED,)
    )
    together = {row[0]: row for row in (*rows, *pinned)}
    return [(row, similarity.get(seq, 0.0)) for seq, row in together.items()]


def _known(row: tuple[Any, ...], similarity: float, now: datetime) -> _Known:
    _, message_id, conversation, folder, role, ts, content, label, importance, pinned, archived = row
    days = max(0.0, (now - _moment(ts, now)).total_seconds() / 86_400)
    terms = (round(similarity, 4), importance / 10, round(0.5 ** (days / _HALF_LIFE_DAYS), 4))
    source = Source(message_id, conversation, folder, role, ts, content)
    return _Known(source, Scope(conversation, folder, label, bool(archived)), bool(pinned), terms)


def _moment(ts: str, now: datetime) -> datetime:
    moment = datetime.fromisoformat(ts)
    return moment if moment.tzinfo else moment.replace(tzinfo=now.tzinfo)


def _quoted(known: _Known, tokens: int, cut: bool) -> Quoted:
    source = known.source
    return Quoted(
        source.message_id,
        source.conversation,
        source.folder,
        source.role,
        source.ts,
        known.pinned,
        round(known.score, 4),
        *known.terms,
        tokens,
        cut,
    )
