"""`%sekha keys`: which keys there are and where they stand; a new one is typed at a prompt that does not echo."""

from __future__ import annotations

import getpass
import os
import re
import sys
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ...errors import ConfigError, InvalidInput
from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry, registry_if_standing
from .words import one_action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ...config.keys import KeyStore
    from ...display.tables import Table

__all__ = ["keys"]


def keys(arguments: Arguments) -> Table | None:
    """`list` gives a table without any key in it; the others print what they did."""
    action = one_action(arguments, SUBCOMMANDS["keys"].words, "list")
    if action.name == "list":
        return _list()
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", action.operand):
        # Not repeated back: what stands here may be a key somebody typed by mistake.
        raise UsageError(f"%sekha keys {action.name} NAME, where NAME is a variable such as OPENAI_API_KEY")
    (_set if action.name == "set" else _forget)(action.operand)
    return None


def _list() -> Table:
    from ...display.tables import Table

    with _store() as store:
        return Table(("name", "where"), [(place.name, place.source) for place in store.describe()], "keys")


def _set(name: str) -> None:
    from IPython.core.error import StdinNotImplementedError

    try:
        with warnings.catch_warnings():
            # Where echo cannot be turned off, the key would be shown: then it is not asked for.
            warnings.simplefilter("error", getpass.GetPassWarning)
            # A kernel puts its own function into the module, so it is looked up there and now.
            typed = getpass.getpass(f"{name}: ")
    except (StdinNotImplementedError, getpass.GetPassWarning, EOFError, OSError):
        raise InvalidInput(
            f"{name} cannot be asked for: nobody is there to type it",
            hint=f"Set {name} in the environment before the kernel starts.",
        ) from None
    with _store() as store:
        store.set(name, typed, remember=True)
    sys.stdout.write(f"{name} is in the keyring\n")


def _forget(name: str) -> None:
    with _store() as store:
        store.forget(name)
    still = f"; the variable {name} of the environment stays" if os.environ.get(name) else ""
    sys.stdout.write(f"{name} is forgotten{still}\n")


@contextmanager
def _store() -> Iterator[KeyStore]:
    """The keys of the registry in use, which then looks them up again, also when keeping one failed."""
    from ...config.keys import KeyStore

    try:
        in_use = registry()
    except ConfigError:
        # A configuration that cannot be used, or is not trusted yet, is no reason to be without keys.
        yield KeyStore(os.environ)
        return
    try:
        yield in_use.keys
    finally:
        standing = registry_if_standing()
        if standing is not None:
            standing.refresh_keys()
