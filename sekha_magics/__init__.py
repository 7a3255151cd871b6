"""Language models in notebooks: magics that choose a model, say why, and keep the bill.

Importing this package is cheap; every public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .accessor import install

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__version__ = "0.1.0"

_HOME_OF = {
    "Registry": "registry",
    "get_registry": "registry",
    "set_registry": "registry",
    "bill": "billing",
    "Provider": "providers.base",
    "ProviderType": "core.provider_types",
    "Chat": "widgets",
    "Dashboard": "widgets",
    "Decision": "core.types",
    "Reply": "core.types",
}
_ERRORS = (
    "SekhaError", "InvalidInput", "ConfigError", "UntrustedConfig", "NoEligibleModel", "BudgetExceeded",
    "AllProvidersFailed", "ProviderError", "StreamInterrupted", "CassetteMiss", "InterpolationError", "LedgerError",
    "MemoryStoreError", "UnusableAnswer",
)  # fmt: skip

__all__ = ["__version__", "load_ipython_extension", "unload_ipython_extension", *_HOME_OF, *_ERRORS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    module = "errors" if name in _ERRORS else _HOME_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def load_ipython_extension(shell: InteractiveShell) -> None:
    """`%load_ext sekha_magics`: add the magics, their completion and their displays to `shell`."""
    from .magics import load

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """`%unload_ext sekha_magics`: remove all that loading added."""
    from .magics import unload

    unload(shell)


install()
