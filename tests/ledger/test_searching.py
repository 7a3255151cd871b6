"""What was said, found again: literally, in any case, wherever it stands, and honestly where it is not kept."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.core.content import Image, Message, Text
from sekha_magics.core.types import Origin
from sekha_magics.errors import InvalidInput
from sekha_magics.ledger.store import Ledger

from .events import START, event


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "ledger.duckdb")
    yield ledger
    ledger.close()


def said(role: str, text: str) -> Message:
    return Message(role, (Text(text),))


def test_the_newest_decision_comes_first_and_says_where_it_stands(ledger: Ledger) -> None:
    origin = Origin("s", notebook="/a/needle.ipynb", cell_id="c1", conversation="needles")
    failed = {"status": "error", "error_type": "RateLimited", "error_message": "needle: slow down"}
    ledger.append(event(prompt="a needle", answer="nothing", second=1))
    ledger.flush()
    ledger.append(event(prompt="hay", answer="the Needle is here", second=2))
    ledger.append(event(prompt="hay", answer=None, calls=[failed], outcome="failed", second=3))
    ledger.append(event(prompt="hay", answer="hay", origin=origin, second=4))
    ledger.append(event(prompt="hay", answer="hay", second=5))
    found = ledger.search("NEEDLE")
    assert list(found["found_in"]) == [["conversation", "notebook"], ["error"], ["answer"], ["prompt"]]
    assert list(found["snippet"]) == ["needles", "needle: slow down", "the Needle is here", "a needle"]
    assert found["ts"].is_monotonic_decreasing
    assert found.attrs == {"found": 4, "unkept": 0}
    assert list(ledger.search("needle", places=["error", "answer"])["found_in"]) == [["error"], ["answer"]]
    assert len(ledger.search("needle", since=START + timedelta(seconds=3))) == 2
    some = ledger.search("needle", limit=1)
    assert (len(some), some.attrs["found"]) == (1, 4)


@pytest.mark.parametrize(
    "text",
    [
        "100%",
        "_",
        "'",
        '"',
        "it's; DROP TABLE calls; --",
        "<script>",
        "\\n",
        "a\nb",
        "tab\t",
        "nul\0nul",
        "é",
        "$1",
        "[",
    ],
)
def test_hostile_text_is_only_text(ledger: Ledger, text: str) -> None:
    ledger.append(event(prompt="something else: 1000 roles and parts", answer="other"))
    ledger.append(one := event(prompt=f"before {text} behind", answer="x"))
    ledger.append(two := event(prompt="y", answer=f"{text} behind", second=2))
    found = ledger.search(text.upper())
    assert list(found["decision_id"]) == [two.decision.decision_id, one.decision.decision_id]
    assert all(" ".join(text.split()) in snippet for snippet in found["snippet"])


def test_how_messages_are_stored_is_never_found(ledger: Ledger) -> None:
    ledger.append(event(prompt="a plain question", answer="a plain answer"))
    for word in ("role", "user", "parts", '"text"', '{"', "[", "sha256"):
        assert ledger.search(word).empty


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(min_size=1, max_size=20), st.booleans())
def test_every_text_finds_itself(tmp_path_factory: pytest.TempPathFactory, text: str, answered: bool) -> None:
    ledger = Ledger(tmp_path_factory.mktemp("one") / "ledger.duckdb")
    ledger.append(event(prompt="p" if answered else text, answer=text if answered else "a"))
    assert ledger.search(text).attrs["found"] == 1
    ledger.close()


def test_a_snippet_is_one_short_line_around_the_hit(ledger: Ledger) -> None:
    ledger.append(event(prompt=("word\n" * 1000) + "needle" + (" word" * 1000)))
    (snippet,) = ledger.search("needle")["snippet"]
    assert snippet.startswith("…") and snippet.endswith("…") and "word needle word" in snippet
    assert len(snippet) < 100 and "\n" not in snippet


def test_what_a_conversation_repeats_is_found_once(ledger: Ledger) -> None:
    first = (said("system", "Be a needle."), said("user", "hello"))
    second = (*first, said("assistant", "A haystack."), said("user", "and now?"))
    for session in ("one", "two"):
        origin = Origin(session, conversation="talk")
        ledger.append(event(messages=first, answer="A haystack.", origin=origin, second=1))
        ledger.append(event(messages=second, answer="Good.", origin=origin, second=2))
    for text, where in (("needle", ["prompt"]), ("haystack", ["answer"]), ("and now", ["prompt"])):
        found = ledger.search(text)
        assert list(found["found_in"]) == [where, where], text
    # Without a conversation every request counts.
    ledger.append(event(prompt="needle", second=3))
    ledger.append(event(prompt="needle", second=4))
    assert len(ledger.search("needle")) == 4


def test_an_image_is_found_by_what_is_kept_of_it(ledger: Ledger) -> None:
    ledger.append(event(messages=(Message("user", (Text("see"), Image("png", url="https://a.b/cat.png"))),)))
    assert list(ledger.search("cat.png")["found_in"]) == [["prompt"]]


@pytest.mark.parametrize("content", ["hash", "none"])
def test_texts_that_are_not_kept_are_said_to_be(tmp_path: Path, content: str) -> None:
    with_texts = Ledger(tmp_path / "ledger.duckdb")
    with_texts.append(event(prompt="needle"))
    with_texts.close()
    ledger = Ledger(tmp_path / "ledger.duckdb", content=content)
    ledger.append(event(prompt="another needle", answer="a needle", second=2))
    failed = {"status": "error", "error_type": "RateLimited", "error_message": "no needle"}
    ledger.append(event(prompt="hay", answer=None, calls=[failed], outcome="failed", second=3))
    found = ledger.search("needle")
    assert list(found["found_in"]) == [["error"], ["prompt"]]
    assert found.attrs == {"found": 2, "unkept": 2}
    assert ledger.search("needle", since=START + timedelta(seconds=3)).attrs["unkept"] == 1
    ledger.close()


def test_an_empty_ledger_answers_with_no_rows(ledger: Ledger) -> None:
    found = ledger.search("x")
    assert found.empty and found.attrs == {"found": 0, "unkept": 0}
    assert isinstance(found["ts"].dtype, pd.DatetimeTZDtype)


def test_a_key_in_the_question_is_not_looked_for(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.duckdb", redact=lambda text: text.replace("sk-1", "[key]"))
    ledger.append(event(prompt="my key is sk-1"))
    assert "sk-1" not in ledger.search("sk-1").to_csv()
    ledger.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": ""},
        {"text": None},
        {"text": b"x"},
        {"limit": 0},
        {"limit": True},
        {"limit": "3"},
        {"places": ()},
        {"places": "answer"},
        {"places": ["prompts"]},
        {"since": "today"},
        {"since": datetime(2026, 11, 1)},
    ],
    ids=str,
)
def test_what_cannot_be_looked_for_is_refused(ledger: Ledger, wrong: dict) -> None:
    with pytest.raises(InvalidInput):
        ledger.search(**{"text": "x"} | wrong)


def test_a_damaged_file_of_texts_is_named(ledger: Ledger) -> None:
    ledger.append(event(prompt="needle"))
    ledger.flush()
    ledger.close()
    damaged = ledger.path.with_name("content.sqlite")
    damaged.write_bytes(b"not a database" * 100)
    with pytest.warns(RuntimeWarning, match="set aside"):
        assert ledger.search("needle").attrs == {"found": 0, "unkept": 1}
