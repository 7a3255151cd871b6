"""What may be handed over as many prompts, and what a template may do with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.errors import InterpolationError, InvalidInput
from sekha_magics.mapping.rows import Row, read
from tests.registry.stages import registry

FRAME = pd.DataFrame({"text": ["a", "b"], "n": [1, 2], "two words": ["x", "y"]}, index=["r", "s"])


def prompts(given, template=None):
    return [row.prompt for row in read(given, template).rows]


@pytest.mark.parametrize("form", [list, tuple, iter, pd.Series, lambda x: np.array(x, dtype=object)])
def test_texts_come_in_any_sequence(form):
    assert prompts(form(["one", "two"])) == ["one", "two"]


def test_the_columns_of_a_frame_stand_in_the_template_by_name():
    assert prompts(FRAME, 'Say {{ text }} {{ n }} {{ row["two words"] }}') == ["Say a 1 x", "Say b 2 y"]


def test_a_column_goes_by_its_own_name_and_as_text():
    assert prompts(FRAME["n"], "{{ n }} and {{ text }}") == ["1 and 1", "2 and 2"]


def test_mappings_give_their_keys():
    assert prompts([{"a": 1}, {"a": {"b": 2}}], "{{ a }}") == ["1", "{'b': 2}"]


@pytest.mark.parametrize("missing", [None, float("nan"), pd.NA, pd.NaT, np.nan])
def test_a_missing_value_gives_a_reason_and_no_prompt(missing):
    assert read(["x", missing], None).rows == [Row("x"), Row(None, "the prompt is missing")]
    assert read([{"a": missing}, {"a": "x"}], "say {{ a }}").rows == [Row(None, "a is missing"), Row("say x")]


def test_an_empty_prompt_is_not_sent():
    assert read(["", " \n"], None).rows == [Row(None, "the prompt is empty")] * 2


@pytest.mark.parametrize("given", ["one text", b"bytes", {"a": 1}, 5, None])
def test_one_thing_is_no_list_of_prompts(given):
    with pytest.raises(InvalidInput, match="not a list of prompts"):
        read(given, None)


@pytest.mark.parametrize("item", [5, 1.5, b"bytes", {"a": 1}, object()])
def test_a_prompt_that_is_no_text_is_named_before_anything_is_sent(item):
    with pytest.raises(InvalidInput, match="Prompt 1 is a"):
        read(["fine", item], None)


def test_a_list_of_messages_is_a_prompt_and_a_broken_one_is_named():
    with registry() as reg:
        (answer,) = reg.map([[{"role": "user", "content": "hello"}]])
        assert answer.text == "hello"
        with pytest.raises(InvalidInput, match="Prompt 1: Message 0 has the role"):
            reg.map(["fine", [{"role": "nobody", "content": "x"}]])


def test_a_frame_needs_a_template_and_names_of_its_own():
    with pytest.raises(InvalidInput, match="needs a template"):
        read(FRAME, None)
    with pytest.raises(InvalidInput, match="two columns 'a'"):
        read(pd.DataFrame([[1, 2]], columns=["a", "a"]), "{{ a }}")


@pytest.mark.parametrize("template", ["no holes", "{ text }", "{{2}}", ""])
def test_a_template_that_names_nothing_is_an_error(template):
    with pytest.raises(InvalidInput, match="names no column"):
        read(FRAME, template)


@pytest.mark.parametrize(
    "template",
    [
        "{{ txet }}",
        "{{ text.__class__ }}",
        "{{ text.upper() }}",
        "{{ text.upper }}",
        "{{ __import__('os') }}",
        "{{ row.__class__.__mro__ }}",
        "{{ text if n else n }}",
        '{{ row["nothing"] }}',
    ],
)
def test_a_hostile_or_misspelt_template_is_refused_before_anything_is_sent(template):
    with pytest.raises(InterpolationError) as caught:
        read(FRAME, template)
    assert caught.value.hint


def test_a_row_that_the_template_does_not_fit_has_a_reason_of_its_own():
    first, second = read([{"a": {"b": "x"}}, {"a": {}}], 'say {{ a["b"] }}').rows
    assert first.prompt == "say x"
    assert second.prompt is None
    assert second.problem is not None
    assert "InterpolationError" in second.problem


@given(st.lists(st.text()))
def test_what_was_filled_in_is_not_looked_at_again(texts):
    hostile = [f"{{{{ row }}}} {text} {{{{ text }}}}" for text in texts]
    assert prompts(hostile, ">{{ text }}<") == [f">{text}<" for text in hostile]
