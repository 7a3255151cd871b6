"""A progress bar for work whose size is found out on the way, drawn where a person watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from . import whereabouts

__all__ = ["Bar", "bar"]


class Bar:
    """What is to be done and what is done, counted in `unit`; nothing is drawn before there is something to do."""

    def __init__(self, unit: str, *, shown: bool) -> None:
        self._unit, self._shown = unit, shown
        self._drawn: Any = None

    def more(self, count: int) -> None:
        if not self._shown or not count:
            return
        if self._drawn is None:
            from tqdm.auto import tqdm

            self._drawn = tqdm(total=count, unit=self._unit, leave=False)
        else:
            # In a notebook only a reset makes the bar longer.
            done = self._drawn.n
            self._drawn.reset(total=self._drawn.total + count)
            self._drawn.update(done)

    def done(self) -> None:
        if self._drawn is not None:
            self._drawn.update()

    def close(self) -> None:
        if self._drawn is not None:
            self._drawn.close()


@contextmanager
def bar(unit: str) -> Iterator[Bar]:
    """A bar that is gone when the work is done, or has failed."""
    drawn = Bar(unit, shown=whereabouts.is_person())
    try:
        yield drawn
    finally:
        drawn.close()
