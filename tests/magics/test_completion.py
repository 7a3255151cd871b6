"""What Tab offers behind our magics, as the shell's completer gives it to a front end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, set_registry
from sekha_magics.magics.options import CHAT, SUBCOMMANDS


@pytest.fixture(autouse=True)
def _no_registry(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_registry(None)
    monkeypatch.chdir(tmp_path)


def offered(shell: InteractiveShell, code: str) -> list[str]:
    """What is offered where `|` stands in `code`: each as the text the cell would then have up to the cursor."""
    at = code.index("|")
    code = code.replace("|", "", 1)
    with provisionalcompleter():
        found = list(shell.Completer.completions(code, at))
    return [code[: c.start] + c.text for c in found]


def ours(shell: InteractiveShell, code: str) -> list[str]:
    with provisionalcompleter():
        at = code.index("|")
        found = list(shell.Completer.completions(code.replace("|", "", 1), at))
    return [c.text for c in found if c.type == "sekha"]


@pytest.mark.parametrize(
    "before", ["%sekha_chat ", "%%sekha_chat ", "x = %sekha_chat ", "    %sekha_chat ", "%time %sekha_chat "]
)
def test_options_are_offered_wherever_the_magic_may_stand(shell: InteractiveShell, before: str) -> None:
    assert offered(shell, f"{before}--mo|") == [f"{before}--model"]
    assert set(ours(shell, f"{before}|")) == set(CHAT.flags)
    assert set(ours(shell, f"{before}-q --max-c|")) == {"--max-cost"}


def test_values_that_are_always_the_same_are_offered(shell: InteractiveShell) -> None:
    assert ours(shell, "%sekha_chat -t chat_s|") == ["chat_small", "chat_smart"]
    assert ours(shell, "%sekha_chat --format=|") == ["markdown", "text", "code", "json"]
    assert ours(shell, "%sekha_chat --policy |") == ["priority", "cheapest", "fastest"]
    assert ours(shell, "%sekha_cost --by d|") == ["day"]
    assert "7d" in ours(shell, "%sekha_cost --since |")
    assert ours(shell, "%sekha_route --wh|") == ["--why"]


def test_models_come_from_the_registry_that_stands(shell: InteractiveShell, parrot: Callable[..., Registry]) -> None:
    parrot()
    assert ours(shell, "%sekha_chat -m |") == ["echo", "see", "cage/echo", "cage/see"]
    assert offered(shell, "%sekha_chat -m cage/e|") == ["%sekha_chat -m cage/echo"]
    assert ours(shell, "%sekha_chat -p |") == ["priority", "cheapest", "fastest"]


def test_models_come_from_the_file_before_there_is_a_registry(shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "providers:\n- id: mine\n  provider_type: ollama\n  base_url: https://elsewhere.example\n"
        "  models: [{model_id: 'llama3.1:8b', task: chat_small}]\n"
    )
    assert offered(shell, "%sekha_chat -m llama3.1:|") == ["%sekha_chat -m llama3.1:8b"]
    assert ours(shell, "%sekha_chat -m mine|") == ["mine/llama3.1:8b"]
    from sekha_magics.registry import current_registry

    assert current_registry() is None


@pytest.mark.parametrize(
    "text", ["llm_providers: [", "llm_providers: 7", "llm_providers: [{}]", "llm_providers: [7]", "\0"]
)
def test_a_broken_file_offers_nothing_and_raises_nothing(
    shell: InteractiveShell, tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text(text)
    assert ours(shell, "%sekha_chat -m |") == []
    assert capsys.readouterr() == ("", "")


def test_conversations_of_this_kernel_are_offered(shell: InteractiveShell, parrot: Callable[..., Registry]) -> None:
    assert ours(shell, "%sekha_chat -c |") == []
    registry = parrot()
    registry.chat("hi", conversation="trip")
    assert ours(shell, "%sekha_chat -c |") == ["trip"]


def test_variables_are_offered_where_they_fit(shell: InteractiveShell) -> None:
    shell.run_cell(
        "class Place: pass\nshape = {}\nphoto = b''\nnumber = 1\n_hidden = 2\n"
        "def function(): pass\nimport numpy\npixels = numpy.zeros(3)"
    )
    assert ours(shell, "%sekha_chat --schema |") == ["Place", "shape"]
    assert ours(shell, "%sekha_chat -i p|") == ["photo", "pixels"]
    assert ours(shell, "%sekha_chat -o nu|") == ["number"]
    assert {"number", "photo"} <= set(ours(shell, "%sekha_chat tell me about {{ |"))
    assert "function" not in ours(shell, "%sekha_chat {{ |")


def test_names_in_braces_are_offered_in_a_cell(shell: InteractiveShell) -> None:
    shell.run_cell("import types\nholder = types.SimpleNamespace(inner=1, other=2, _private=3)")
    assert offered(shell, "%%sekha_chat -q\nfirst line\nuse {{ hol|") == ["%%sekha_chat -q\nfirst line\nuse {{ holder"]
    assert ours(shell, "%%sekha_chat\n{{ holder.|") == ["inner", "other"]
    assert ours(shell, "%%sekha_chat\nplain text --mo|") == []
    assert ours(shell, "%%sekha_chat\n%sekha_chat --mo|") == ["--model"]


def test_files_are_still_offered_for_an_image(shell: InteractiveShell, tmp_path: Path) -> None:
    (tmp_path / "picture.png").touch()
    assert "%sekha_chat -i picture.png" in offered(shell, "%sekha_chat -i pict|")


def test_subcommands_and_their_words_are_offered(shell: InteractiveShell) -> None:
    assert ours(shell, "%sekha |") == list(SUBCOMMANDS)
    assert ours(shell, "%sekha mo|") == ["models"]
    assert ours(shell, "%sekha config |") == ["show", "check", "trust", "migrate"]
    assert ours(shell, "%sekha doc|") == ["doctor"] and "--no-probe" in ours(shell, "%sekha doctor |")
    assert ours(shell, "%sekha budget |") == ["session", "notebook", "day", "month"]
    assert ours(shell, "%sekha health --p|") == ["--probe"]
    assert ours(shell, "%sekha keys set OPENA|") == ["OPENAI_API_KEY"]
    assert ours(shell, "%sekha cassette --mode re|") == ["record", "replay"]
    assert ours(shell, "%sekha cassette a.jsonl --mode re|") == ["record", "replay"]
    assert ours(shell, "%sekha nonsense |") == []


def test_nothing_of_ours_is_offered_anywhere_else(shell: InteractiveShell) -> None:
    for code in ("pri|", "x = 1 % se|", "%time |", "'%sekha_chat' + |", "|", "%sekha_cha|", "%sekha_nonsense --|"):
        assert ours(shell, code) == []


def test_prompt_text_is_not_taken_for_an_option(shell: InteractiveShell) -> None:
    assert ours(shell, "%sekha_chat why --mo|") == []
    assert ours(shell, "%sekha_chat -- --mo|") == []
    assert ours(shell, "%sekha_chat --zzz x --mo|") == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.text("-=\"'{} smct\n%"), st.sampled_from(["%sekha_chat ", "%%sekha_chat ", "%sekha ", "%sekha keys ", ""]))
def test_tab_never_raises(shell: InteractiveShell, text: str, before: str) -> None:
    from IPython.core.completer import CompletionContext

    code = before + text
    lines = code.split("\n")
    (match,) = [m for m in shell.Completer.custom_matchers if m.matcher_identifier == "sekha_magics"]
    context = CompletionContext("", code, len(lines[-1]), len(lines) - 1, None)
    result = match(context)
    assert lines[-1].endswith(result["matched_fragment"])
