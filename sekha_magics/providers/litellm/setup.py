"""LiteLLM, imported once, on first use or ahead of it, and quiet: no network, no banner, no telemetry, no `.env`."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any

__all__ = ["load", "ready", "warm"]

# Reentrant, because the import itself may start a process.
_lock = threading.RLock()
_warming: threading.Thread | None = None
_module: Any = None


def load() -> Any:
    """The module `litellm`, ready for use. The first call takes seconds, later ones nothing."""
    global _module  # noqa: PLW0603 - one module for the process
    with _lock:
        if _module is None:
            _module = _import()
        return _module


def ready() -> Any:
    """The module, or None where `load()` would still have to import it."""
    return _module


def warm() -> None:
    """Import it in the background, unless that has begun. Returns at once."""
    global _warming  # noqa: PLW0603 - one thread for the process
    if _warming is None:
        # No daemon: compiled modules that wake up in an interpreter that has ended crash it.
        _warming = threading.Thread(target=load, name="sekha-litellm")
        _warming.start()


def _import() -> Any:
    # Without it the import fetches a price table from the network.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # In its default mode the import puts the variables of a `.env` near the notebook into the environment.
    mode_unset = "LITELLM_MODE" not in os.environ
    if mode_unset:
        os.environ["LITELLM_MODE"] = "PRODUCTION"
    try:
        import litellm

        # Points tiktoken at the tables in the package before anything asks it for others.
        import litellm.litellm_core_utils.default_encoding
    finally:
        if mode_unset:
            del os.environ["LITELLM_MODE"]
    litellm.suppress_debug_info = True
    litellm.telemetry = False
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        log = logging.getLogger(name)
        if log.level in {logging.NOTSET, logging.WARNING}:
            # Its warnings repeat what the exceptions say, in the middle of a cell's output.
            log.setLevel(logging.CRITICAL)
    return litellm


def _settle_before_fork() -> None:
    # A child forked in the middle of an import waits for ever for the import's lock.
    if _warming is not None and _warming is not threading.current_thread():
        _warming.join()
    _lock.acquire()


def _release_after_fork() -> None:
    _lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_settle_before_fork, after_in_parent=_release_after_fork, after_in_child=_release_after_fork
    )
