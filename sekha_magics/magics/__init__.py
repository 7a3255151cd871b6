"""What a user writes in cells. `load` adds it to a shell, once for any number of calls; `unload` removes all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load", "unload"]


def load(shell: InteractiveShell) -> None:
    """Add the magics, their completion, the transformer that keeps their prompts, and the displays."""
    from .. import comms
    from ..display import formatters
    from .completion import SekhaMatcher
    from .entry import SekhaMagics
    from .transform import KeepPrompts

    unload(shell)
    magics = SekhaMagics(shell=shell)
    shell.register_magics(magics)
    shell.input_transformers_cleanup.insert(0, KeepPrompts(magics.magics["line"], magics.magics["cell"]))
    shell.Completer.custom_matchers.append(SekhaMatcher(shell).match)
    formatters.register(shell)
    comms.register()


def unload(shell: InteractiveShell) -> None:
    """Take out whatever `load` added; the shell is then as it was before."""
    from .. import comms
    from ..display import formatters

    # The registration itself is the only record of having been loaded, so there is no state to get out of step.
    magics = shell.magics_manager.registry.pop("SekhaMagics", None)
    if magics is None:
        return
    for kind, functions in magics.magics.items():
        for name, function in functions.items():
            if shell.magics_manager.magics[kind].get(name) is function:
                del shell.magics_manager.magics[kind][name]
    shell.configurables[:] = [other for other in shell.configurables if other is not magics]
    transforms = shell.input_transformers_cleanup
    transforms[:] = [t for t in transforms if type(t).__module__ != f"{__name__}.transform"]
    matchers = shell.Completer.custom_matchers
    matchers[:] = [m for m in matchers if getattr(m, "matcher_identifier", None) != "sekha_magics"]
    formatters.unregister(shell)
    comms.unregister()
