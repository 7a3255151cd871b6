"""A real shell in this process, with the extension loaded, and a registry whose only provider is a parrot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from sekha_magics import Registry, set_registry

from .parrot import make_registry


@pytest.fixture
def bare_shell() -> Iterator[InteractiveShell]:
    """A shell of its own for each test, without the extension."""
    InteractiveShell.clear_instance()
    shell = InteractiveShell.instance(
        config=Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "nocolor"}})
    )
    yield shell
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare_shell: InteractiveShell) -> InteractiveShell:
    """A shell with the extension loaded."""
    bare_shell.extension_manager.load_extension("sekha_magics")
    return bare_shell


@dataclass
class Ran:
    """What a cell left behind: its value, its outputs in order, its two streams, its error."""

    value: Any
    error: BaseException | None
    stdout: str
    stderr: str
    outputs: list[Any] = field(default_factory=list)

    @property
    def plain(self) -> str:
        return "\n".join(output.data["text/plain"] for output in self.outputs)


@pytest.fixture
def run(shell: InteractiveShell) -> Callable[[str], Ran]:
    """Run a cell as a notebook does. What displays of values show is among its outputs."""
    from IPython.utils.capture import capture_output

    def run_cell(source: str) -> Ran:
        with capture_output() as captured:
            result = shell.run_cell(source, store_history=True)
        return Ran(
            result.result,
            result.error_before_exec or result.error_in_exec,
            captured.stdout,
            captured.stderr,
            list(captured.outputs),
        )

    return run_cell


@pytest.fixture
def parrot() -> Iterator[Callable[..., Registry]]:
    """Give the magics a registry with one parrot; the arguments are its options."""
    made: list[Registry] = []

    def use(**options: Any) -> Registry:
        made.append(make_registry(**options))
        set_registry(made[-1])
        return made[-1]

    yield use
    set_registry(None)
    for registry in made:
        registry.close()


@pytest.fixture
def registry(parrot: Callable[..., Registry]) -> Registry:
    """A registry with one parrot that repeats what it hears."""
    return parrot()
