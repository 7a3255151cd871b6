"""How many tokens a prompt may have, before any provider has counted them.

Rules of thumb, not a tokenizer: byte-pair encodings of current families give about 4 characters a token in English
prose (OpenAI's own figure), down to 2 in digits and dense code, and from 1 token in 4 bytes up to 1 a byte outside
ASCII.
"""

from __future__ import annotations

from collections.abc import Iterable

from .content import Audio, Image, Message, Text
from .types import TokenEstimate

__all__ = ["estimate_messages", "estimate_text"]

# A chat template spends 3 to 8 tokens around each message.
_PER_MESSAGE = TokenEstimate(3, 4, 8)
# From one 512-pixel tile at low detail (85) to a full-size picture at Anthropic (about 1,600).
_PER_IMAGE = TokenEstimate(85, 800, 1_700)
# Speech models take 10 to 25 tokens a second; the smallest common encoding has about 2,000 bytes a second.
_AUDIO_BYTES_PER_TOKEN = 80


def estimate_text(text: str) -> TokenEstimate:
    size = len(text.encode("utf-8", "surrogatepass"))
    # Each character outside ASCII takes at least two bytes: the surplus tells how much of the text is such.
    wide = min(size, (size - len(text)) * 2)
    plain = size - wide
    return TokenEstimate(plain // 6 + wide // 6, -(-plain // 4) + -(-wide // 3), -(-plain // 2) + wide)


def estimate_messages(messages: Iterable[Message]) -> TokenEstimate:
    low = expected = high = 0
    for message in messages:
        parts = [_PER_MESSAGE]
        for part in message.parts:
            match part:
                case Text():
                    parts.append(estimate_text(part.text))
                case Image():
                    parts.append(_PER_IMAGE)
                case Audio():
                    tokens = -(-len(part.data) // _AUDIO_BYTES_PER_TOKEN)
                    parts.append(TokenEstimate(tokens // 10, tokens, tokens))
        low += sum(p.low for p in parts)
        expected += sum(p.expected for p in parts)
        high += sum(p.high for p in parts)
    return TokenEstimate(low, expected, high)
