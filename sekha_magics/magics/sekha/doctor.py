"""`%sekha doctor`: is everything here that is needed, and how is what is not mended?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ... import whereabouts
from ..arguments import Arguments
from .words import no_words

if TYPE_CHECKING:
    from ...doctor import Report

__all__ = ["doctor"]


def doctor(arguments: Arguments) -> Report:
    from ...doctor import examine

    no_words(arguments)
    shell = whereabouts.shell()
    magics = shell.magics_manager.registry.get("SekhaMagics") if shell is not None else None
    return examine(probe="no_probe" not in arguments.values, streams=bool(getattr(magics, "stream", True)))
