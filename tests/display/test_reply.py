from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import Candidate, Cost, Usage
from sekha_magics.display.reply import MIME_TYPE, decision_mimebundle, mimebundle

from .harmless import CONTROLS, assert_harmless, assert_only_formulas_are_typeset, parse
from .hostile import TEXTS
from .samples import CHOSEN, KEYLESS, SECOND, call, decision, reply

SCHEMA = json.loads(files("sekha_magics.display").joinpath("chat.v1.schema.json").read_text("utf-8"))
FORMATS = ("markdown", "text", "code", "json")


def test_an_answer_is_text_html_and_facts_with_a_quiet_line() -> None:
    data, metadata = mimebundle(reply("**Paris**."))
    assert set(data) == {"text/plain", "text/html", MIME_TYPE}
    assert data["text/plain"] == "**Paris**.\n\nsmollm2-135m-instruct at local · 24 in, 12 out · free"
    assert "<strong>Paris</strong>" in data["text/html"]
    assert "smollm2-135m-instruct at local · 24 in, 12 out · free" in data["text/html"]
    assert set(metadata) == {"sekha"}


def test_the_quiet_line_counts_cached_tokens_and_the_cost() -> None:
    data, _ = mimebundle(reply(usage=Usage(12000, 34, 1000), cost=Cost(Decimal("0.0123"), "computed")))
    assert data["text/plain"].splitlines()[-1] == (
        "smollm2-135m-instruct at local · 12,000 in (1,000 cached), 34 out · $0.0123"
    )


def test_notes_and_a_cut_answer_are_said_under_the_quiet_line() -> None:
    data, _ = mimebundle(reply(notes=("`seed` was left out: <b>",), finish_reason="length"))
    assert data["text/plain"].splitlines()[-2:] == [
        "`seed` was left out: <b>",
        "The answer is cut: it reached the limit of output tokens.",
    ]
    assert "<b>" not in data["text/html"]
    assert "it reached the limit" in data["text/html"]


def test_an_answer_the_content_filter_ended_says_so() -> None:
    assert "content filter ended it" in mimebundle(reply(finish_reason="content_filter"))[0]["text/plain"]


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_answer_says_that_it_is_empty(text: str, format: Any) -> None:
    data, _ = mimebundle(reply(text), format=format)
    assert data["text/plain"].startswith("(the answer is empty)\n\n")
    assert "(the answer is empty)" in data["text/html"]


def test_the_facts_follow_the_published_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    for answer in (
        reply(),
        reply(cost=Cost(None, "unpriced"), finish_reason=None),
        reply(cost=Cost(Decimal("3.75E-8"), "replayed", "reported"), notes=("a", "b")),
        reply(cost=Cost(Decimal("NaN"), "computed")),
    ):
        jsonschema.validate(mimebundle(answer)[0][MIME_TYPE], SCHEMA)


def test_the_facts_say_money_exactly_and_hold_the_text_as_written() -> None:
    facts = mimebundle(reply("*a* <b>", cost=Cost(Decimal("0.012300000000"), "reported")))[0][MIME_TYPE]
    assert facts["cost"] == {"usd": "0.0123", "source": "reported"}
    assert facts["text"] == "*a* <b>"


def test_metadata_hold_what_one_run_alone_knows() -> None:
    metadata = mimebundle(reply(conversation="tea", cost=Cost(Decimal("0.5"), "computed")))[1]["sekha"]
    expected = {
        "decision_id": "d-1", "provider_id": "local", "model_id": "smollm2-135m-instruct", "task": "chat_small",
        "policy": "priority", "reason": "priority 1; cheapest of 1 eligible at that priority", "input_tokens": 24,
        "output_tokens": 12, "cost_usd": "0.5", "cost_source": "computed", "latency_ms": 812.3, "ttft_ms": 101.3,
        "attempts": 1, "conversation": "tea", "replayed": False, "served_model": "smollm2",
    }  # fmt: skip
    assert {key: metadata[key] for key in expected} == expected
    json.dumps(metadata, allow_nan=False)


