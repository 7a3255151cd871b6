"""The registry behind the magics: made when the first of them needs it, only looked at where nothing may happen."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..registry import Registry

__all__ = ["registry", "registry_if_standing"]


def registry() -> Registry:
    """The registry in use. One that is made now says what its user should know of how it was made."""
    from ..registry import get_registry

    stood = registry_if_standing()
    made = get_registry()
    if made is not stood:
        for note in made.notes:
            sys.stderr.write(f"{note}\n")
    return made


def registry_if_standing() -> Registry | None:
    """The registry in use, or None; makes and imports nothing."""
    module = sys.modules.get(f"{__package__.rpartition('.')[0]}.registry")
    return module.current_registry() if module is not None else None
