"""Loading adds, once; unloading takes all of it away."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from IPython.core.interactiveshell import InteractiveShell

from sekha_magics.magics import load, unload

HEAVY = (
    "litellm",
    "duckdb",
    "pandas",
    "ipywidgets",
    "anywidget",
    "httpx",
    "pydantic",
    "anyio",
    "yaml",
    "numpy",
    "jsonschema",
)


def state(shell: InteractiveShell) -> dict[str, Any]:
    """Everything in a shell that the extension may change."""
    manager, formatter = shell.magics_manager, shell.display_formatter
    return {
        "magics": {kind: dict(magics) for kind, magics in manager.magics.items()},
        "registry": dict(manager.registry),
        "configurables": list(shell.configurables),
        "transforms": list(shell.input_transformers_cleanup),
        "matchers": list(shell.Completer.custom_matchers),
        "bundles": dict(formatter.mimebundle_formatter.deferred_printers),
        "displays": dict(formatter.ipython_display_formatter.deferred_printers),
        "events": {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
        "names": set(shell.user_ns),
    }


def test_unloading_leaves_the_shell_as_it_was(bare_shell: InteractiveShell) -> None:
    before = state(bare_shell)
    bare_shell.extension_manager.load_extension("sekha_magics")
    assert {"sekha_chat"} <= set(bare_shell.magics_manager.magics["cell"])
    assert {"sekha_chat", "sekha_route", "sekha_cost", "sekha_sql", "sekha"} <= set(
        bare_shell.magics_manager.magics["line"]
    )
    bare_shell.extension_manager.unload_extension("sekha_magics")
    assert state(bare_shell) == before


def test_loading_again_doubles_nothing(bare_shell: InteractiveShell) -> None:
    def sizes() -> dict[str, Any]:
        now = state(bare_shell)
        return {name: len(part) for name, part in now.items()} | {k: len(v) for k, v in now["events"].items()}

    load(bare_shell)
    once = sizes()
    load(bare_shell)
    bare_shell.extension_manager.reload_extension("sekha_magics")
    bare_shell.extension_manager.reload_extension("sekha_magics")
    assert sizes() == once


def test_unloading_what_was_never_loaded_does_nothing(bare_shell: InteractiveShell) -> None:
    before = state(bare_shell)
    unload(bare_shell)
    assert state(bare_shell) == before


def test_a_magic_that_somebody_put_in_the_place_of_ours_stays(shell: InteractiveShell) -> None:
    def sekha_cost(line: str) -> str:
        return "mine"

    shell.register_magic_function(sekha_cost)
    unload(shell)
    assert shell.run_line_magic("sekha_cost", "") == "mine"


def test_defaults_are_listed_and_checked(shell: InteractiveShell) -> None:
    magics = shell.magics_manager.registry["SekhaMagics"]
    shell.run_cell("%config SekhaMagics.temperature = -1\n%config SekhaMagics.format = 'text'")
    assert (magics.temperature, magics.format) == (None, "text")
    assert [type(c).__name__ for c in shell.configurables].count("SekhaMagics") == 1


def test_loading_and_completing_import_nothing_heavy() -> None:
    script = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "sekha_magics")
shell.run_cell("%sekha_chat --help", silent=True)
shell.Completer.complete(line_buffer="%sekha_chat --mo", cursor_pos=16)
shell.run_line_magic("unload_ext", "sekha_magics")
print(sorted(set({HEAVY!r}) & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