def test_metadata_hold_every_candidate_and_how_the_answer_was_to_be_shown() -> None:
    told = mimebundle(reply(), explain=True, format="code")[1]["sekha"]
    assert (told["format"], told["explain"], told["candidates_left_out"]) == ("code", True, 0)
    assert [c["model_id"] for c in told["candidates"]] == ["smollm2-135m-instruct", "anthropic/claude", "gpt-4o"]
    assert told["candidates"][1] | {"provider_id": ""} == {
        "provider_id": "",
        "model_id": "anthropic/claude",
        "eligible": True,
        "rank": 2,
        "priority": 5,
        "estimated_usd": "0.0123",
        "reasons": [],
    }
    assert told["candidates"][2]["reasons"][0] == {"code": "no_key", "detail": "OPENAI_API_KEY is not set"}


def test_metadata_hold_the_likeliest_of_many_candidates() -> None:
    many = tuple(Candidate("openai", f"m{n}", False, (Reason("disabled"),), None, None, 9) for n in range(300))
    told = mimebundle(reply(decision=decision((*many, CHOSEN))))[1]["sekha"]
    assert told["candidates"][0]["provider_id"] == CHOSEN.provider_id
    assert len(told["candidates"]) + told["candidates_left_out"] == 301
    assert len(json.dumps(told)) < 10_000


def test_a_reply_without_calls_is_shown() -> None:
    metadata = mimebundle(reply(calls=(), ttft_ms=None))[1]["sekha"]
    assert (metadata["attempts"], metadata["ts"], metadata["ttft_ms"]) == (0, None, None)


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_a_replay_looks_like_the_run_it_was_recorded_from(format: Any, explain: bool) -> None:
    live = reply("```json\n{}\n```", cost=Cost(Decimal("0.0123"), "computed"))
    replayed = replace(
        live,
        decision=decision(decision_id="d-2"),
        calls=(call(call_id="c-2", ts="2027-01-01T00:00:00.000000+00:00", status="replayed", latency_ms=0.1),),
        cost=Cost(Decimal("0.012300"), "replayed", "computed"),
        latency_ms=0.1,
        ttft_ms=None,
        replayed=True,
    )
    (first, first_metadata), (second, second_metadata) = (
        mimebundle(r, explain=explain, format=format) for r in (live, replayed)
    )
    assert first == second
    assert first_metadata != second_metadata
    assert second_metadata["sekha"]["cost_source"] == "replayed"
    assert second_metadata["sekha"]["replayed"] is True


def test_explain_shows_every_candidate_below_the_answer() -> None:
    data, _ = mimebundle(reply(), explain=True)
    for shown in (data["text/plain"], data["text/html"]):
        for candidate in (CHOSEN, SECOND, KEYLESS):
            assert candidate.model_id in shown
        assert "OPENAI_API_KEY is not set" in shown
        assert "cheapest of 1 eligible" in shown
    assert "gpt-4o" not in mimebundle(reply())[0]["text/plain"]


# --- formats --------------------------------------------------------------------------------------

ANSWER = "Use this:\n\n```python\nx = 1\n```\n\nand\n\n```\ny\n```\n"


def test_format_text_shows_the_text_as_it_stands() -> None:
    data, _ = mimebundle(reply("*a* $x$"), format="text")
    assert data["text/plain"].startswith("*a* $x$\n\n")
    assert [pre.tag for pre in parse(data["text/html"]).iter("pre")] == ["pre"]
    assert_only_formulas_are_typeset(data["text/html"])
    assert "<em>" not in data["text/html"]


def test_format_code_shows_the_fenced_code_alone() -> None:
    data, _ = mimebundle(reply(ANSWER), format="code")
    assert data["text/plain"].startswith("x = 1\n\ny\n\nsmollm2")
    assert "Use this" not in data["text/html"]
    assert len(list(parse(data["text/html"]).iter("pre"))) == 2
    assert data[MIME_TYPE]["text"] == ANSWER


def test_format_code_without_code_shows_the_text() -> None:
    assert mimebundle(reply("no code"), format="code")[0]["text/plain"].startswith("no code\n\n")


class Capital(BaseModel):
    name: str
    people: Decimal


