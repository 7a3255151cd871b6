"""What every command needs: a registry that is closed afterwards, and a place to write to."""

from __future__ import annotations

import sys
from argparse import Namespace as Options
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..registry import Registry

__all__ = ["known", "note", "opened", "say"]


def opened(options: Options) -> Registry:
    """The one to use, as a context that closes it. What was done while loading is said."""
    from ..registry import Registry

    made = Registry.discover() if options.config is None else Registry.from_yaml(options.config)
    for line in made.notes:
        note(line)
    return made


def say(text: str) -> None:
    from ..display.text import to_plain

    sys.stdout.write(to_plain(text) + "\n")


def note(text: str) -> None:
    from ..display.text import to_plain

    sys.stderr.write(to_plain(text) + "\n")


def known(value: Any) -> int | None:
    import pandas as pd

    return None if pd.isna(value) else int(value)
