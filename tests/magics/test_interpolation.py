"""What `{{ name }}` becomes, and what is left as it is."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.interpolate import interpolate
from sekha_magics.errors import InterpolationError


class Trap:
    """Attributes that must not be touched, or fail when they are."""

    @property
    def broken(self) -> str:
        raise RuntimeError("no such luck")

    @property
    def half_broken(self) -> str:
        raise AttributeError("inner")

    def __str__(self) -> str:
        raise ValueError("cannot be shown")


NAMES: dict[str, Any] = {
    "name": "World",
    "number": 42,
    "nothing": None,
    "xs": ["zero", "one", "two"],
    "d": {"k": SimpleNamespace(attr="deep"), "a b": "blank", 3: "three", "}}": "braces"},
    "holder": SimpleNamespace(inner=SimpleNamespace(x=1.5)),
    "trap": Trap(),
    "braces": "{{ name }}",
    "_": "last",
    "_7": "seventh",
    "grüße": "hallo",
}


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("Hello {{ name }}!", "Hello World!"),
        ("{{name}}{{number}}", "World42"),
        ("{{ nothing }}", "None"),
        ("{{ xs[0] }} {{ xs[-1] }} {{ xs[1:] }}", "zero two ['one', 'two']"),
        ('{{ d["k"].attr }} {{ d["a b"] }} {{ d[3] }}', "deep blank three"),
        ('{{ d["}}"] }}', "braces"),
        ("{{ holder.inner.x }}", "1.5"),
        ("{{ _ }} {{ _7 }}", "last seventh"),
        ("{{ grüße }}", "hallo"),
        ('{"q": {{{ name }}}}', '{"q": {World}}'),
        ('{"q": "{{ name }}"}', '{"q": "World"}'),
    ],
)
def test_names_attributes_and_literal_subscripts_are_filled_in(prompt: str, filled: str) -> None:
    assert interpolate(prompt, NAMES) == filled


def test_what_was_filled_in_is_not_filled_in_again() -> None:
    assert interpolate("{{ braces }}", NAMES) == "{{ name }}"


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1}',
        "{x} {name} ${name}",
        "{{}} {{ }} {{{}}}",
        "x^{{2}} {{1, 2}}",
        '{{"a": 1}}',
        "{% if a %} {# b #}",
        "{{ name",
        "name }}",
        "{{ 'unclosed }}",
        "{{ name\n}}",
        "\\{\\{",
    ],
)
def test_other_braces_are_text(text: str) -> None:
    assert interpolate(text, NAMES) == text


@given(st.text(st.characters(exclude_characters="{}")))
def test_text_without_double_braces_is_never_changed(text: str) -> None:
    for written in (text, f"{{{text}}}", f"{text}}}}}", f"{{ {{{text}}} }}"):
        assert interpolate(written, NAMES) == written


@given(st.text(), st.text(), st.text())
def test_a_value_arrives_whole_wherever_it_stands(before: str, value: str, after: str) -> None:
    before, after = before.replace("{", "("), after.replace("{", "(")
    assert interpolate(f"{before}{{{{ v }}}}{after}", {"v": value}) == before + value + after


@given(st.text("{}'\"ax[]. \n(", max_size=60))
def test_any_mixture_of_braces_is_filled_in_or_refused(text: str) -> None:
    try:
        assert isinstance(interpolate(text, {"a": 1, "x": [1]}), str)
    except InterpolationError as error:
        assert error.hint


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("{{ nmae }}", "nmae is not defined; did you mean name"),
        ("{{ zzz }}", "zzz is not defined"),
        ("{{ holder.iner }}", "holder has no attribute iner; did you mean inner?"),
        ('{{ d["kk"] }}', "d has no key 'kk'; did you mean k?"),
        ("{{ xs[9] }}", "xs has no item 9 of 3"),
        ("{{ number[0] }}", "reading it from number raised TypeError"),
        ("{{ trap.broken }}", "reading it from trap raised RuntimeError: no such luck"),
        ("{{ trap.half_broken }}", "raised AttributeError: inner"),
        ("{{ trap }}", "turning it into text raised ValueError"),
        ("{{ name.upper() }}", "is not a name with attributes and literal subscripts"),
        ("{{ name + name }}", "is not a name"),
        ("{{ xs[number] }}", "is not a name"),
        ("{{ xs[f'{1}'] }}", "{{ xs[f'{1}'] }} is not a name"),
        ("{{ two words }}", "is not a name"),
        ("{{ lambda: 1 }}", "is not a name"),
        ("{{ True }}", "is not a name"),
        ("{{ name.__class__ }}", "reads the private attribute __class__"),
        ("{{ holder._secret }}", "reads the private attribute _secret"),
        ("{{ __builtins__ }}", "two underscores"),
        ("{{ name.upper }}", "is a builtin_function_or_method, not a value"),
    ],
)
def test_what_cannot_be_filled_in_is_an_error_that_says_why(prompt: str, message: str) -> None:
    with pytest.raises(InterpolationError) as raised:
        interpolate(prompt, NAMES)
    assert message in raised.value.message
    assert raised.value.hint


def test_a_path_of_a_thousand_steps_is_an_error_and_no_crash() -> None:
    with pytest.raises(InterpolationError):
        interpolate("{{ name" + ".a" * 100_000 + " }}", NAMES)
    with pytest.raises(InterpolationError):
        interpolate("{{ name" + "[0" * 5_000 + "]" * 5_000 + " }}", NAMES)


def test_a_frame_becomes_a_bounded_preview_that_says_what_is_missing() -> None:
    frame = pd.DataFrame({f"c{i}": ["x" * 500] * 1000 for i in range(30)})
    text = interpolate("{{ df }}", {"df": frame})
    assert text.startswith("DataFrame, 1000 rows x 30 columns; the first 20 x 20\n")
    assert len(text) < 21_000


def test_a_small_frame_is_whole() -> None:
    text = interpolate("{{ df }}", {"df": pd.DataFrame({"city": ["Oslo"], "n": [3]})})
    assert text.startswith("DataFrame, 1 rows x 2 columns\n") and "Oslo" in text


def test_series_and_arrays_are_previews_too() -> None:
    names = {"s": pd.Series(range(100), name="count"), "a": np.arange(10_000).reshape(100, 100), "n": np.float64(2.5)}
    series, array, number = interpolate("{{ s }}|{{ a }}|{{ n }}", names).split("|")
    assert series.startswith("Series count, 100 values, int64; the first 20\n") and "19" in series
    assert array.startswith("array, shape (100, 100), int64\n") and len(array) < 2_000
    assert number == "2.5"


def test_a_column_of_a_frame_is_reached_by_its_name() -> None:
    frame = pd.DataFrame({"city": ["Oslo", "Bergen"]})
    assert "Bergen" in interpolate('{{ df["city"] }}', {"df": frame})
    with pytest.raises(InterpolationError, match="did you mean city"):
        interpolate('{{ df["ctiy"] }}', {"df": frame})


def test_a_long_text_stays_whole_and_other_long_values_say_what_is_left_out() -> None:
    assert interpolate("{{ t }}", {"t": "x" * 1_000_000}) == "x" * 1_000_000
    assert interpolate("{{ t }}", {"t": list(range(100_000))}).endswith("more characters left out]")
