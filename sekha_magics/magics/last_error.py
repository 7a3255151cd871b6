"""The last error as a model should read it: the cell that raised it, and its traceback from there on."""

from __future__ import annotations

import re
import sys
from traceback import TracebackException
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["last_error"]

# A model reads a recursion error as well by its two ends.
_LONGEST = 8_000


def last_error(shell: InteractiveShell) -> str:
    """Cell and traceback in fences. Raises UsageError when nothing has failed yet."""
    error = getattr(sys, "last_value", None)
    if not isinstance(error, BaseException):
        raise UsageError("--last-error: no cell has failed yet")
    report = TracebackException.from_exception(error)
    number = _number(shell, report.filename) if isinstance(error, SyntaxError) else None
    frames = list(report.stack)
    for position, frame in enumerate(frames):
        if (of_cell := _number(shell, frame.filename)) is not None:
            if number is None:
                number = of_cell
                del report.stack[:position]
            frame.filename = f"In[{of_cell}]"
    parts = []
    if number is not None and number < len(shell.history_manager.input_hist_raw):
        cell = shell.history_manager.input_hist_raw[number]
        parts.append(f"The cell In[{number}]:\n{_fenced(cell.rstrip(), 'python')}")
    parts.append(f"The traceback:\n{_fenced(''.join(report.format()).rstrip())}")
    return "\n\n".join(parts)


def _number(shell: InteractiveShell, filename: str | None) -> int | None:
    """The number of the cell that was compiled under `filename`."""
    name = shell.compile.format_code_name(filename)
    found = re.fullmatch(r"In\[(\d+)\]", name[1]) if name else None
    return int(found[1]) if found else None


def _fenced(text: str, language: str = "") -> str:
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]}\n[... {len(text) - _LONGEST} characters left out ...]\n{text[-half:]}"
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{text}\n{fence}"
