"""What is an option and what is prompt, for every option there is."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.error import UsageError

from sekha_magics.core.types import TASKS as REAL_TASKS
from sekha_magics.magics.options import CHAT, COST, ROUTE, SQL, SUBCOMMANDS, TASKS, sekha_help

OPTIONS_BEFORE = st.sampled_from(
    ["", "--max-tokens 20 ", "-m gpt-4o ", "--new -q ", "-s 'be brief' ", '-P stop=["a"] ', "--temperature=0 "]
)


@given(OPTIONS_BEFORE, st.text().filter(lambda t: t.strip() not in {"?", "??"}))
def test_the_prompt_is_what_follows_the_last_option_byte_for_byte(options: str, prompt: str) -> None:
    assert CHAT.parse(f"{options}-- {prompt}").rest == prompt


@given(OPTIONS_BEFORE, st.text(min_size=1).filter(lambda t: t == t.lstrip() and not t.startswith("-") and t != "?"))
def test_a_prompt_that_begins_without_a_dash_needs_no_separator(options: str, prompt: str) -> None:
    if options or prompt.strip() not in {"?", "??"}:
        assert CHAT.parse(options + prompt).rest == prompt


def test_quotes_braces_dollars_and_percent_signs_are_not_touched() -> None:
    arguments = CHAT.parse('--max-tokens 20 why is "this" {x} $5 50%? --new')
    assert arguments.values == {"max_tokens": 20}
    assert arguments.rest == 'why is "this" {x} $5 50%? --new'


@pytest.mark.parametrize("prompt", ["-5 + 3 = ?", "- a list", "-> arrow", "-", "---", "–model is a dash", "--5"])
def test_a_prompt_may_begin_with_a_dash_that_begins_no_option(prompt: str) -> None:
    assert CHAT.parse(prompt).rest == prompt


def test_two_dashes_end_the_options_and_keep_further_blanks() -> None:
    assert CHAT.parse("-q --   --model me").rest == "  --model me"
    assert CHAT.parse("-q --").rest == ""


@pytest.mark.parametrize("text", ["-h", "--help", "?", " ?? ", "--model x --help", "-q -h rest"])
def test_help_is_asked_for_in_all_its_spellings(text: str) -> None:
    assert CHAT.parse(text).help


def test_every_value_arrives_as_its_type() -> None:
    values = CHAT.parse(
        "--temperature 0.5 --max-tokens 7 --seed -3 --max-cost $0.10 -P top_p=0.9 -P stop=END -i a.png -i b -f code x"
    ).values
    assert values == {
        "temperature": 0.5,
        "max_tokens": 7,
        "seed": -3,
        "max_cost": Decimal("0.10"),
        "P": [("top_p", 0.9), ("stop", "END")],
        "image": ["a.png", "b"],
        "format": "code",
    }


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('"two words"', "two words"),
        ("'it is \"so\"'", 'it is "so"'),
        (r'"say \"hi\" to {x}"', 'say "hi" to {x}'),
        (r'"C:\new\plot"', r"C:\new\plot"),
        ('"C:\\dir\\"', "C:\\dir\\"),
        ("plain", "plain"),
        ("it's", "it's"),
        ("==", "=="),
    ],
)
def test_a_value_may_be_quoted(written: str, meant: str) -> None:
    for joint in (" ", "="):
        arguments = CHAT.parse(f"--system{joint}{written} prompt")
        assert (arguments.values["system"], arguments.rest) == (meant, "prompt")


@given(st.dictionaries(st.text("abc_", min_size=1), st.recursive(st.integers() | st.booleans(), st.lists), max_size=3))
def test_parameters_are_read_as_json(parameters: dict[str, object]) -> None:
    line = " ".join(f"-P {key}='{json.dumps(value)}'" for key, value in parameters.items())
    assert dict(CHAT.parse(line + " go").values.get("P", [])) == parameters


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--modle x hi", "Did you mean --model?"),
        ("--temp 1 hi", "Did you mean --temperature?"),
        ("-mgpt hi", "Did you mean -m?"),
        ("--zzzz hi", "there is no option --zzzz"),
        ("--model", "--model needs a value: --model MODEL"),
        ("--model --explain hi", "--model needs a value"),
        ("-c -- hi", "-c needs a value"),
        ("--new=yes hi", "--new takes no value"),
        ("-m a -m b hi", "-m is given twice"),
        ("-m a --model b hi", "--model is given twice"),
        ("--max-tokens 0 hi", "a whole number above 0"),
        ("--max-tokens many hi", "a whole number above 0"),
        ("--max-tokens ² hi", "a whole number above 0"),
        ("--temperature -1 hi", "a number from 0 up"),
        ("--temperature nan hi", "a number from 0 up"),
        ("--temperature warm hi", "a number from 0 up"),
        ("--seed x hi", "a whole number"),
        ("--max-cost cheap hi", "an amount in USD"),
        ("--max-cost NaN hi", "an amount in USD"),
        ("-P top_p hi", "KEY=VALUE"),
        ("-P =1 hi", "KEY=VALUE"),
        ("-o 1x hi", "the name of a variable"),
        ("-c '' hi", "this is empty"),
        ("-f markdwn hi", "Did you mean markdown?"),
        ("-t chat hi", "is not one of chat_small"),
        ('-s "open hi', 'the quote " is not closed'),
        ("-P stop='open hi", "the quote ' is not closed"),
        ('-s "a"b hi', "there must be a blank behind the closing quote"),
    ],
)
def test_a_mistake_is_a_usage_error_that_says_what_is_meant(line: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        CHAT.parse(line)
    assert message in str(raised.value)


@given(st.text())
def test_any_text_is_read_or_refused_politely(text: str) -> None:
    try:
        CHAT.parse(text)
    except UsageError as error:
        assert str(error)
    CHAT.place(text)


def test_an_optional_value_may_be_left_out() -> None:
    assert ROUTE.parse("--why").values == {"why": ""}
    assert ROUTE.parse("--why -q").values == {"why": "", "quiet": True}
    assert ROUTE.parse("--why d-1").values == {"why": "d-1"}


def test_route_takes_every_option_of_chat() -> None:
    assert set(CHAT.flags) < set(ROUTE.flags)


def test_help_names_every_option_of_every_magic() -> None:
    for table in (CHAT, ROUTE, COST, SQL, *SUBCOMMANDS.values()):
        text = table.help_text()
        assert all(flag in text for flag in table.flags)
        assert max(map(len, text.splitlines())) <= 102
    assert all(name in sekha_help() for name in SUBCOMMANDS)


def test_the_tasks_offered_are_those_there_are() -> None:
    assert set(TASKS) == set(REAL_TASKS)


def test_a_subcommand_takes_options_behind_its_words_too() -> None:
    table = SUBCOMMANDS["cassette"]
    for line in ("--mode replay 'a b.jsonl'", "'a b.jsonl' --mode replay"):
        assert table.parse_anywhere(line) == ({"mode": "replay"}, "'a b.jsonl'", False)
    assert table.parse_anywhere("a.jsonl -h").help
    with pytest.raises(UsageError, match="--mode is given twice"):
        table.parse_anywhere("--mode live a --mode auto")


@given(st.text())
def test_any_line_of_a_subcommand_is_read_or_refused_politely(text: str) -> None:
    try:
        SUBCOMMANDS["cassette"].parse_anywhere(text)
    except UsageError as error:
        assert str(error)
