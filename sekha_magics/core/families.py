"""Families of models: those that count a text and an image in the same way, as far as their makers say how.

Text: the byte-pair tables OpenAI publishes with tiktoken, by model. Images: the formulas of the makers' own pages, as
of 2025-11: OpenAI's "Images and vision" (tiles of 512 pixels, or patches of 32), Anthropic's "Vision" (width times
height over 750, the long edge at most 1,568 pixels), Google's "Understand and count tokens" (tiles of 768 pixels, 258
each). A model that is not here is counted by the rules of thumb of `core.tokens`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from .types import TokenEstimate

__all__ = ["FAMILIES", "Family", "family_of"]

ImageRule = Callable[[int, int], TokenEstimate]


class Family(NamedTuple):
    """`encoding` names a table of tiktoken, None where the maker publishes none; `image` takes width and height."""

    name: str
    encoding: str | None
    image: ImageRule | None


def _tiles(base: int, tile: int) -> ImageRule:
    """Fitted into 2,048 pixels, the short side then into 768, cut into tiles of 512. At low detail the base alone."""

    def tokens(width: int, height: int) -> TokenEstimate:
        shrink = min(1.0, 2048 / max(width, height))
        shrink = min(shrink, 768 / min(width, height))
        across, down = (math.ceil(round(side * shrink, 6) / 512) for side in (width, height))
        exact = base + tile * across * down
        # Thin images are said to be measured before they are rounded: a tile more in each direction.
        return TokenEstimate(base, exact, base + tile * (across + 1) * (down + 1))

    return tokens


def _patches(factor: float) -> ImageRule:
    """Patches of 32 pixels, at most 1,536 of them, times a factor of the model."""

    def tokens(width: int, height: int) -> TokenEstimate:
        patches = min(1536, math.ceil(width / 32) * math.ceil(height / 32))
        return TokenEstimate(1, math.ceil(patches * factor), math.ceil(1536 * factor))

    return tokens


def _claude(width: int, height: int) -> TokenEstimate:
    shrink = min(1.0, 1568 / max(width, height))
    area = width * shrink * height * shrink / 750
    # Larger images are made smaller until about 1,600 tokens are left; the newest models keep up to 4,784.
    return TokenEstimate(min(1_000, int(area * 0.8)), min(1_600, math.ceil(area)), 4_784)


def _gemini(width: int, height: int) -> TokenEstimate:
    if max(width, height) <= 384:
        return TokenEstimate(258, 258, 1_120)
    unit = min(768, max(256, min(width, height) * 2 // 3))
    tiles = math.ceil(width / unit) * math.ceil(height / unit)
    # Newer versions spend 1,120 on an image of any size.
    return TokenEstimate(258, 258 * tiles, max(1_120, 258 * tiles))


# The first pattern that fits the end of a model's id decides, so that the particular stands before the general.
_KNOWN: tuple[tuple[str, Family], ...] = (
    (r"gpt-4o-mini", Family("gpt-4o-mini", "o200k_base", _tiles(2833, 5667))),
    (r"gpt-4\.1-mini|gpt-5-mini", Family("gpt-5-mini", "o200k_base", _patches(1.62))),
    (r"gpt-4\.1-nano|gpt-5-nano", Family("gpt-5-nano", "o200k_base", _patches(2.46))),
    (r"o4-mini", Family("o4-mini", "o200k_base", _patches(1.72))),
    (r"gpt-5\.\d", Family("gpt-5.x", "o200k_base", None)),
    (r"gpt-5", Family("gpt-5", "o200k_base", _tiles(70, 140))),
    (r"gpt-4o|chatgpt-4o|gpt-4\.1|gpt-4\.5", Family("gpt-4o", "o200k_base", _tiles(85, 170))),
    (r"o[134](?!\w)", Family("o1", "o200k_base", _tiles(75, 150))),
    (r"gpt-oss", Family("gpt-oss", "o200k_base", None)),
    (r"gpt-4-turbo", Family("gpt-4-turbo", "cl100k_base", _tiles(85, 170))),
    (
        r"gpt-4(?![.\w])|gpt-3\.5|gpt-35|text-embedding-(?:3|ada)",
        Family("gpt-4", "cl100k_base", None),
    ),
    (r"claude", Family("claude", None, _claude)),
    (r"gemini", Family("gemini", None, _gemini)),
)
_PATTERNS = tuple((re.compile(pattern), family) for pattern, family in _KNOWN)
FAMILIES = {family.name: family for _, family in _KNOWN}


@lru_cache(maxsize=4096)
def family_of(model_id: str) -> str:
    """The name of the family of that model, or an empty name. A maker's name may stand before it, `ft:` too."""
    last = model_id.lower().rpartition("/")[2].removeprefix("ft:")
    return next((family.name for pattern, family in _PATTERNS if pattern.match(last)), "")
