"""A conversation from its kernel's side: what is asked in the page or in code, what becomes of it, what is kept."""

from __future__ import annotations

import subprocess
import sys
import threading
from decimal import Decimal
from typing import Any

import pytest
from IPython.utils.capture import capture_output

import sekha_magics as sekha
from sekha_magics import Registry
from sekha_magics.errors import AllProvidersFailed, InvalidInput, SekhaError
from sekha_magics.registry import set_registry
from tests.display.harmless import assert_harmless
from tests.display.hostile import TEXTS
from tests.magics.parrot import Parrot, make_registry

from .conftest import say, slow_registry, wait_for, when

VIEW = "application/vnd.jupyter.widget-view+json"


def answered(chat: sekha.Chat, count: int) -> None:
    wait_for(when(chat, "turns", among=lambda turns: len(turns) >= count))


def test_a_question_of_the_page_is_answered_drawn_and_kept(registry: Registry) -> None:
    chat = sekha.Chat("lesson", system="Be kind.")
    say(chat, {"type": "ask", "id": "1", "text": "What is **this**?"})
    answered(chat, 1)
    (turn,) = chat.turns
    assert (turn.question, turn.answer) == ("What is **this**?", "What is **this**?")
    assert "<strong>this</strong>" in turn.html
    assert chat.widget.turns[0]["html"] == turn.html
    assert chat.widget.asking is None
    assert [m.text for m in registry.conversation("lesson")] == ["Be kind.", "What is **this**?", "What is **this**?"]
    assert chat.widget.spent == "$0.000009"


def test_a_second_question_carries_the_first(registry: Registry) -> None:
    chat = sekha.Chat()
    chat.ask("one")
    reply = chat.ask("two")
    assert str(reply) == "two"
    assert [m.text for m in Parrot.heard[-1].messages] == ["one", "one", "two"]
    assert [turn.question for turn in chat.turns] == ["one", "two"]


def test_two_new_chats_are_two_conversations_and_a_name_is_taken_up(registry: Registry) -> None:
    registry.chat("before", conversation="known")
    first, second, known = sekha.Chat(), sekha.Chat(), sekha.Chat("known")
    assert [first.conversation, second.conversation] == ["chat", "chat 2"]
    known.ask("after")
    assert [m.text for m in Parrot.heard[-1].messages] == ["before", "before", "after"]


def test_the_page_offers_what_may_chat_and_its_choice_is_followed(registry: Registry) -> None:
    registry.register_provider(
        {"id": "vectors", "type": "scripted", "models": [{"model_id": "wordy", "task": "embedding", "dimension": 64}]}
    )
    chat = sekha.Chat(model="echo")
    assert chat.widget.models == ["echo", "see"]
    assert chat.widget.tasks == ["chat_small", "chat_smart", "vision"]
    chat.widget.model = "see"
    assert chat.ask("What is here?").model_id == "see"
    chat.widget.model, chat.widget.task = "", "chat_smart"
    assert chat.ask("And here?").decision.task == "chat_smart"


def test_a_model_that_two_providers_serve_is_offered_at_each(registry: Registry) -> None:
    models = [{"model_id": "echo", "task": "chat_small", "context_window": 100_000}]
    registry.register_provider({"id": "other", "type": "parrot", "models": models})
    chat = sekha.Chat()
    assert chat.widget.models == ["cage/echo", "see", "other/echo"]
    chat.widget.model = "other/echo"
    assert chat.ask("Who is it?").provider_id == "other"


def test_an_answer_is_stopped_in_the_middle_and_what_came_of_it_stays_and_is_paid() -> None:
    with slow_registry() as slow:
        chat = sekha.Chat(registry=slow)
        written = threading.Event()
        chat.widget.send = lambda content, buffers=None: written.set() if content["type"] == "writing" else None
        say(chat, {"type": "ask", "id": "1", "text": "Go on."})
        wait_for(written)
        say(chat, {"type": "stop"})
        answered(chat, 1)
        (turn,) = chat.turns
        assert turn.answer.startswith("slow") and "stopped" in turn.line
        assert slow.ledger.calls()["status"].to_list() == ["interrupted"]
        assert slow.conversation("chat") == ()
        assert chat.widget.spent not in ("$0", "")


def test_closing_ends_the_answer_and_nothing_can_be_asked_afterwards() -> None:
    with slow_registry() as slow:
        chat = sekha.Chat(registry=slow)
        say(chat, {"type": "ask", "id": "1", "text": "Go on."})
        running = chat._answering
        chat.close()
        chat.close()
        assert running is not None and running.wait(30)
        assert len(chat.turns) == 1
        with pytest.raises(InvalidInput, match="closed"):
            chat.ask("More?")
        assert VIEW not in chat.transcript.mimebundle()


def test_a_widget_closed_by_ipywidgets_ends_the_answer_too() -> None:
    with slow_registry() as slow:
        chat = sekha.Chat(registry=slow)
        say(chat, {"type": "ask", "id": "1", "text": "Go on."})
        running = chat._answering
        chat.widget.close()
        assert running is not None and running.wait(30)


