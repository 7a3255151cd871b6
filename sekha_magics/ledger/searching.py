"""Decisions in which a text stands: in the answer, the prompt, an error, the name of the conversation or the notebook.

The search is literal and takes any case. What a conversation repeats is found once, where it was first said. Texts that
were not kept cannot be found, and the answer says how many.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from ..storage.content import ContentStore
from ..storage.scan import Found, pattern, scan

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PLACES", "check", "search"]

PLACES = ("answer", "prompt", "error", "conversation", "notebook")
"""Where a text may stand, in the order in which a snippet is taken."""

_COLUMNS = ("ts", "found_in", "snippet", "provider_id", "model_id", "outcome", "notebook", "cell_id", "conversation",
            "session_id", "decision_id")  # fmt: skip
_OF_PLACE = {"conversation": "in_conversation", "notebook": "in_notebook"}
_AROUND = 30
_AT_ONCE = 100_000
_UNKEPT = """SELECT count(*) FROM calls AS c LEFT JOIN sekha_kept AS k ON c.prompt_sha256 = k.sha256
WHERE k.sha256 IS NULL AND c.operation = 'chat' AND ($since IS NULL OR c.ts >= $since)"""


def check(text: str, limit: int | None, places: Collection[str], since: datetime | None) -> None:
    """Raise `InvalidInput` for what cannot be looked for."""
    if not isinstance(text, str) or not text:
        raise InvalidInput("There is nothing to look for.", hint="Give a text, such as a word of the prompt.")
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise InvalidInput(f"limit is {limit!r}.", hint="It is a whole number above 0, or None for all.")
    if isinstance(places, str) or not places or not set(places) <= set(PLACES):
        raise InvalidInput(f"places is {places!r}.", hint=f"It holds some of {', '.join(PLACES)}.")
    if since is not None and (not isinstance(since, datetime) or since.tzinfo is None):
        raise InvalidInput(f"since is {since!r}.", hint="It is a datetime with a time zone.")


def search(
    connection: Any,
    contents: ContentStore,
    waiting: Mapping[str, str],
    text: str,
    limit: int | None,
    places: Collection[str],
    since: datetime | None,
) -> pd.DataFrame:
    """The rows of `Ledger.search`. `waiting` are texts that did not reach their file yet."""
    import pandas as pd

    from .frames import CATEGORIES, to_frame

    found = scan(contents, text, waiting) if {"answer", "prompt"} & set(places) else Found()
    _give(connection, "sekha_texts", [list(found.texts)])
    _give(connection, "sekha_prompts", [list(found.prompts)])
    query = Path(__file__).with_name("search.sql").read_text(encoding="utf-8")
    rows = to_frame(connection.sql(query, params={"text": text, "since": since}), CATEGORIES)
    rows["found_in"] = pd.Series(_places(rows, found, places), index=rows.index, dtype=object)
    rows = rows[rows["found_in"].map(len) > 0].reset_index(drop=True)
    total = len(rows)
    rows = rows.head(limit) if limit is not None else rows
    rows["snippet"] = pd.Series(_snippets(rows, contents, waiting, text), index=rows.index, dtype="str")
    shown = rows[list(_COLUMNS)]
    shown.attrs.update(found=total, unkept=_unkept(connection, contents, waiting, since))
    return shown


def _places(rows: pd.DataFrame, found: Found, places: Collection[str]) -> list[list[str]]:
    """For each row where the text stands, without what its conversation said before."""
    said: dict[tuple[Any, Any], set[int]] = {}
    where: list[list[str]] = []
    named = [(place, rows[_OF_PLACE.get(place, place)].notna().tolist()) for place in PLACES if place in places]
    keys = ("session_id", "conversation", "prompt", "answer")
    columns = zip(*(rows[key].astype(object).where(rows[key].notna(), None) for key in keys), strict=True)
    for number, (session, conversation, prompt, answer) in reversed(list(enumerate(columns))):
        here = [place for place, there in named if there[number]]
        if conversation is not None:
            known = said.setdefault((session, conversation), set())
            if prompt is not None:
                new = found.prompts[prompt] - known
                known |= new
                here = [place for place in here if place != "prompt" or new]
            if answer is not None:
                known.add(found.texts[answer])
        where.append(here)
    return where[::-1]


def _snippets(rows: pd.DataFrame, contents: ContentStore, waiting: Mapping[str, str], text: str) -> list[str]:
    wanted, chosen = pattern(text), [(row["found_in"][0], row) for row in rows.to_dict("records")]
    answers = contents.texts((row["answer"] for place, row in chosen if place == "answer"), waiting)
    prompts = contents.prompts((row["prompt"] for place, row in chosen if place == "prompt"), waiting)
    bodies = {"answer": answers, "prompt": prompts}
    return [
        _snippet(bodies[place].get(row[place], "") if place in bodies else row[_OF_PLACE.get(place, place)], wanted)
        for place, row in chosen
    ]


def _snippet(body: str, wanted: re.Pattern[str]) -> str:
    """The first place in `body` where it stands, on one line, with a few words around it."""
    hit = wanted.search(body)
    start, end = hit.span() if hit else (0, 0)
    left, right = max(0, start - _AROUND), min(len(body), end + _AROUND)
    around = " ".join(body[left:right].split())
    return f"{'…' if left else ''}{around}{'…' if right < len(body) else ''}"


def _unkept(connection: Any, contents: ContentStore, waiting: Mapping[str, str], since: datetime | None) -> int:
    """Calls whose prompt is not kept, because of `ledger.content` or because it was pruned."""
    with contents.reading() as kept:
        cursor = kept.execute("SELECT sha256 FROM contents") if kept is not None else None
        parts = iter(lambda: [sha256 for (sha256,) in cursor.fetchmany(_AT_ONCE)] if cursor else [], [])
        _give(connection, "sekha_kept", [*parts, list(waiting)])
    return int(connection.execute(_UNKEPT, {"since": since}).fetchone()[0])


def _give(connection: Any, name: str, parts: Iterable[list[str]]) -> None:
    import pyarrow as pa

    batches = [pa.array(part, pa.string()) for part in parts]
    connection.register(name, pa.table({"sha256": pa.chunked_array(batches, pa.string())}))
