"""From a cell to an answer: what the model hears, what the cell leaves behind, what the name holds."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image as Pictures

from sekha_magics import Registry, errors
from sekha_magics.core.types import Decision, Reply

from .conftest import Ran
from .parrot import Parrot

Run = Callable[[str], Ran]
HOSTILE = '{"a": 1} {x} $5 50% %d "quotes" \'single\' back\\slash {{"b": 2}} 🦜\n# a comment line\n>>> 1\n  last;'


def heard() -> str:
    (call,) = Parrot.heard
    return call.messages[-1].text


@pytest.fixture(autouse=True)
def _registry(registry: Registry) -> None:
    """Every test has the parrot."""


def test_a_prompt_full_of_traps_reaches_the_model_byte_for_byte(run: Run) -> None:
    ran = run(f"%%sekha_chat\n{HOSTILE}")
    assert heard() == HOSTILE
    assert ran.value.text == HOSTILE


@pytest.mark.parametrize(
    "prompt",
    ["why is the sky blue?", 'it\'s {"a": 1} $5 {x} 50%?', "ends with a backslash \\", "ends with ;", "# no comment"],
)
def test_the_prompt_of_a_line_reaches_the_model_byte_for_byte(run: Run, prompt: str) -> None:
    assert run(f"%sekha_chat {prompt}").error is None
    assert heard() == prompt


def test_the_value_is_the_reply_and_it_is_drawn_once(run: Run, shell: InteractiveShell) -> None:
    ran = run("%%sekha_chat\nhello there")
    assert isinstance(ran.value, Reply)
    assert shell.user_ns["_"] is ran.value
    assert shell.user_ns["Out"][1] is ran.value
    (output,) = ran.outputs
    assert set(output.data) == {"text/plain", "text/html", "application/vnd.sekha.chat.v1+json"}
    assert output.data["text/plain"].startswith("hello there")
    assert output.metadata["sekha"]["decision_id"] == ran.value.decision.decision_id
    assert (ran.stdout, ran.stderr) == ("Out[1]: ", "")


def test_a_trailing_semicolon_does_not_swallow_the_answer(run: Run, shell: InteractiveShell) -> None:
    ran = run("%%sekha_chat\nhello;")
    assert len(ran.outputs) == 1
    assert shell.user_ns["_"].text == "hello;"


def test_an_assignment_keeps_the_reply_and_draws_it(run: Run, shell: InteractiveShell) -> None:
    ran = run("answer = %sekha_chat are you there?")
    assert shell.user_ns["answer"].text == "are you there?"
    assert len(ran.outputs) == 1


def test_a_reply_shown_again_is_drawn_again(run: Run) -> None:
    run("answer = %sekha_chat hi")
    assert run("answer").stdout.startswith("Out[2]: \nhi\n")
    assert run("display(answer)").plain.startswith("hi\n")


def test_a_loop_asks_and_draws_each_time(run: Run) -> None:
    ran = run("for city in ['Oslo', 'Bergen']:\n    %sekha_chat is {{ city }} wet?")
    assert [call.messages[-1].text for call in Parrot.heard] == ["is Oslo wet?", "is Bergen wet?"]
    assert len(ran.outputs) == 2


def test_a_function_fills_in_its_own_variables(run: Run) -> None:
    run(
        "city = 'outside'\ndef ask(city):\n"
        "    return get_ipython().run_line_magic('sekha_chat', '-q {{ city }}')\nr = ask('Oslo')"
    )
    assert heard() == "Oslo"


def test_braces_are_filled_in_from_the_notebook_unless_raw(run: Run, shell: InteractiveShell) -> None:
    shell.user_ns["name"] = "World"
    run("%sekha_chat Hello {{ name }}")
    run("%sekha_chat --raw Hello {{ name }}")
    assert [call.messages[-1].text for call in Parrot.heard] == ["Hello World", "Hello {{ name }}"]


def test_quiet_shows_nothing_and_still_has_a_value(run: Run, shell: InteractiveShell) -> None:
    ran = run("%sekha_chat -q -o kept hello")
    assert ran.outputs == []
    assert shell.user_ns["kept"] is shell.user_ns["_"] is ran.value


def test_every_option_arrives_at_the_provider(run: Run) -> None:
    ran = run(
        "%%sekha_chat --model cage/echo -s 'be brief' --temperature 0.5 --max-tokens 7 --seed 3 -P top_p=0.9 "
        "--max-cost 0.5 --local-only --task chat_smart --policy cheapest --prefer echo\nhello"
    )
    (call,) = Parrot.heard
    assert [message.role for message in call.messages] == ["system", "user"]
    assert call.messages[0].text == "be brief"
    assert (call.temperature, call.max_tokens, call.seed, dict(call.params)) == (0.5, 7, 3, {"top_p": 0.9})
    request = ran.value.decision.request
    assert (request.model, request.task, request.policy) == ("cage/echo", "chat_smart", "cheapest")
    assert (request.preferred_model, request.max_cost, request.local_only) == ("echo", Decimal("0.5"), True)


def test_defaults_of_the_session_stand_behind_the_options(run: Run) -> None:
    run(
        "%config SekhaMagics.system = 'be kind'\n%config SekhaMagics.max_tokens = 9\n%config SekhaMagics.max_cost = 0.1"
    )
    run("%sekha_chat hello")
    run("%sekha_chat --max-tokens 3 -s 'be brief' hello")
    first, second = Parrot.heard
    assert (first.messages[0].text, first.max_tokens) == ("be kind", 9)
    assert (second.messages[0].text, second.max_tokens) == ("be brief", 3)


def test_a_conversation_is_continued_and_emptied(run: Run) -> None:
    run("%sekha_chat -c trip one")
    run("%sekha_chat -c trip two")
    run("%sekha_chat -c trip --new three")
    assert [len(call.messages) for call in Parrot.heard] == [1, 3, 1]


def test_images_come_from_variables_files_and_expressions(run: Run, shell: InteractiveShell, tmp_path: Any) -> None:
    picture = Pictures.new("RGB", (2, 2), "red")
    picture.save(tmp_path / "a b.png")
    shell.user_ns |= {"plot": np.zeros((4, 4, 3), np.uint8), "shots": {"first": picture}}
    ran = run(f"%sekha_chat -i plot -i \"{tmp_path / 'a b.png'}\" -i shots['first'] what is this?")
    assert ran.error is None
    (call,) = Parrot.heard
    assert call.model_id == "see"
    assert [image.format for image in call.messages[-1].images] == ["png", "png", "png"]


def test_an_image_that_is_not_there_is_said_so(run: Run, shell: InteractiveShell) -> None:
    shell.user_ns["plot"] = b"x"
    error = run("%sekha_chat -i plto what is this?").error
    assert isinstance(error, errors.InvalidInput)
    assert error.message == "plto is neither a variable nor a file"
    assert error.hint == "Did you mean plot?"


def test_a_schema_makes_a_value_of_the_answer(run: Run, parrot: Callable[..., Registry]) -> None:
    parrot(answer='{"city": "Oslo"}')
    run("class Place(__import__('pydantic').BaseModel):\n    city: str")
    assert run("%sekha_chat --schema Place where?").value.parsed.city == "Oslo"
    run("shape = {'type': 'object'}")
    assert run("%sekha_chat --schema shape -f json where?").value.parsed == {"city": "Oslo"}
    assert run("%sekha_chat --schema Plaec where?").error.hint == "Did you mean Place?"  # type: ignore[union-attr]


def test_a_dry_run_decides_and_sends_nothing(run: Run, registry: Registry) -> None:
    ran = run("%sekha_chat --dry-run -o decided hello")
    assert isinstance(ran.value, Decision)
    assert Parrot.heard == []
    assert len(ran.outputs) == 1
    assert "echo at cage" in ran.plain
    assert list(registry.ledger.decisions()["outcome"]) == ["dry_run"]


def test_no_log_leaves_nothing_in_the_ledger(run: Run, registry: Registry) -> None:
    run("%sekha_chat --no-log secret")
    assert len(registry.ledger.decisions()) == 0
    run("%sekha_chat known")
    assert len(registry.ledger.decisions()) == 1


def test_explain_shows_every_candidate_below_the_answer(run: Run) -> None:
    assert "why not" not in run("%sekha_chat hello").plain
    assert "wrong_task" in run("%sekha_chat --explain hello").plain


def test_code_alone_is_shown_and_goes_into_a_new_cell_only_when_asked(
    run: Run, parrot: Callable[..., Registry], shell: InteractiveShell
) -> None:
    parrot(answer="Here:\n```python\nprint(1)\n```\nDone.")
    ran = run("%sekha_chat -f code go")
    assert ran.plain.startswith("print(1)\n")
    assert not hasattr(shell, "rl_next_input")
    run("%sekha_chat -q --to-cell go")
    assert shell.rl_next_input == "print(1)"


def test_an_answer_without_code_leaves_the_new_cell_out(run: Run, shell: InteractiveShell) -> None:
    ran = run("%sekha_chat -q --to-cell hello")
    assert not hasattr(shell, "rl_next_input")
    assert "no fenced code" in ran.stderr


def test_the_last_error_is_added_with_its_cell(run: Run) -> None:
    run("def half(x):\n    return x / 0\nhalf(3)")
    run("%sekha_chat --last-error {{ 'raw' }} what now?")
    said = heard()
    assert said.startswith("{{ 'raw' }} what now?\n\nThe cell In[1]:\n```python\ndef half(x):")
    assert 'File "In[1]", line 2, in half' in said
    assert said.endswith("ZeroDivisionError: division by zero\n```")
    assert "interactiveshell.py" not in said


def test_a_syntax_error_is_an_error_like_any_other(run: Run) -> None:
    run("x = (1,\ny = 2")
    run("%sekha_chat --last-error")
    assert heard().startswith("Explain this error and show how to fix it.\n\nThe cell In[1]:\n```python\nx = (1,")
    assert "SyntaxError" in heard()


def test_a_cell_with_fences_stays_inside_its_fence(run: Run) -> None:
    run('text = "```"; 1/0')
    run("%sekha_chat --last-error why?")
    assert '````python\ntext = "```"; 1/0\n````' in heard()


def test_an_endless_traceback_is_cut_in_the_middle(run: Run) -> None:
    run("raise ValueError('x' * 100_000)")
    run("%sekha_chat --last-error why?")
    assert len(heard()) < 20_000
    assert "characters left out" in heard()


@pytest.mark.parametrize("line", ["-h", "--help", "?", "--model x --help"])
def test_help_is_printed_and_nothing_is_asked(run: Run, line: str) -> None:
    for cell in (f"%sekha_chat {line}", f"%%sekha_chat {line}"):
        ran = run(cell)
        assert ran.error is None and ran.value is None
        assert "--max-tokens" in ran.stdout
    assert Parrot.heard == []


def test_a_question_mark_at_the_magic_shows_its_options(run: Run, shell: InteractiveShell) -> None:
    for cell in ("%sekha_chat?", "%%sekha_chat?"):
        assert run(cell).error is None
    assert "--max-tokens COUNT" in shell.find_line_magic("sekha_chat").__doc__


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%sekha_chat --modle x hi", "Did you mean --model?"),
        ("%sekha_chat", "there is no prompt"),
        ("%%sekha_chat\n  \n", "there is no prompt"),
        ("%%sekha_chat -q", "there is no prompt"),
        ("%%sekha_chat --model gpt 4\nhi", "'4' is no option"),
        ("%sekha_chat --new hi", "--new empties a conversation"),
        ("%sekha_chat --last-error hi", "no cell has failed yet"),
    ],
)
def test_a_mistake_is_a_usage_error_before_anything_is_asked(
    run: Run, cell: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("sys.last_value", raising=False)
    ran = run(cell)
    assert type(ran.error) is UsageError
    assert message in str(ran.error)
    assert Parrot.heard == []


def test_errors_show_their_message_and_hint_and_no_frames(run: Run, parrot: Callable[..., Registry]) -> None:
    parrot(fail="BadRequest")
    ran = run("%sekha_chat hello")
    assert isinstance(ran.error, errors.BadRequest)
    assert ran.error.short
    assert "\x1b" not in ran.error.message
    assert "Traceback" not in ran.stdout and "interactiveshell" not in ran.stdout
    assert "BadRequest on purpose" in ran.stdout


def test_the_same_error_from_python_keeps_its_frames(run: Run, registry: Registry) -> None:
    ran = run("from sekha_magics import get_registry\nget_registry().chat('hi', model='nope')")
    assert isinstance(ran.error, errors.NoEligibleModel)
    assert "get_registry().chat" in ran.stdout and "asking.py" in ran.stdout


def test_an_unknown_name_in_braces_costs_nothing(run: Run) -> None:
    ran = run("%sekha_chat {{ nmae }}")
    assert isinstance(ran.error, errors.InterpolationError)
    assert Parrot.heard == []