def test_asking_while_an_answer_is_written_is_refused_and_does_not_disturb_it() -> None:
    with slow_registry() as slow:
        chat = sekha.Chat(registry=slow)
        told: list[Any] = []
        chat.widget.send = lambda content, buffers=None: told.append(content)
        say(chat, {"type": "ask", "id": "1", "text": "Go on."})
        say(chat, {"type": "ask", "id": "2", "text": "And this?"})
        heard = [message for message in told if message["type"] == "heard"]
        assert [(one["id"], bool(one["error"])) for one in heard] == [("1", False), ("2", True)]
        with pytest.raises(InvalidInput, match="still being written"):
            chat.ask("Or this?")
        chat.stop()
        answered(chat, 1)
        assert [turn.question for turn in chat.turns] == ["Go on."]


def test_many_threads_ask_at_once_and_every_question_is_answered_or_refused(registry: Registry) -> None:
    chat = sekha.Chat()
    outcomes: list[str] = []

    def ask(number: int) -> None:
        try:
            outcomes.append(chat.ask(f"number {number}").text)
        except InvalidInput as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    answers = [text for text in outcomes if text.startswith("number")]
    assert len(outcomes) == 16 and answers
    assert len(chat.turns) == len(answers)
    assert {text for text in outcomes if not text.startswith("number")} <= {"An answer is still being written."}


def test_an_error_stands_where_the_answer_would_with_its_hint_and_the_next_question_is_answered() -> None:
    with make_registry(fail="AuthenticationFailed") as failing:
        chat = sekha.Chat(registry=failing)
        with pytest.raises(AllProvidersFailed):
            chat.ask("Anyone?")
        (turn,) = chat.turns
        assert "AuthenticationFailed on purpose" in turn.error and turn.hint
        assert "Anyone?" in chat.transcript.to_plain()
        assert_harmless(chat.transcript.to_html())
        assert "\x1b" not in chat.transcript.to_plain()
        with pytest.raises(SekhaError):
            chat.ask("And now?")
        assert len(chat.turns) == 2


def test_hostile_questions_and_answers_are_harmless_in_page_and_file(registry: Registry) -> None:
    chat = sekha.Chat("<img src=x onerror=alert(1)>")
    for text in TEXTS:
        if text.strip():
            chat.ask(text)
    for turn in chat.widget.turns:
        assert_harmless(turn["html"])
    assert_harmless(chat.transcript.to_html())
    chat.transcript.to_plain().encode("utf-8")


@pytest.mark.parametrize("text", ["", " \n", None, 3, ["a"], {"role": "user"}, "x" * 1_000_001])
def test_what_is_no_question_is_refused_with_a_hint(registry: Registry, text: Any) -> None:
    chat = sekha.Chat()
    with pytest.raises(InvalidInput) as raised:
        chat.ask(text)
    assert raised.value.hint
    assert chat.turns == () and chat.widget.asking is None


@pytest.mark.parametrize("message", [None, [], "ask", {}, {"type": "ask"}, {"type": 7}, {"type": "ask", "text": {}}])
def test_a_message_that_is_none_changes_nothing(registry: Registry, message: Any) -> None:
    chat = sekha.Chat()
    say(chat, message)
    assert chat.turns == () and chat.widget.asking is None
    assert chat.ask("still here").text == "still here"


@pytest.mark.parametrize(
    "given",
    [
        {"conversation": 3},
        {"conversation": " "},
        {"model": 3},
        {"task": "singing"},
        {"policy": "random"},
        {"system": b"bytes"},
        {"max_cost": "much"},
        {"registry": "mine"},
        {"schema": {}},
        {"colour": "red"},
    ],
    ids=str,
)
def test_a_wrong_argument_is_told_at_once(registry: Registry, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sekha.Chat(**given)


def test_a_limit_on_the_cost_holds_for_every_question(registry: Registry) -> None:
    chat = sekha.Chat(max_cost=Decimal("0.0000001"))
    with pytest.raises(sekha.NoEligibleModel):
        chat.ask("Too dear?")
    assert "over_max_cost" in chat.transcript.to_plain()


@pytest.mark.usefixtures("shell")
def test_where_nobody_watches_the_one_output_holds_what_was_said(registry: Registry) -> None:
    chat = sekha.Chat("lesson")
    chat.ask("What stays?")
    with capture_output() as captured:
        chat._ipython_display_()
    (output,) = captured.outputs
    assert output.data[VIEW]["model_id"] == chat.widget.model_id
    assert output.data["text/plain"] == (
        "Conversation lesson: 1 question, $0.000006\n\nYou: What stays?\n\nWhat stays?\n\n"
        "echo at cage · 2 in, 2 out · $0.000006"
    )
    assert_harmless(output.data["text/html"])


def test_without_anywidget_the_error_says_what_to_install(tmp_path: Any) -> None:
    script = """
import sys
sys.modules["anywidget"] = None
import sekha_magics as sekha
sekha.set_registry(sekha.Registry.from_dict({"llm_providers": []}))
try:
    sekha.Chat()
except sekha.SekhaError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "pip install 'sekha-magics[lab]'" in done.stdout


def test_a_chat_in_a_replay_is_answered_from_the_cassette(registry: Registry, tmp_path: Any) -> None:
    path = tmp_path / "talk.jsonl"
    registry.use_cassette(path, "record")
    sekha.Chat("a").ask("Once?")
    registry.use_cassette(None)
    with Registry.replaying(path) as replaying:
        set_registry(replaying)
        chat = sekha.Chat("a")
        assert chat.ask("Once?").replayed
        assert chat.widget.spent == "$0.000003"
        with pytest.raises(sekha.CassetteMiss):
            chat.ask("Twice?")
