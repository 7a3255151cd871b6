"""How IPython shows replies and decisions, and how a reply that was already drawn is not drawn twice.

Types are registered by name, so that loading this imports neither them nor what renders them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.types import Decision, Reply

__all__ = ["mark_drawn", "register", "unregister"]

_MODULE = f"{__package__.rpartition('.')[0]}.core.types"
_REPLY, _DECISION = "Reply", "Decision"
_FRAME = (f"{__package__.rpartition('.')[0]}.magics.shown", "ShownFrame")
_DRAWN_BY_CELLS = ((_MODULE, _REPLY), (_MODULE, _DECISION), _FRAME)


class _Drawn:
    """The replies and decisions that the running cell has drawn itself. Empty between cells."""

    def __init__(self, shell: InteractiveShell) -> None:
        # Weak, since this is a value of a dictionary whose weak key is the shell.
        self._shell = ref(shell)
        self._replies: list[object] = []

    def add(self, reply: object) -> None:
        self._replies.append(reply)

    def forget(self, *_: Any) -> None:
        self._replies.clear()

    def show_or_pass(self, reply: object) -> None:
        """As an `_ipython_display_`: returning means shown, NotImplementedError leaves it to the other formatters."""
        if not self._is_value_of_cell() or not any(drawn is reply for drawn in self._replies):
            raise NotImplementedError

    def _is_value_of_cell(self) -> bool:
        # `display(reply)` asks for it again and gets it. While it shows a value a terminal's hook is active, and
        # ipykernel's has a message under way.
        hook = getattr(self._shell(), "displayhook", None)
        return bool(getattr(hook, "is_active", False)) or getattr(hook, "msg", None) is not None


_DRAWN: WeakKeyDictionary[InteractiveShell, _Drawn] = WeakKeyDictionary()


def register(shell: InteractiveShell) -> None:
    """Show replies and decisions as rich output in `shell`. Doing it twice changes nothing."""
    if shell in _DRAWN:
        return
    drawn = _DRAWN[shell] = _Drawn(shell)
    formatter = shell.display_formatter
    formatter.mimebundle_formatter.for_type_by_name(_MODULE, _REPLY, _reply_bundle)
    formatter.mimebundle_formatter.for_type_by_name(_MODULE, _DECISION, _decision_bundle)
    for module, name in _DRAWN_BY_CELLS:
        formatter.ipython_display_formatter.for_type_by_name(module, name, drawn.show_or_pass)
    shell.events.register("post_run_cell", drawn.forget)


def unregister(shell: InteractiveShell) -> None:
    """Undo `register`; without it, do nothing."""
    drawn = _DRAWN.pop(shell, None)
    if drawn is None:
        return
    shell.events.unregister("post_run_cell", drawn.forget)
    formatter = shell.display_formatter
    for module, name in _DRAWN_BY_CELLS:
        formatter.mimebundle_formatter.pop(f"{module}.{name}", None)
        formatter.ipython_display_formatter.pop(f"{module}.{name}", None)


def mark_drawn(shell: InteractiveShell, reply: object) -> None:
    """Say that the running cell has drawn this reply, decision or table: as its value it is not drawn again.

    It lands in `_` and `Out`. Shown later, or by `display`, it is drawn as ever. `shell` must be registered.
    """
    _DRAWN[shell].add(reply)


def _reply_bundle(reply: Reply) -> tuple[dict[str, Any], dict[str, Any]]:
    from .reply import mimebundle

    return mimebundle(reply)


def _decision_bundle(decision: Decision) -> tuple[dict[str, Any], dict[str, Any]]:
    from .decision import decision_mimebundle

    return decision_mimebundle(decision)
