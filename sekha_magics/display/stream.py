"""An answer as it is being written, drawn for a person; and its last frame, the same for everyone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .markdown import to_html
from .tables import QUIET
from .text import one_line, to_html_text, to_plain

__all__ = ["Pace", "Publish", "StreamView", "publish_to_cell"]

SHORTEST_INTERVAL = 0.125
SHARE_OF_DRAWING = 0.2


class Publish(Protocol):
    """Show a bundle; with a `display_id` it can be replaced, and with `update` it replaces."""

    def __call__(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], *, display_id: str | None, update: bool
    ) -> None: ...


class Pace:
    """When to draw what is being written.

    The first frame stands at once, later ones when there is time: a long text takes longer to render, so it is drawn
    less often and drawing never takes more than a fraction of the wait. `clock` is in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._not_before = 0.0

    def draw(self, frame: Callable[[], None]) -> None:
        """Draw `frame` if it is time."""
        begun = self._clock()
        if begun < self._not_before:
            return
        frame()
        ended = self._clock()
        self._not_before = ended + max(SHORTEST_INTERVAL, (ended - begun) / SHARE_OF_DRAWING)


class StreamView:
    """Draws one answer. `push` what arrives, then `finish` once; after a failure call `abandon` instead.

    With `draw` off nothing is shown before `finish`, whose frame is then an output of its own. `clock` is in seconds.
    """

    def __init__(
        self,
        display_id: str,
        publish: Publish,
        *,
        model: str = "",
        draw: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._display_id, self._publish, self._draw, self._pace = display_id, publish, draw, Pace(clock)
        self._line = one_line(f"{model} … writing" if model else "… writing")
        self._pieces: list[str] = []
        self._drawn = False

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def drawn(self) -> bool:
        """Whether anything stands in the cell yet."""
        return self._drawn

    def push(self, piece: str) -> None:
        """Take the next piece of the answer; draw all so far if it is time."""
        self._pieces.append(piece)
        if self._draw:
            self._pace.draw(lambda: self._show(self._frame(self._line), {}))

    def finish(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Replace what was drawn, or show for the first time, the final bundle."""
        self._show(data, metadata)

    def abandon(self, why: str) -> None:
        """Leave the text so far standing with `why` it ended. Shows nothing when nothing was drawn."""
        if self._drawn:
            self._show(self._frame(one_line(why)), {})

    def _show(self, data: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        display_id = self._display_id if self._draw else None
        # Noted before it is done: an interrupt may come between the two, and an update of nothing does no harm.
        update, self._drawn = self._drawn, True
        self._publish(data, metadata, display_id=display_id, update=update)

    def _frame(self, line: str) -> dict[str, Any]:
        text = self.text
        return {
            "text/plain": f"{to_plain(text)}\n\n{line}",
            "text/html": f'<div>{to_html(text)}<p style="{QUIET}">{to_html_text(line)}</p></div>\n',
        }


def publish_to_cell(
    data: Mapping[str, Any], metadata: Mapping[str, Any], *, display_id: str | None, update: bool
) -> None:
    """The `Publish` of a running cell."""
    from IPython.display import publish_display_data

    transient = {} if display_id is None else {"display_id": display_id}
    publish_display_data(dict(data), dict(metadata), transient=transient, update=update)
