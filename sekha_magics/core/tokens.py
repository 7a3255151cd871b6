"""How many tokens a prompt may have, before any provider has counted them.

Rules of thumb, not a tokenizer: byte-pair encodings of current families give about 4 characters a token in English
prose (OpenAI's own figure), down to 1 or 2 in digits and punctuation, and from 1 token in 6 bytes up to 1 a byte
outside ASCII. Letters that no blank parts (base64, keys, minified code) have no words in them either, and come to as
much as one token each. `counting` knows better where a family's table is at hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from .content import Audio, Image, Message, Text
from .types import NOTHING, TokenEstimate

__all__ = ["added", "estimate_image", "estimate_messages", "estimate_text"]

# A chat template spends 3 to 8 tokens around each message.
_PER_MESSAGE = TokenEstimate(3, 4, 8)
# From one tile at low detail (85) to what the newest models take for a large picture.
_PER_IMAGE = TokenEstimate(85, 800, 5_000)
# Speech models take 10 to 25 tokens a second; the smallest common encoding has about 2,000 bytes a second.
_AUDIO_BYTES_PER_TOKEN = 80


def added(estimates: Iterable[TokenEstimate]) -> TokenEstimate:
    """The sum, end by end."""
    low = expected = high = 0
    for estimate in estimates:
        low, expected, high = low + estimate.low, expected + estimate.expected, high + estimate.high
    return TokenEstimate(low, expected, high) if high else NOTHING


# What words are made of; the rest of ASCII, digits and punctuation, is dense.
_WORDS = bytes({*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ \n\t\r"})
_DENSE = bytes({*range(128)} - {*_WORDS})
# Longer than any word of prose, and than most names in code.
_UNBROKEN = re.compile(rb"\S{40,}")


def estimate_text(text: str) -> TokenEstimate:
    data = text.encode("utf-8", "surrogatepass")
    wide = 0 if len(data) == len(text) else len(data.translate(None, _WORDS + _DENSE))
    dense = len(data.translate(None, _WORDS)) - wide
    words = len(data) - wide - dense
    unbroken = sum(len(run) - len(run.translate(None, _WORDS)) for run in _UNBROKEN.findall(data))
    return TokenEstimate(
        (words + dense + wide) // 6,
        -(-words // 4) + -(-dense // 2) + -(-wide // 3),
        -(-(words - unbroken) // 2) + unbroken + dense + wide,
    )


def estimate_image(_image: Image) -> TokenEstimate:
    return _PER_IMAGE


def estimate_messages(
    messages: Iterable[Message],
    *,
    text: Callable[[str], TokenEstimate] = estimate_text,
    image: Callable[[Image], TokenEstimate] = estimate_image,
) -> TokenEstimate:
    """The messages with what a chat template puts around them; `text` and `image` count a single part."""
    parts = []
    for message in messages:
        parts.append(_PER_MESSAGE)
        for part in message.parts:
            match part:
                case Text():
                    parts.append(text(part.text))
                case Image():
                    parts.append(image(part))
                case Audio():
                    tokens = -(-len(part.data) // _AUDIO_BYTES_PER_TOKEN)
                    parts.append(TokenEstimate(tokens // 10, tokens, tokens))
    return added(parts)
