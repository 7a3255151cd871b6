"""What a forked child must make anew: locks another thread may have held, and threads that did not come along."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["renew_in_child"]


class Renewable(Protocol):
    def renew_after_fork(self) -> None:
        """Replace locks and forget threads. Runs in the child, before anything else does."""
        ...


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()


def renew_in_child(owner: Renewable) -> None:
    """Call `owner.renew_after_fork()` in every child forked from here on, as long as `owner` lives."""
    _renewables.add(owner)


def _in_child() -> None:
    for owner in list(_renewables):
        owner.renew_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
