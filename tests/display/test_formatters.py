from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from sekha_magics.display.formatters import mark_drawn, register, unregister
from sekha_magics.display.reply import MIME_TYPE

from .samples import decision, reply


@pytest.fixture(autouse=True)
def registered(shell: InteractiveShell) -> Iterator[None]:
    register(shell)
    shell.user_ns.update(answer=reply("**Paris**."), chosen=decision(), draw=lambda value: draw(shell, value))
    yield
    unregister(shell)


def draw(shell: InteractiveShell, value: object) -> object:
    """What a magic does: it draws the reply itself, then returns it as its value."""
    print("drawn by the magic")
    mark_drawn(shell, value)  # type: ignore[arg-type]
    return value


def run(shell: InteractiveShell, cell: str) -> str:
    with capture_output(display=False) as captured:
        shell.run_cell(cell, store_history=True).raise_error()
    return captured.stdout


def test_a_reply_and_a_decision_are_shown_rich(shell: InteractiveShell) -> None:
    data, metadata = shell.display_formatter.format(reply("**Paris**."))
    assert set(data) == {"text/plain", "text/html", MIME_TYPE}
    assert metadata["sekha"]["decision_id"] == "d-1"
    data, metadata = shell.display_formatter.format(decision())
    assert set(data) == {"text/plain", "text/html"}
    assert metadata["sekha"]["decision_id"] == "d-1"


def test_a_reply_the_cell_drew_itself_is_not_drawn_again_and_lands_in_out(shell: InteractiveShell) -> None:
    shown = run(shell, "draw(answer)")
    assert "drawn by the magic" in shown
    assert "**Paris**." not in shown
    assert shell.user_ns["_"] is shell.user_ns["answer"]
    assert shell.user_ns["Out"] == {1: shell.user_ns["answer"]}


def test_a_reply_that_was_not_drawn_is_drawn_once_as_the_value(shell: InteractiveShell) -> None:
    assert run(shell, "answer").count("**Paris**.") == 1


def test_a_drawn_reply_is_drawn_again_in_a_later_cell(shell: InteractiveShell) -> None:
    run(shell, "draw(answer)")
    assert run(shell, "_").count("**Paris**.") == 1


def test_a_reply_drawn_in_a_cell_that_failed_is_drawn_in_the_next(shell: InteractiveShell) -> None:
    with capture_output():
        shell.run_cell("x = draw(answer); 1 / 0")
    assert run(shell, "answer").count("**Paris**.") == 1


def test_display_draws_a_drawn_reply_again_when_asked(shell: InteractiveShell) -> None:
    assert run(shell, "x = draw(answer); display(x)").count("**Paris**.") == 1


def test_an_equal_reply_is_not_taken_for_the_drawn_one(shell: InteractiveShell) -> None:
    shell.user_ns["other"] = reply("**Paris**.")
    assert run(shell, "draw(answer); other").count("**Paris**.") == 1


def test_registering_twice_changes_nothing_and_unregistering_removes_all(shell: InteractiveShell) -> None:
    register(shell)
    callbacks = len(shell.events.callbacks["post_run_cell"])
    shell.display_formatter.format(reply())
    unregister(shell)
    assert len(shell.events.callbacks["post_run_cell"]) == callbacks - 1
    assert set(shell.display_formatter.format(reply())[0]) == {"text/plain"}
    assert set(shell.display_formatter.format(decision())[0]) == {"text/plain"}
    unregister(shell)


def test_unregistering_before_anything_was_shown_removes_all(shell: InteractiveShell) -> None:
    unregister(shell)
    assert set(shell.display_formatter.format(reply())[0]) == {"text/plain"}


def test_registering_imports_neither_the_types_nor_a_renderer() -> None:
    program = (
        "import sys; from IPython.core.interactiveshell import InteractiveShell; shell = InteractiveShell();"
        "before = set(sys.modules); from sekha_magics.display.formatters import register; register(shell);"
        "print(*sorted(set(sys.modules) - before))"
    )
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    ours = ["sekha_magics", "sekha_magics.accessor", "sekha_magics.display", "sekha_magics.display.formatters"]
    assert out.split() == ours
