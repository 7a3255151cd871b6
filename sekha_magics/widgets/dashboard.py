"""`sekha.Dashboard()`: what the kernel spends and how its providers do, live in the page, and as tables in the file.

The page draws what `live/` tells and asks; nothing is told while no page shows it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from .. import whereabouts
from ..live.control import answer
from ..live.feed import Subscription, subscribe
from ..live.state import read
from ..registry import current_registry
from .opening import opened, view_of
from .tables import plain_of, tables_of, to_html

if TYPE_CHECKING:
    from .pages import DashboardPage

__all__ = ["Dashboard"]

_NAME = "Dashboard: spend, budgets, providers, decisions"


class Dashboard:
    """The state of the registry that the magics use: `sekha.Dashboard()` as the last line of a cell.

    Shown are cost, budgets, spend by model, providers, what runs and the last decisions, each with every candidate;
    limits are set there, providers reset and requests cancelled. `str(...)` is the same as text, as it is now.
    `widget` is the part in the page.

    Raises `SekhaError` where anywidget is not installed.
    """

    def __init__(self) -> None:
        # Protects the two below: pages come and go in any thread.
        self._lock = threading.Lock()
        self._views: set[str] = set()
        self._subscription: Subscription | None = None
        self.widget: DashboardPage = opened("Dashboard", "DashboardPage", self._hear, self._end)

    def close(self) -> None:
        """Take the widget out of the page."""
        self.widget.close()

    def __str__(self) -> str:
        return plain_of(read(current_registry()))

    def __repr__(self) -> str:
        return "<Dashboard>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The widget, and its tables as they are now; when that is stands in the metadata."""
        state = read(current_registry())
        plain = _NAME if whereabouts.in_kernel() else plain_of(state)
        data = {"text/plain": plain, "text/html": to_html(tables_of(state)), **view_of(self.widget)}
        return data, {"sekha": {"ts": datetime.now(UTC).isoformat(timespec="seconds")}}

    def _hear(self, message: Mapping[str, Any]) -> None:
        view = message.get("view")
        match message.get("type"):
            case "open" if isinstance(view, str):
                self._begin(view)
            case "left" if isinstance(view, str):
                self._leave(view)
            case _:
                self.widget.tell(answer(dict(message), self._subscription))

    def _begin(self, view: str) -> None:
        with self._lock:
            if self.widget.comm is None:
                return
            self._views.add(view)
            if self._subscription is None:
                self._subscription = subscribe(self.widget.tell)
            else:
                self._subscription.send_snapshot()

    def _leave(self, view: str) -> None:
        with self._lock:
            self._views.discard(view)
            if self._views:
                return
        self._end()

    def _end(self) -> None:
        with self._lock:
            subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.close()
