"""The side of a widget that is in the page, and the messages to and from it.

anywidget, and ipywidgets with it, is imported here and nowhere else.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["ChatPage", "DashboardPage", "Page"]

_HERE = Path(__file__).parent
# Between modules of ours: one line each, and no name means two things.
_BETWEEN_OURS = re.compile(r'^(?:import|export) \{[^}]*\} from "\./[^"]+";\n', re.MULTILINE)
_PANEL = ("money.js", "words.js", "state.js", "elements.js", "chart.js", "panel.js", "dashboard.js")


def _text(*names: str) -> str:
    """The modules as one, since a widget is one: each after those it needs."""
    # As text and not as a path: that would be watched for changes.
    return "\n".join(_BETWEEN_OURS.sub("", (_HERE / name).read_text(encoding="utf-8")) for name in names)


class Page(anywidget.AnyWidget):
    """A widget that hears and is told things in any thread.

    `heard` is called with each message of the page, `gone` when the widget is closed.
    """

    def __init__(self, heard: Callable[[Mapping[str, Any]], None], gone: Callable[[], None], **traits: Any) -> None:
        # Keeps what several threads say apart.
        self._telling = threading.RLock()
        self._heard, self._gone = heard, gone
        super().__init__(**traits)
        self.on_msg(self._hear)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Send to every place the widget is shown; nothing once it is closed."""
        with self._telling:
            if self.comm is not None:
                self.send(dict(message))

    def show(self, **traits: Any) -> None:
        """Set what is synchronised."""
        with self._telling, self.hold_sync():
            for name, value in traits.items():
                setattr(self, name, value)

    def open(self) -> None:
        super().open()
        self._hear_at_any_time()

    def close(self) -> None:
        open_before = self.comm is not None
        super().close()
        if open_before:
            self._gone()

    def _send(self, msg: Mapping[str, Any], buffers: Any = None) -> None:
        super()._send(msg, buffers=buffers)
        self._hear_at_any_time()

    def _hear_at_any_time(self) -> None:
        # A page sends by a subshell of its own, past the cell that runs. But ipykernel notes in a comm which shell
        # spoke last and takes the next message there; a thread speaks for the main shell, where messages wait.
        if self.comm is not None:
            self.comm.__dict__.pop("_reply_subshell_id", None)

    def _hear(self, _widget: object, content: object, _buffers: object) -> None:
        if isinstance(content, Mapping):
            self._heard(content)


class ChatPage(Page):
    _esm = _text("chat.js")
    _css = _text("chat.css")

    name = traitlets.Unicode().tag(sync=True)
    models = traitlets.List(traitlets.Unicode()).tag(sync=True)
    tasks = traitlets.List(traitlets.Unicode()).tag(sync=True)
    model = traitlets.Unicode().tag(sync=True)
    task = traitlets.Unicode().tag(sync=True)
    turns = traitlets.List(traitlets.Dict()).tag(sync=True)
    earlier = traitlets.Int().tag(sync=True)
    asking = traitlets.Unicode(None, allow_none=True).tag(sync=True)
    spent = traitlets.Unicode().tag(sync=True)


class DashboardPage(Page):
    _esm = _text(*_PANEL)
    _css = _text("panel.css")
