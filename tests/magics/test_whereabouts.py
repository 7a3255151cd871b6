"""Which notebook, which cell, and whether a person is watching."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import whereabouts


class Kernel:
    """The part of a kernel that says what the front end sent."""

    def __init__(self, request: Any) -> None:
        self.request = request

    def get_parent(self, channel: str) -> Any:
        assert channel == "shell"
        return self.request


@pytest.fixture(autouse=True)
def no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CI", "JPY_SESSION_NAME", "SEKHA_NOTEBOOK", "SEKHA_STREAM", "SEKHA_MODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def kernel(bare_shell: InteractiveShell) -> Kernel:
    kernel = Kernel({"metadata": {"cellId": "cell-7"}, "content": {"allow_stdin": True}})
    bare_shell.kernel = kernel
    return kernel


def test_the_variable_comes_before_what_the_front_end_tells(
    bare_shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert whereabouts.notebook() is None
    bare_shell.user_ns["__vsc_ipynb_file__"] = "/code/c.ipynb"
    assert whereabouts.notebook() == "/code/c.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", "/lab/b.ipynb")
    assert whereabouts.notebook() == "/lab/b.ipynb"
    monkeypatch.setenv("SEKHA_NOTEBOOK", "a.ipynb")
    assert whereabouts.notebook() == "a.ipynb"


def test_a_path_that_is_no_text_is_no_path(bare_shell: InteractiveShell) -> None:
    bare_shell.user_ns["__vsc_ipynb_file__"] = 7
    assert whereabouts.notebook() is None


def test_the_cell_is_the_one_the_request_names(kernel: Kernel) -> None:
    assert whereabouts.cell_id() == "cell-7"


@pytest.mark.parametrize("request_", [{}, None, {"metadata": None}, {"metadata": {"cellId": 3}}, {"metadata": {}}])
def test_a_request_without_a_cell_names_none(kernel: Kernel, request_: Any) -> None:
    kernel.request = request_
    assert whereabouts.cell_id() is None
    assert not whereabouts.is_person()


def test_a_front_end_that_accepts_input_is_a_person(kernel: Kernel) -> None:
    assert whereabouts.is_person()
    assert whereabouts.in_kernel()
    kernel.request["content"]["allow_stdin"] = False
    assert not whereabouts.is_person()


@pytest.mark.parametrize(
    ("name", "value", "person"),
    [
        ("CI", "true", False),
        ("CI", "1", False),
        ("CI", "false", True),
        ("CI", "", True),
        ("SEKHA_STREAM", "off", False),
        ("SEKHA_STREAM", "on", True),
        ("SEKHA_MODE", "replay", False),
        ("SEKHA_MODE", "record", True),
    ],
)
def test_the_environment_may_say_that_nobody_watches(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, name: str, value: str, person: bool
) -> None:
    monkeypatch.setenv(name, value)
    assert whereabouts.is_person() is person


def test_outside_ipython_nothing_is_known_and_ipython_is_not_imported() -> None:
    script = (
        "import sys; from sekha_magics import whereabouts as w; "
        "assert w.notebook() is w.cell_id() is None; assert not w.is_person() and not w.in_kernel(); "
        "assert 'IPython' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_shell_without_a_kernel_and_a_terminal_is_nobody(bare_shell: InteractiveShell) -> None:
    # pytest gives tests no terminal on standard input.
    assert not whereabouts.is_person()
    assert not whereabouts.in_kernel()
