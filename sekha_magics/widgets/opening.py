"""Opening the part of a widget that is in the page, where what that takes is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import SekhaError

__all__ = ["opened", "view_of"]

_VIEW = "application/vnd.jupyter.widget-view+json"


def opened(widget: str, page: str, *arguments: Any, **traits: Any) -> Any:
    """A new `page` of `pages.py`. Raises `SekhaError` where anywidget is not installed."""
    try:
        pages = import_module(".pages", __package__)
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in {"anywidget", "ipywidgets", "traitlets"}:
            raise
        raise SekhaError(
            f"sekha.{widget}() needs {error.name}, which is not installed.",
            hint="Run `pip install 'sekha-magics[lab]'`, then restart the kernel and reload the page.",
        ) from error
    return getattr(pages, page)(*arguments, **traits)


def view_of(page: Any) -> dict[str, Any]:
    """What a front end that has widgets shows in place of text and HTML; nothing once it is closed."""
    if page.comm is None:
        return {}
    return {_VIEW: {"version_major": 2, "version_minor": 1, "model_id": page.model_id}}
