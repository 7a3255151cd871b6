"""Tokens of a request as each family of models counts them: exact where its table is here, a rule of thumb elsewhere.

Nothing is fetched, the environment is not touched, and any text can be counted, however long or broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from ..core.content import Image, Message
from ..core.families import FAMILIES
from ..core.tokens import added, estimate_image, estimate_messages, estimate_text
from ..core.types import TokenEstimate
from .encodings import count, warm
from .images import dimensions

__all__ = ["Counts", "count_messages", "count_texts", "warm_families"]

Counts = tuple[tuple[str, TokenEstimate], ...]
"""The estimates that differ from the rules of thumb, by the name of the family."""


def count_messages(messages: Sequence[Message], families: Iterable[str], extras: Sequence[str] = ()) -> Counts:
    """What `messages` come to in each of the families, and the `extras` (schemas, descriptions of tools) with them."""
    pictures = any(message.images for message in messages)
    text = cache(_in_encoding)
    sizes = cache(dimensions)
    counts = []
    for name in sorted(families):
        family = FAMILIES[name]
        if family.encoding is None and not pictures:
            continue

        def of_text(value: str, encoding: str | None = family.encoding) -> TokenEstimate:
            return text(encoding, value)

        def of_image(value: Image, rule: object = family.image) -> TokenEstimate:
            size = sizes(value)
            return rule(*size) if callable(rule) and size else estimate_image(value)

        whole = estimate_messages(messages, text=of_text, image=of_image)
        counts.append((name, added([whole, *(of_text(extra) for extra in extras)])))
    return tuple(counts)


def count_texts(texts: Sequence[str], families: Iterable[str]) -> Counts:
    """What plain texts, without messages around them, come to."""
    text = cache(_in_encoding)
    encoded = [(name, FAMILIES[name].encoding) for name in sorted(families)]
    return tuple((name, added(text(e, value) for value in texts)) for name, e in encoded if e is not None)


def warm_families(families: Iterable[str]) -> None:
    """Begin in the background to read the tables of these families. Returns at once."""
    warm({encoding for name in families if (encoding := FAMILIES[name].encoding) is not None})


def _in_encoding(encoding: str | None, text: str) -> TokenEstimate:
    counted = None if encoding is None else count(encoding, text)
    return estimate_text(text) if counted is None else counted
