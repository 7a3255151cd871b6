"""The words of a query, as DuckDB's own tokenizer finds them: which names it speaks of, and which tables it reads."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

__all__ = ["Word", "tables_read", "words"]

_QUOTED = re.compile(r'"((?:[^"]|"")*)"?')
_PLAIN = re.compile(r"[^\W\d][\w$]*")
_BEFORE_A_TABLE = frozenset({"from", "join", "summarize", "describe", "pivot", "unpivot"})


class Word(NamedTuple):
    """A name or a keyword, without its quotes. `before` and `behind` are the tokens beside it, in lower case."""

    text: str
    keyword: bool
    before: str
    behind: str


def words(query: str) -> list[Word]:
    """Names and keywords in their order, without comments, texts and numbers. The query may be half written."""
    import duckdb

    encoded = query.encode("utf-8", "replace")
    # A token is told by where it starts, in bytes; it ends before blanks and comments, or where the next one starts.
    starts = [*duckdb.tokenize(encoded.decode()), (len(encoded), None)]
    tokens = []
    for (start, kind), (end, _) in pairwise(starts):
        text = encoded[start:end].decode("utf-8", "replace")
        name = _QUOTED.match(text) or _PLAIN.match(text)
        tokens.append((name, "keyword" in str(kind), (name[0] if name else text.strip()).lower()))
    beside = ["", *(shown for _, _, shown in tokens), ""]
    return [
        Word(
            name[0] if not name.re.groups else name[1].replace('""', '"'),
            keyword and not name.re.groups,
            beside[at],
            beside[at + 2],
        )
        for at, (name, keyword, _) in enumerate(tokens)
        if name is not None
    ]


def tables_read(query: str) -> list[str]:
    """The names that stand, unqualified, where a table is read."""
    return [word.text for word in words(query) if word.before in _BEFORE_A_TABLE and word.behind not in (".", "(")]