@pytest.mark.parametrize(
    ("text", "parsed"),
    [('{"name":"Paris"}', None), ('So:\n```json\n{"name":"Paris"}\n```', None), ("any", {"name": "Paris"})],
)
def test_format_json_shows_json_indented(text: str, parsed: Any) -> None:
    data, _ = mimebundle(reply(text, parsed=parsed), format="json")
    assert data["text/plain"].startswith('{\n  "name": "Paris"\n}\n\nsmollm2')
    assert "".join(parse(data["text/html"]).find(".//pre").itertext()) == '{\n  "name": "Paris"\n}'


def test_format_json_shows_a_parsed_model() -> None:
    answer = reply("x", parsed=Capital(name="Paris", people=Decimal(2)))
    assert '"people": "2"' in mimebundle(answer, format="json")[0]["text/plain"]


@pytest.mark.parametrize(("text", "parsed"), [("not json", None), ("[" * 100_000, None), ("a set", {1, 2})])
def test_format_json_of_what_is_no_json_shows_the_text(text: str, parsed: Any) -> None:
    assert mimebundle(reply(text, parsed=parsed), format="json")[0]["text/plain"].startswith(text)


def test_an_unknown_format_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'yaml'; it may be markdown, text, code or json"):
        mimebundle(reply(), format="yaml")  # type: ignore[arg-type]


# --- decisions ------------------------------------------------------------------------------------


def test_a_decision_reads_well_in_a_terminal() -> None:
    data, metadata = decision_mimebundle(decision())
    assert data["text/plain"].splitlines() == [
        "smollm2-135m-instruct at local (chat_small, policy priority, free)",
        "priority 1; cheapest of 1 eligible at that priority",
        "",
        "  rank  model                  provider    priority  estimated cost  why not",
        "  ────  ─────────────────────  ──────────  ────────  ──────────────  " + "─" * 44,
        "*    1  smollm2-135m-instruct  local              1            free",
        "     2  anthropic/claude       openrouter         5         $0.0123",
        "        gpt-4o                 openai             9        unpriced"
        "  no_key: OPENAI_API_KEY is not set; no_vision",
    ]
    assert metadata["sekha"]["decision_id"] == "d-1"
    assert "d-1" not in json.dumps(data)


def test_an_estimate_says_that_it_is_about_right() -> None:
    priced = decision(estimated_cost=Decimal("0.0123"))
    assert "(chat_small, policy priority, about $0.0123)" in decision_mimebundle(priced)[0]["text/plain"]


def test_a_refused_decision_says_that_no_model_may_answer() -> None:
    refused = decision((KEYLESS,), provider_id="", model_id="", estimated_cost=None, reason="")
    data, _ = decision_mimebundle(refused)
    assert data["text/plain"].startswith("No model may answer (chat_small, policy priority)\n\n")
    assert "<strong>" not in data["text/html"]
    assert_harmless(data["text/html"])


def test_a_decision_without_candidates_says_so() -> None:
    assert "no model is configured" in decision_mimebundle(decision(()))[0]["text/plain"]


# --- hostile values everywhere --------------------------------------------------------------------

HOSTILE = st.one_of(st.sampled_from(TEXTS), st.text(alphabet=st.characters(exclude_categories=()), max_size=20))


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings([*value, *value.values()])
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


@given(HOSTILE, HOSTILE, HOSTILE, st.sampled_from(FORMATS), st.booleans())
@settings(max_examples=250, deadline=None)
def test_a_bundle_of_hostile_values_is_harmless(text: str, name: str, other: str, format: Any, explain: bool) -> None:
    candidate = Candidate(name, other, True, (), None, 1, 1)
    refused = Candidate(other, name, False, (Reason("auth_failed", text),), None, None, 1)
    chosen = decision((candidate, refused), provider_id=name, model_id=other, task=other, policy=name, reason=text)
    answer = reply(text, decision=chosen, provider_id=name, provider_type=other, model_id=other, notes=(text, name),
                   finish_reason=other, conversation=text)  # fmt: skip
    for data, metadata in (mimebundle(answer, explain=explain, format=format), decision_mimebundle(chosen)):
        assert_harmless(data["text/html"])
        assert_only_formulas_are_typeset(data["text/html"])
        assert not CONTROLS.search(data["text/plain"])
        for part in (data, metadata):
            assert not [text for text in strings(part) if CONTROLS.search(text)]
    jsonschema.validate(mimebundle(answer)[0][MIME_TYPE], SCHEMA)
