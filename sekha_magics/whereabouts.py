"""Where a request comes from: which notebook, which cell, and whether a person is watching.

Answers come from the environment, the notebook's namespace and the message the front end sent with the running cell.
Outside IPython there is no notebook, no cell and no watcher. Light enough to be imported anywhere.
"""

from __future__ import annotations

import os
import sys
from typing import Any

__all__ = ["cell_id", "in_kernel", "is_person", "notebook", "shell", "unwatched"]


def notebook() -> str | None:
    """The notebook's path as far as it is known: `$SEKHA_NOTEBOOK`, else what the front end tells, else None."""
    for name in ("SEKHA_NOTEBOOK", "JPY_SESSION_NAME"):
        if value := os.environ.get(name, "").strip():
            return value
    running = shell()
    path = running.user_ns.get("__vsc_ipynb_file__") if running is not None else None
    return path if isinstance(path, str) and path else None


def cell_id() -> str | None:
    """The id of the running cell, when the front end sends one (JupyterLab and Notebook 7 do)."""
    value = _mapping(_request().get("metadata")).get("cellId")
    return value if isinstance(value, str) and value else None


def is_person() -> bool:
    """Is somebody watching the output grow?

    True when the front end accepts input for the running cell, which runners of notebooks do not, or at a terminal.
    `CI` and `SEKHA_STREAM=off` say that nobody is; a replay is not watched either.
    """
    return unwatched() is None


def unwatched() -> str | None:
    """Why nobody is watching, in words; None when somebody is."""
    if _says_yes("CI"):
        return "CI is set"
    if (said := os.environ.get("SEKHA_STREAM", "").strip().lower()) in {"off", "0", "false", "no"}:
        return f"SEKHA_STREAM is {said}"
    if os.environ.get("SEKHA_MODE", "").strip().lower() == "replay":
        return "SEKHA_MODE is replay"
    if shell() is None:
        return "this runs outside IPython"
    if in_kernel():
        watched = _mapping(_request().get("content")).get("allow_stdin") is True
        return None if watched else "the cell is run by a program, which takes no input"
    return None if sys.stdin is not None and sys.stdin.isatty() else "standard input is no terminal"


def in_kernel() -> bool:
    """Is this a Jupyter kernel, whose outputs can be updated, and no terminal?"""
    return getattr(shell(), "kernel", None) is not None


def _says_yes(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in {"", "0", "false", "no", "off"}


def shell() -> Any:
    """The IPython shell this runs in, or None."""
    # Looked up and not imported: a script that uses the package must not pay for IPython.
    module = sys.modules.get("IPython")
    return module.get_ipython() if module is not None and hasattr(module, "get_ipython") else None


def _request() -> dict[str, Any]:
    """The message that asked for the running cell; empty outside a kernel."""
    kernel = getattr(shell(), "kernel", None)
    if kernel is None:
        return {}
    return _mapping(kernel.get_parent("shell"))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
