from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.config.load import load
from sekha_magics.config.yaml_text import LARGEST_FILE, dump_yaml, exact_number, read_yaml
from sekha_magics.errors import ConfigError

from .rooms import KEY, SMALL, from_file, keys_of

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("# nothing but a comment\n", "is empty"),
        ("- a\n- b\n", "must be a mapping"),
        ("just text\n", "must be a mapping"),
        ("a: [1, 2\nb: 3\n", "line 2"),
        ("a: 1\n\tb: 2\n", "line 2: a tab; YAML is indented with spaces"),
        ("a: 'x\n", "line 2"),
        ("llm_providers: []\nllm_providers: []\n", "line 2: `llm_providers` stands already on line 1"),
        ("a: {b: 1, b: 2}\n", "line 1: `b` stands already on line 1"),
        ("a: 1\n'a': 2\n", "line 2"),
        ("a: *nowhere\n", "line 1: `*name` refers to nothing"),
        ("a: !!python/object/apply:os.system [echo]\n", "line 1: a `!tag`"),
        ("a: !secret x\n", "line 1: a `!tag`"),
        ("? [a, b]\n: 1\n", "a key must be a word"),
        ("<<: 3\n", "line 1"),
        ("a: &a [*a]\n", "an alias that contains itself"),
        ("a: " + "[" * 50 + "]" * 50, "nested too deeply"),
        ("a: " + "[" * 50_000, "nested too deeply"),
        ("a: " + "{b: " * 60, "line 1"),
        (LAUGHS, "stands for more than 50,000 values"),
        ("a: 1\n---\nb: 2\n", "several documents in one file"),
        ("a: 1e999999999\n", "a number beyond any use"),
        ("a: " + "9" * 5000 + "\n", "a number beyond any use"),
        ("a: \x07\n", "a character that YAML does not allow"),
        ("a: " + "x" * LARGEST_FILE, f"larger than {LARGEST_FILE:,} bytes"),
        ("a: [&x *x]", "line 1"),
        ("llm_providers: !!binary aGk=\n", "bytes is not a value"),
        ("1: 2\nllm_providers: []\n", "a key must be text"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else None,
)
def test_a_file_that_cannot_be_read_is_a_configuration_error_with_its_line(
    tmp_path: Path, text: str, says: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert says in caught.value.message
    assert str(tmp_path) in caught.value.message


def test_ten_megabytes_of_aliases_are_refused_by_their_size(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than"):
        from_file(tmp_path, "a: &a [x]\nb: [" + "*a, " * 2_600_000 + "]\n")


@pytest.mark.parametrize(
    "raw", [b"a: \xff\xfe\n", "llm_providers: []\n".encode("utf-16"), b"\x00\x01", b"a: 1\nb: \xe9\n"]
)
def test_what_is_not_utf8_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "c.yaml").write_bytes(raw)
    with pytest.raises(ConfigError, match=r"not UTF-8|does not allow"):
        load(tmp_path / "c.yaml", environ={}, cwd=tmp_path, keys=keys_of())


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load(tmp_path / "c.yaml", environ={}, cwd=tmp_path, keys=keys_of()).config.provider("here")


@pytest.mark.parametrize("name", ["nowhere.yaml", ".", "a\0b"])
def test_a_path_that_is_no_file_is_a_configuration_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError):
        load(tmp_path / name, environ={}, cwd=tmp_path, keys=keys_of())


@pytest.mark.parametrize("text", [f"a: !{KEY} x\n", f"a: *{KEY}\n", f"api_key: '{KEY}\n", f"a: [{KEY}\nb: 1"])
def test_an_error_never_quotes_what_may_be_a_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_scalars_are_what_they_look_like() -> None:
    text = """
word: no
yes: on
time: 12:30:45
date: 2026-11-23
model: llama3.1:8b
octal: 017
float: 1.50
exponent: 1e3
truth: true
nothing: ~
empty:
infinite: -.inf
merged: {<<: {x: 1, y: 2}, x: 3}
"""
    assert read_yaml(text, "t").value == {
        "word": "no", "yes": "on", "time": "12:30:45", "date": "2026-11-23", "model": "llama3.1:8b", "octal": 17,
        "float": Decimal("1.50"), "exponent": Decimal("1e3"), "truth": True, "nothing": None, "empty": None,
        "infinite": Decimal("-inf"), "merged": {"x": 3, "y": 2},
    }  # fmt: skip


def test_every_key_has_its_line() -> None:
    lines = read_yaml("a:\n  - b: 1\n    c:\n      d: 2\n", "t").lines
    assert lines == {("a",): 1, ("a", 0): 2, ("a", 0, "b"): 2, ("a", 0, "c"): 3, ("a", 0, "c", "d"): 4}


_WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12) | st.sampled_from(
    ["no", "1e3", "0x1f", "12:30", "null", "~", "<<", "=", "2026-11-23", "1_000",
     ".5", "+1", "*a", "&a", "!t", "- x", "a: b", "#"]
)  # fmt: skip
_NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=9)
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | _NUMBERS | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(_WORDS, _VALUES, max_size=4))
def test_what_is_written_is_read_back_equal(value: dict[str, Any]) -> None:
    assert read_yaml(dump_yaml(value), "t").value == value


@given(st.dictionaries(_WORDS, _WORDS, max_size=4))
def test_other_programs_read_the_same_text(value: dict[str, str]) -> None:
    assert yaml.safe_load(dump_yaml(value)) == value


@given(st.text(max_size=80) | st.text(alphabet="ab:-[]{}&*!<>|#'\"%@ \n\t,?", max_size=60))
def test_any_text_is_read_or_is_a_configuration_error(text: str) -> None:
    try:
        read_yaml(text, "t")
    except ConfigError as error:
        assert error.message.startswith("t")


@pytest.mark.parametrize("text", ["x", "", "1.2.3", "1e401", "1e-401"])
def test_what_is_no_useful_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        exact_number(text)


def test_toml_is_exact_and_its_errors_have_lines(tmp_path: Path) -> None:
    table = """
[tool.sekha]
config_version = "2.0"
[[tool.sekha.llm_providers]]
id = "a"
type = "ollama"
models = [{model_id = "m", tasks = ["chat_small"], price = {input = 0.10, output = 1}}]
"""
    price = from_file(tmp_path, table, name="pyproject.toml").config.llm_providers[0].models[0].price
    assert price is not None
    assert str(price.input) == "0.10"
    for text, says in (
        (f"[tool.sekha]\na = {KEY}\n", "line 2: this is not TOML"),
        ("[tool.other]\n", r"has no table \[tool.sekha\]"),
        ("tool = 3\n", r"has no table \[tool.sekha\]"),
        ("a = " + "[" * 5000, "nested too deeply"),
        ("[tool.sekha]\na = 1e999999999\n", "beyond any use"),
        ("[tool]\nsekha = []\n", "must be a mapping"),
    ):
        with pytest.raises(ConfigError, match=says) as caught:
            from_file(tmp_path, text, name="other.toml")
        assert KEY not in str(caught.value)
