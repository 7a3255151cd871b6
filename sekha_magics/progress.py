"""A progress bar for work whose size is found out on the way, drawn where a person watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import whereabouts

__all__ = ["Bar", "bar"]


class Bar:
    """What is to be done, and what is done. Draws nothing without a `tqdm` bar."""

    def __init__(self, drawn: Any = None) -> None:
        self._drawn = drawn

    def more(self, count: int) -> None:
        if self._drawn is not None:
            self._drawn.total += count
            self._drawn.refresh()

    def done(self) -> None:
        if self._drawn is not None:
            self._drawn.update()


@contextmanager
def bar(unit: str) -> Iterator[Bar]:
    """A bar that counts in this unit, and is gone when the work is done."""
    if not whereabouts.is_person():
        yield Bar()
        return
    from tqdm.auto import tqdm

    with tqdm(total=0, unit=unit, leave=False) as drawn:
        yield Bar(drawn)
