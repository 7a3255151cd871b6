"""What the shell makes of a cell before it runs: the text behind our magics stays as written."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics.magics.transform import KeepPrompts

KEEP = KeepPrompts(("sekha_chat", "sekha_route", "sekha_cost", "sekha"), ("sekha_chat",))


def calls(shell: InteractiveShell, cell: str) -> list[tuple[str, ...]]:
    """The magics `cell` would call, with their texts."""
    tree = ast.parse(shell.transform_cell(cell))
    return [
        (node.func.attr, *(ast.literal_eval(a) for a in node.args))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("%sekha_chat why is the sky blue?", "why is the sky blue?"),
        ("x = %sekha_chat why?", "why?"),
        ("x = %sekha_chat why??\ny = 1", "why??"),
        ("for i in range(2):\n    %sekha_chat {{ i }}?", "{{ i }}?"),
        ('%sekha_chat it\'s "odd" (or {not', 'it\'s "odd" (or {not'),
        ("%sekha_chat ends with C:\\", "ends with C:\\"),
        ("%sekha_chat 50% of $5; # is?", "50% of $5; # is?"),
        ("%sekha_chat trailing blanks  ", "trailing blanks  "),
        ("%sekha_chat", ""),
    ],
)
def test_a_line_is_asked_as_written(shell: InteractiveShell, cell: str, text: str) -> None:
    assert ("run_line_magic", "sekha_chat", text) in calls(shell, cell)


def test_a_line_goes_on_behind_a_backslash_as_in_any_magic(shell: InteractiveShell) -> None:
    cell = "%sekha_chat -m a \\\n  why?\nprint(1)"
    assert calls(shell, cell) == [("run_line_magic", "sekha_chat", "-m a    why?")]


@pytest.mark.parametrize(
    "cell",
    [
        's = """\n%sekha_chat why?\n"""',
        "# %sekha_chat why?\nx = 1",
        "x = 7 %sekha_chat",
        '"%sekha_chat why?"',
    ],
)
def test_text_that_only_looks_like_a_magic_is_left_alone(cell: str) -> None:
    lines = cell.splitlines(keepends=True)
    assert KEEP(lines) == lines


def test_other_magics_with_odd_text_do_not_hide_ours(shell: InteractiveShell) -> None:
    cell = "!echo ( \"\"\"\nfiles = !ls (\n%time print('''x''')\n%sekha_chat why?"
    assert ("run_line_magic", "sekha_chat", "why?") in calls(shell, cell)


@pytest.mark.parametrize("cell", ["%sekha_chat?", "%%sekha_chat?", "%sekha_chat??", "%sekha_route?"])
def test_a_question_mark_at_the_magic_itself_still_asks_for_help(shell: InteractiveShell, cell: str) -> None:
    ((_, magic, what),) = calls(shell, cell)
    assert magic in {"pinfo", "pinfo2"}
    assert "sekha" in what


def test_a_timed_question_is_asked_too(shell: InteractiveShell) -> None:
    assert calls(shell, "%time %sekha_chat why?") == [("run_line_magic", "time", "%sekha_chat why?")]


def test_bodies_of_other_cell_magics_are_theirs(shell: InteractiveShell) -> None:
    cell = "%%writefile notes.md\n%sekha_chat why?\n"
    assert calls(shell, cell) == [("run_cell_magic", "writefile", "notes.md", "%sekha_chat why?\n")]


BODY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1)


@given(BODY)
def test_a_cell_keeps_every_character(body: str) -> None:
    kept = "".join(KEEP(f"%%sekha_chat -q\n{body}\n".splitlines(keepends=True)))
    (call,) = ast.parse(kept).body
    assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    assert [ast.literal_eval(a) for a in call.value.args] == ["sekha_chat", "-q", f"{body}\n"]


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"])).filter(lambda t: not t.endswith("\\")))
def test_a_line_keeps_every_character(text: str) -> None:
    kept = "".join(KEEP([f"%sekha_chat {text}\n"]))
    (call,) = ast.parse(kept).body
    assert isinstance(call, ast.Expr) and isinstance(call.value, ast.Call)
    assert [ast.literal_eval(a) for a in call.value.args] == ["sekha_chat", text]


def test_prompts_pasted_into_a_prompt_and_its_indentation_stay(shell: InteractiveShell) -> None:
    body = "    >>> 1 + 1\n    2\nIn [3]: x\n   ...: y\n"
    assert calls(shell, f"\n%%sekha_chat\n{body}") == [("run_cell_magic", "sekha_chat", "", body)]


def test_an_indented_cell_loses_the_indentation_of_its_first_line(shell: InteractiveShell) -> None:
    assert calls(shell, "  %%sekha_chat -q\n  a\n    b\n") == [("run_cell_magic", "sekha_chat", "-q", "a\n  b\n")]


def test_a_terminal_goes_on_reading_a_cell_until_a_blank_line(shell: InteractiveShell) -> None:
    assert shell.check_complete("%%sekha_chat\nhello")[0] == "incomplete"
    assert shell.check_complete("%%sekha_chat\nhello\n\n")[0] == "complete"
    assert shell.check_complete("%sekha_chat why?")[0] == "complete"


@given(
    st.lists(st.sampled_from(["%sekha_chat a?\n", "x = 1\n", '"""\n', "!ls (\n", "if x:\n", "  %sekha b\\\n", "(\n"]))
)
def test_no_cell_breaks_the_transformer(lines: list[str]) -> None:
    assert isinstance(KEEP(list(lines)), list)


def test_a_cell_without_a_body_is_a_line(shell: InteractiveShell) -> None:
    assert calls(shell, "%%sekha_chat --help") == [("run_line_magic", "sekha_chat", "--help")]
    assert calls(shell, "%%sekha_chat why?\n") == [("run_line_magic", "sekha_chat", "why?")]
