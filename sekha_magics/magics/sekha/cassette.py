"""`%sekha cassette`: record answers into a file or replay them from it."""

from __future__ import annotations

import sys
from pathlib import Path

from IPython.core.error import UsageError

from ..arguments import Arguments
from ..standing import registry
from .words import unquoted

__all__ = ["cassette"]


def cassette(arguments: Arguments) -> None:
    """Without arguments it says what is in use."""
    target = unquoted(arguments.rest.strip())
    mode = arguments.values.get("mode")
    if target == "off":
        if mode is not None:
            raise UsageError("off takes no --mode")
        registry().use_cassette(None)
    elif target:
        _use(target, mode or "auto")
    elif mode is not None:
        raise UsageError("--mode needs a file: %sekha cassette PATH --mode MODE")
    in_use = registry().cassette
    sys.stdout.write(f"{in_use!r}\n" if in_use is not None else "no cassette is in use\n")


def _use(target: str, mode: str) -> None:
    from ...errors import ConfigError
    from ...registry import Registry, set_registry

    path = Path(target).expanduser()
    try:
        in_use = registry()
    except ConfigError:
        # A replay needs no configuration, so one that cannot be used does not stand in its way.
        if mode != "replay":
            raise
        set_registry(Registry.replaying(path))
        return
    in_use.use_cassette(path, mode)
