"""The magics as IPython sees them. What each does stands in a module of its own, imported when it is first used."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, MutableMapping
from functools import wraps
from typing import Any, TypeVar

from IPython.core.magic import (
    Magics,
    line_cell_magic,
    line_magic,
    magics_class,
    needs_local_scope,
    no_var_expand,
)
from traitlets import Bool, Enum, Float, Int, Unicode

from ..errors import SekhaError
from .options import CHAT, COST, FORMATS, ROUTE, SQL, TASKS, sekha_help

__all__ = ["SekhaMagics"]

_Magic = TypeVar("_Magic", bound=Callable[..., Any])


def _short_errors(magic: _Magic) -> _Magic:
    """Let errors of ours show their message and hint alone: the frames between are no help to who wrote a cell."""

    @wraps(magic)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return magic(*args, **kwargs)
        except SekhaError as error:
            from ..display.text import to_plain

            error.short = True
            error.message, error.hint = to_plain(error.message), to_plain(error.hint)
            # IPython prints the whole native traceback when a group of exceptions stands anywhere behind an error.
            error.__context__ = None
            raise
        except KeyboardInterrupt as interrupt:
            said = "KeyboardInterrupt: the request was cancelled; what it cost is in the ledger"
            if hasattr(interrupt, "_render_traceback_"):
                raise
            interrupt._render_traceback_ = lambda: [said]  # type: ignore[attr-defined]
            raise

    return run  # type: ignore[return-value]


@magics_class
class SekhaMagics(Magics):  # type: ignore[misc]
    """Defaults for the options of %%sekha_chat, %sekha_chat and %sekha_route."""

    model = Unicode(None, allow_none=True, help="Pin this model.").tag(config=True)
    prefer = Unicode(None, allow_none=True, help="Prefer this model where it may answer.").tag(config=True)
    task = Enum(TASKS, None, allow_none=True, help="The task.").tag(config=True)
    policy = Unicode(None, allow_none=True, help="How to choose.").tag(config=True)
    system = Unicode(None, allow_none=True, help="The system prompt.").tag(config=True)
    temperature = Float(None, min=0, allow_none=True, help="The temperature.").tag(config=True)
    max_tokens = Int(None, min=1, allow_none=True, help="The longest answer, in tokens.").tag(config=True)
    max_cost = Float(None, min=0, allow_none=True, help="The most one request may cost, in USD.").tag(config=True)
    memory = Int(None, min=1, allow_none=True, help="Quote so many tokens of what is remembered.").tag(config=True)
    local_only = Bool(False, help="Let nothing leave this machine.").tag(config=True)
    format = Enum(FORMATS, "markdown", help="How answers are shown.").tag(config=True)
    explain = Bool(False, help="Show every candidate beside the answer.").tag(config=True)
    stream = Bool(True, help="Show answers as they are written.").tag(config=True)
    log = Bool(True, help="Keep requests in the ledger.").tag(config=True)

    @line_cell_magic  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    @_short_errors
    def sekha_chat(self, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        from .chat import chat

        return chat(self.shell, line, cell, self._names(local_ns), self._defaults())

    @line_magic  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    @_short_errors
    def sekha_route(self, line: str, local_ns: Any = None) -> Any:
        from .route import route

        return route(self.shell, line, self._names(local_ns), self._defaults())

    @line_magic  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @_short_errors
    def sekha_cost(self, line: str) -> Any:
        from .cost import cost

        return cost(line)

    @line_cell_magic  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @needs_local_scope  # type: ignore[untyped-decorator]
    @_short_errors
    def sekha_sql(self, line: str, cell: str | None = None, local_ns: Any = None) -> Any:
        from .sql import sql

        return sql(self.shell, line, cell, self._names(local_ns))

    @line_magic  # type: ignore[untyped-decorator]
    @no_var_expand  # type: ignore[untyped-decorator]
    @_short_errors
    def sekha(self, line: str) -> Any:
        from .sekha import run

        return run(line)

    sekha_chat.__doc__ = CHAT.help_text()
    sekha_route.__doc__ = ROUTE.help_text()
    sekha_cost.__doc__ = COST.help_text()
    sekha_sql.__doc__ = SQL.help_text()
    sekha.__doc__ = sekha_help()

    def _names(self, local_ns: Any) -> MutableMapping[str, Any]:
        """What a prompt may name: in a function its own variables come before the notebook's."""
        user_ns: dict[str, Any] = self.shell.user_ns
        return user_ns if local_ns is None or local_ns is user_ns else ChainMap(dict(local_ns), user_ns)

    def _defaults(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.class_own_traits(config=True)}
