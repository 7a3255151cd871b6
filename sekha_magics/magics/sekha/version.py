"""`%sekha version`: what to name when something is reported."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from typing import TYPE_CHECKING

from ..arguments import Arguments
from .words import no_words

if TYPE_CHECKING:
    from ...display.tables import Table

__all__ = ["version"]

_STANDS_ON = (
    "ipython",
    "ipykernel",
    "jupyterlab",
    "litellm",
    "genai-prices",
    "duckdb",
    "pandas",
    "pydantic",
    "xllamacpp",
    "wordllama",
)


def version(arguments: Arguments) -> Table:
    from ... import __version__
    from ...display.tables import Table

    no_words(arguments)
    rows = [("sekha-magics", __version__), ("Python", f"{platform.python_version()} on {platform.system()}")]
    return Table(("package", "version"), rows + [(name, _installed(name)) for name in _STANDS_ON])


def _installed(name: str) -> str:
    try:
        return installed(name)
    except PackageNotFoundError:
        return "not installed"
