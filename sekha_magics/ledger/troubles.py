"""Warnings of what is in the way of the ledger: once for each trouble, until it is over."""

from __future__ import annotations

import logging
import warnings

__all__ = ["Troubles"]


class Troubles:
    """The troubles there are. No answer that was paid for is lost for a warning, also where warnings are errors."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def warn(self, trouble: str, message: str) -> None:
        if trouble in self._told:
            return
        self._told.add(trouble)
        try:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
        except RuntimeWarning:
            logging.getLogger(__name__).warning(message)

    def over(self, trouble: str) -> None:
        """The next time it is told again."""
        self._told.discard(trouble)
