"""Texts counted with the tables of tiktoken, which lie in LiteLLM's package: never fetched, never looked for elsewhere.

tiktoken itself asks the environment where its tables are, and the network for those it does not find. So its own
definition of an encoding is run with a reader of ours, that opens one file or fails.
"""

from __future__ import annotations

import base64
import hashlib
import math
import threading
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..core.tokens import estimate_text
from ..core.types import TokenEstimate
from ..storage.forks import renew_in_child

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tiktoken import Encoding

__all__ = ["count", "warm"]

# A run of one character is encoded as one piece, in time that grows faster than its length. A cut costs one token.
_SLICE = 8_192
# What is counted in full; of a longer text as many characters, spread over it.
_SLICES = 32
# A maker may have changed the table of a newer model: what is counted exactly still leaves room.
_BELOW, _ABOVE = 0.9, 1.25
# And what was not looked at may be of another kind.
_SAMPLED_BELOW, _SAMPLED_ABOVE = 0.5, 2.0


def count(encoding: str, text: str) -> TokenEstimate | None:
    """Tokens of `text`, or None where the table is not here. Special tokens in it are text like any other."""
    table = _tables.of(encoding)
    if table is None:
        return None
    starts = range(0, len(text), _SLICE)
    if len(starts) <= _SLICES:
        tokens = sum(len(table.encode_ordinary(text[start : start + _SLICE])) for start in starts)
        return TokenEstimate(int(tokens * _BELOW), tokens, math.ceil(tokens * _ABOVE))
    taken = [text[start : start + _SLICE] for start in starts[:: -(-len(starts) // _SLICES)]]
    tokens = sum(len(table.encode_ordinary(part)) for part in taken)
    expected = round(tokens * _size(text) / sum(map(_size, taken)))
    thumb = estimate_text(text)
    return TokenEstimate(
        min(thumb.low, int(expected * _SAMPLED_BELOW)), expected, max(thumb.high, int(expected * _SAMPLED_ABOVE) + 1)
    )


def warm(encodings: Iterable[str]) -> None:
    """Begin to read these tables in the background, which takes a fifth of a second each."""
    wanted = set(encodings)
    if wanted and _folder() is not None:
        # Here and not in the thread: a child forked in the middle of an import would wait for its lock for ever.
        import_module("tiktoken_ext.openai_public")

        # No daemon: a thread that comes back from compiled code into an interpreter that has ended crashes it.
        threading.Thread(target=lambda: [_tables.of(name) for name in sorted(wanted)], name="sekha-tokens").start()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


class _Tables:
    """Each table is read once for the process."""

    def __init__(self) -> None:
        self._read: dict[str, Encoding | None] = {}
        self.renew_after_fork()
        renew_in_child(self)

    def renew_after_fork(self) -> None:
        # Held while a table is read, so that two requests do not read it twice.
        self._reading = threading.Lock()

    def of(self, name: str) -> Encoding | None:
        if name not in self._read:
            with self._reading:
                if name not in self._read:
                    self._read[name] = _encoding(name)
        return self._read[name]


_tables = _Tables()


def _encoding(name: str) -> Encoding | None:
    folder = _folder()
    if folder is None:
        return None
    import tiktoken

    openai_public = import_module("tiktoken_ext.openai_public")
    definition = getattr(openai_public, name, None)
    if not isinstance(definition, FunctionType):
        return None

    def load_tiktoken_bpe(address: str, expected_hash: str | None = None) -> dict[bytes, int]:
        contents = (folder / hashlib.sha1(address.encode(), usedforsecurity=False).hexdigest()).read_bytes()
        if expected_hash is not None and hashlib.sha256(contents).hexdigest() != expected_hash:
            raise ValueError(f"the table of {name} is damaged")
        pairs = (line.split() for line in contents.splitlines() if line)
        return {base64.b64decode(token): int(rank) for token, rank in pairs}

    surroundings: dict[str, Any] = {**vars(openai_public), "load_tiktoken_bpe": load_tiktoken_bpe}
    # A definition may stand on another one, which has to meet the same reader.
    for known, function in vars(openai_public).items():
        if isinstance(function, FunctionType) and function.__module__ == openai_public.__name__:
            surroundings[known] = FunctionType(function.__code__, surroundings)
    try:
        return tiktoken.Encoding(**surroundings[name]())
    except (OSError, ValueError):
        # Not in this version of the package: the rules of thumb hold.
        return None


@lru_cache(maxsize=1)
def _folder() -> Path | None:
    """Where the tables lie; LiteLLM is looked for, not imported."""
    spec = find_spec("litellm")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "litellm_core_utils" / "tokenizers"
        if folder.is_dir():
            return folder
    return None
