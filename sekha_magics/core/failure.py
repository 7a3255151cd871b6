"""What is done about a failure: try the next candidate, or tell the user now."""

from __future__ import annotations

from typing import Literal

from ..errors import BadRequest, ContentRefused, ProviderError

__all__ = ["after"]


def after(error: ProviderError, *, began: bool, fallback: bool) -> Literal["next", "raise"]:
    """`began` says whether a part of the answer was already shown; such an answer is never silently begun again.

    A refusal of the request itself would be repeated elsewhere with the user's money, so it is raised.
    """
    if began or not fallback or isinstance(error, (BadRequest, ContentRefused)):
        return "raise"
    return "next"
