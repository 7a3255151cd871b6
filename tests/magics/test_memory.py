"""`%sekha search` and `%sekha memory`: what was said in cells is found by a line, and shown as hostile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, set_registry
from sekha_magics.errors import SekhaError, UnusableAnswer
from tests.display.harmless import assert_harmless
from tests.memory.registries import registry, scripted

from .conftest import Ran

Run = Callable[[str], Ran]


@pytest.fixture
def reg() -> Iterator[Registry]:
    registry_in_use = registry(scripted())
    set_registry(registry_in_use)
    yield registry_in_use
    set_registry(None)
    registry_in_use.close()


def test_what_a_cell_said_is_found_by_a_line(run: Run, reg: Registry) -> None:
    run("%%sekha_chat -q -c plans\nbuy three apples <script>alert(1)</script> \x1b[31m")
    reg.memory.add("sell pears", conversation="other", folder="/market/fruit", label="trade")
    assert reg.memory.flush() == 0
    found = run('%sekha search "three apples" -k 2 --mode text')
    assert list(found.value["conversation"]) == ["plans", "plans"]
    assert "what is remembered" in found.stdout and "\x1b" not in found.stdout
    assert_harmless(found.value._repr_mimebundle_()["text/html"])
    assert list(run("%sekha search sell pears --folder /market").value["content"]) == ["sell pears"]
    assert list(run("%sekha search sell --label trade").value["content"]) == ["sell pears"]
    assert set(run("%sekha search pears --exclude /market --exclude /x").value["conversation"]) == {"plans"}
    nothing = run("%sekha search xyzzy --mode text")
    assert nothing.value.empty and "nothing that fits" in nothing.stdout


def test_what_is_remembered_stands_before_a_prompt_and_is_told(run: Run, reg: Registry) -> None:
    reg.memory.add("The <b>exam</b> is on Monday.", conversation="uni <script>alert(1)</script>", folder="/uni")
    assert reg.memory.flush() == 0
    ran = run("%%sekha_chat --memory 500 --explain\nWhen is the exam?")
    (output,) = ran.outputs
    assert "from memory: 1 quotation of uni <script>alert(1)</script> (" in ran.plain
    assert "quoted from memory: half of a score is similarity" in ran.plain
    assert output.metadata["sekha"]["memory"][0]["similarity"] == 1.0
    assert_harmless(output.data["text/html"])
    assert "The exam" not in run("%sekha_chat --memory 500 --memory-exclude /uni When?").plain
    run("%config SekhaMagics.memory = 500")
    assert "from memory" in run("%sekha_chat When is it?").plain
    run("%config SekhaMagics.memory = None")
    assert "echo at stage" in run("%sekha_route --memory 500 When?").plain


def test_what_there_is_is_shown_by_a_line(run: Run, reg: Registry) -> None:
    reg.memory.add(["a", "b"])
    reg.memory.flush()
    for line in ("%sekha memory", "%sekha memory stats"):
        shown = run(line)
        assert shown.value.set_index("what").loc["messages", "count"] == 2
        assert "0 archived, 0 pinned" in shown.stdout and "in 1 folder, from 20" in shown.stdout
        assert "embeddings_64_hashed" in shown.stdout and "searched exactly" in shown.stdout


def test_a_model_summarizes_rates_and_labels_by_a_line(run: Run, reg: Registry) -> None:
    answers = {
        "summarize it": "Moved <script>alert(1)</script>",
        "rate how much": '{"importance": 9, "reason": "a <b>home</b>"}',
        "suggest one": '{"labels": ["moving house", "Oslo"]}',
    }
    reg.register_provider(
        {
            "id": "clerk",
            "type": "scripted",
            "priority": 1,
            "options": {"replies": answers},
            "models": [{"model_id": "clerk", "tasks": ["chat_small"]}],
        }
    )
    reg.memory.add("We move to Oslo.", "our plans", ts="2026-11-02")
    made = run("%sekha memory summarize 'our plans' --level weekly -m clerk")
    assert list(made.value["period"]) == ["2026-W45"] and "made now: 2; questions asked: 1" in made.stdout
    assert "questions asked: 0" in run('%sekha memory summarize "our plans" --level weekly').stdout
    assert_harmless(made.value._repr_mimebundle_()["text/html"])
    rated = run("%sekha memory score our plans")
    assert list(rated.value["importance"]) == [9] and "not kept" in rated.stdout
    assert_harmless(rated.value._repr_mimebundle_()["text/html"])
    assert list(reg.memory.conversations()["importance"]) == [5]
    assert "importance now" in run("%sekha memory score our plans --keep").stdout
    assert list(reg.memory.conversations()["importance"]) == [9]
    assert list(run("%sekha memory labels our plans --local-only").value["label"]) == ["moving house", "Oslo"]


def test_an_answer_that_is_none_is_a_short_error_and_keeps_nothing(run: Run, reg: Registry) -> None:
    reg.memory.add("We move to Oslo.", "plans")
    ran = run("%sekha memory score plans --keep")
    assert isinstance(ran.error, UnusableAnswer) and ran.error.short
    assert list(reg.memory.conversations()["importance"]) == [5]


def test_a_memory_is_looked_after_by_lines(run: Run, reg: Registry, tmp_path: Path) -> None:
    reg.memory.add("old <b>news</b>", conversation="a paper", folder="/press")
    reg.memory.add("The wumple sleeps in the attic.", conversation="house")
    assert reg.memory.flush() == 0
    assert list(run("%sekha memory list").value["conversation"]) == ["a paper", "house"]
    line = '%sekha memory set "a paper" --folder /archive --label daily --importance 2 --pin'
    shown = run(line)
    assert shown.value.iloc[0][["folder", "label", "importance", "pinned"]].tolist() == ["/archive", "daily", 2, True]
    assert "set for a paper" in shown.stdout
    run('%sekha memory set "a paper" --unpin')
    assert "exported" in run(f"%sekha memory export {tmp_path / 'all.json'}").stdout
    run(f"%sekha memory export {tmp_path / 'one.md'} -c house")
    assert "wumple" in (tmp_path / "one.md").read_text(encoding="utf-8")
    planned = run("%sekha memory prune --importance 2 --delete")
    assert list(planned.value["conversation"]) == ["a paper"] and "--yes does it" in planned.stdout
    assert "would be deleted" in planned.stdout and "a paper" in reg.memory.names()
    assert "were deleted" in run("%sekha memory prune --importance 2 --delete --yes").stdout
    assert reg.memory.names() == ["house"]
    back = run(f"%sekha memory import {tmp_path / 'all.json'}")
    assert back.value.iloc[0][["conversations", "messages", "known"]].tolist() == [1, 1, 1]
    reg.register_provider(scripted("other", dimension=8))
    assert reg.memory.flush() == 0
    price = run("%sekha memory reindex other")
    assert "nothing is changed" in price.stdout and price.value["messages"][0] == 2
    assert run("%sekha memory reindex other --yes").value["done"][0] == 2
    said = run("%sekha memory forget house")
    assert "this would be forgotten, for good" in said.stdout and "house" in reg.memory.names()
    assert "wumple" not in said.stdout
    assert "texts in the ledger" in run("%sekha memory forget house --yes").stdout
    message = reg.memory.messages()["message_id"][0]
    assert len(run(f"%sekha memory forget --message {message} --yes").value) == 1
    assert reg.memory.messages().empty


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("%sekha search", "nothing to look for"),
        ('%sekha search ""', "nothing to look for"),
        ("%sekha search x -k 0", "whole number above 0"),
        ("%sekha search x --mode both", "not one of hybrid, vector, text"),
        ("%sekha search x --folder uni", "folder is 'uni'"),
        ("%sekha search x --foldr /uni", "Did you mean --folder"),
        ("%sekha memory stat", "Did you mean stats"),
        ("%sekha memory list all", "'all' is not understood"),
        ("%sekha memory list --yes", "--yes is not understood"),
        ("%sekha memory set", "name a conversation"),
        ("%sekha memory set x", "say what to set"),
        ("%sekha memory set x --pin", "no conversation 'x'"),
        ("%sekha memory set x --pin --unpin", "its opposite"),
        ("%sekha memory set x --importance 11", "importance is 11"),
        ("%sekha memory export", "name a file"),
        ("%sekha memory import", "name a file"),
        ("%sekha memory import /nowhere/at/all.json", "cannot be read"),
        ("%sekha memory prune", "say what is to go"),
        ("%sekha memory prune --yes", "say what is to go"),
        ("%sekha memory prune everything --importance 3", "'everything' is not understood"),
        ("%sekha memory prune --older-than -3", "whole number above 0"),
        ("%sekha memory reindex", "name an embedding model"),
        ("%sekha memory reindex nobody", "no embedding model 'nobody'"),
        ("%sekha memory forget", "name a conversation or a message"),
        ("%sekha memory forget x --message y", "name a conversation or a message"),
        ("%sekha memory forget x", "no conversation 'x'"),
        ("%sekha memory forgt x", "Did you mean forget"),
        ("%sekha_chat --memory many hello", "whole number above 0"),
        ("%sekha_chat --memory 0 hello", "whole number above 0"),
        ("%sekha_chat --memory", "--memory needs a value"),
        ("%sekha_chat --memory 99999999999 hello", "memory is 99999999999"),
        ("%sekha_chat --memory 500 --memory-exclude uni hello", "memory_exclude is 'uni'"),
        ("%sekha_chat --memroy 500 hello", "Did you mean --memory"),
        ("%sekha memory stats now", "'now' is not understood"),
        ("%sekha memory stats --keep", "'--keep' is not understood"),
        ("%sekha memory summarize", "name a conversation: %sekha memory summarize"),
        ("%sekha memory labels nobody", "no conversation 'nobody'"),
        ("%sekha memory summarize x --level yearly", "not one of daily, weekly, monthly"),
        ("%sekha memory summarize x --keep", "--keep is not understood"),
        ("%sekha memory score x --fresh", "--fresh is not understood"),
    ],
)
def test_a_line_that_makes_no_sense_says_what_would(run: Run, reg: Registry, line: str, says: str) -> None:
    ran = run(line)
    assert isinstance(ran.error, (UsageError, SekhaError))
    assert says in str(ran.error)


def test_tab_knows_folders_conversations_and_options(shell: InteractiveShell, reg: Registry) -> None:
    def completed(line: str) -> list[str]:
        with provisionalcompleter():
            return [one.text for one in shell.Completer.completions(line, len(line))]

    reg.memory.add("x", conversation="kept", folder="/uni/notes")
    assert completed("%sekha search x --folder /u") == ["/uni/notes"]
    assert completed("%sekha search two words --exclude /u") == ["/uni/notes"]
    assert completed("%sekha search x --mode t") == ["text"]
    assert completed("%sekha memory s") == ["stats", "set", "summarize", "score"]
    assert completed("%sekha memory forget k") == ["kept"]
    assert completed("%sekha memory reindex ha") == ["hashed"]
    assert completed("%sekha memory set kept --fold") == ["--folder"]
    assert completed("%sekha memory prune --folder /u") == ["/uni/notes"]
    assert completed("%sekha memory summarize k") == ["kept"]
    assert completed("%sekha memory labels ") == ["kept"]
    assert completed("%sekha memory summarize kept --level w") == ["weekly"]
    assert completed("%sekha_chat -c k") == ["kept"]
    assert completed("%sekha_chat --mem") == ["--memory", "--memory-exclude"]
    assert completed("%sekha_chat --memory ") == ["500", "1000", "2000"]
    assert completed("%sekha_chat --memory 500 --memory-exclude /u") == ["/uni/notes"]
