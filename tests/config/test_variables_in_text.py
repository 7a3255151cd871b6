from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.config.expand import MalformedReference, expand, variables_in
from sekha_magics.errors import ConfigError

from .rooms import loaded, one_model, one_provider

_NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
_VALUES = st.text(max_size=20)


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("${A}", "one"),
        ("x${A}y${B}z", "xoneytwoz"),
        ("${A:-other}", "one"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("${NONE:-a:-b $c {d}", "a:-b $c {d"),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $5 $ $$ 100% {A} }", "$A $5 $ $$ 100% {A} }"),
        ("", ""),
    ],
)
def test_references_are_replaced_and_nothing_else(text: str, becomes: str) -> None:
    assert expand(text, {"A": "one", "B": "two", "EMPTY": ""}.get).text == becomes


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:b}", "${a b}", "x ${A:-${B}}", "${Ä}"])
def test_what_begins_like_a_variable_and_is_none_is_an_error(text: str) -> None:
    with pytest.raises(MalformedReference):
        expand(text, {}.get)
    with pytest.raises(MalformedReference):
        variables_in(text)
    with pytest.raises(ConfigError, match="write `\\$\\$\\{` for the characters themselves"):
        loaded(one_model(model_id=text))
    with pytest.raises(ConfigError, match=r"llm_providers\[0\]\.api_key"):
        loaded(one_provider(api_key=text))


@given(_VALUES.filter(lambda text: "${" not in text))
def test_text_without_a_reference_stays_byte_for_byte(text: str) -> None:
    assert expand(text, {}.get).text == text


_BETWEEN = st.text(alphabet="ab $}{:-", max_size=6).filter(lambda t: not t.endswith("$") and "${" not in t)


@given(st.lists(st.tuples(_BETWEEN, _NAMES)), st.dictionaries(_NAMES, _VALUES))
def test_every_reference_becomes_exactly_what_its_variable_holds(
    parts: list[tuple[str, str]], held: dict[str, str]
) -> None:
    text = "".join(f"{before}${{{name}}}" for before, name in parts)
    result = expand(text, held.get)
    assert result.text == "".join(before + held.get(name, "") for before, name in parts)
    assert set(result.unset) == {name for _, name in parts if name not in held}
    assert set(result.values) == {name for _, name in parts if name in held}
    assert set(variables_in(text)) == {name for _, name in parts}


@given(_NAMES, _NAMES, _VALUES)
def test_what_a_variable_holds_is_never_expanded_again(name: str, other: str, secret: str) -> None:
    held = {name: f"${{{other}}}$${{", other: secret}
    if name != other:
        assert expand(f"${{{name}}}", held.get).text == held[name]


@given(_NAMES, st.text(max_size=10).filter(lambda t: "}" not in t and "${" not in t), st.none() | _VALUES)
def test_the_default_stands_in_for_unset_and_empty(name: str, default: str, value: str | None) -> None:
    result = expand(f"${{{name}:-{default}}}", {name: value}.get)
    assert result.text == (value or default)
    assert not result.unset


def test_variables_work_inside_any_text_of_a_configuration() -> None:
    environ = {"HOST": "example.org", "TASK": "vision", "PRIORITY": "7", "ON": "false", "PRICE": "0.25", "OPT": "deep"}
    mapping = one_provider(
        base_url="https://${HOST}/v1",
        priority="${PRIORITY}",
        enabled="${ON}",
        timeout="${SECONDS:-30}",
        options={"a": [{"b": "${OPT}"}]},
        models=[{"model_id": "m-${OPT}", "tasks": ["${TASK}"], "price": {"input": "${PRICE}", "output": "1"}}],
    )
    provider = loaded(mapping, environ).config.llm_providers[0]
    assert (provider.base_url, provider.priority, provider.enabled) == ("https://example.org/v1", 7, False)
    assert provider.timeout == 30
    assert provider.options == {"a": [{"b": "deep"}]}
    assert provider.models[0].model_id == "m-deep"
    assert provider.models[0].tasks == ("vision",)
    assert str(provider.models[0].price and provider.models[0].price.input) == "0.25"


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        (one_provider(base_url="http://${NOT_SET}/"), "[0].base_url: provider `here`: the variable NOT_SET is not set"),
        (one_model(model_id="${NOT_SET}"), "[0].models[0].model_id: provider `here`: the variable NOT_SET"),
        ({**one_provider(), "ledger": {"path": "${NOT_SET}"}}, "ledger.path: the variable NOT_SET is not set"),
        (one_provider(id="${NOT_SET}"), "the variable NOT_SET is not set"),
        (one_provider(options={"deep": ["${NOT_SET}"]}), "llm_providers[0].options.deep[0]"),
    ],
)  # fmt: skip
def test_an_unset_variable_is_one_error_that_names_provider_field_and_variable(mapping: Any, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(mapping)
    assert path in caught.value.message
    assert "problems" not in caught.value.message


def test_the_names_of_keys_are_not_expanded() -> None:
    with pytest.raises(ConfigError, match="is not a key"):
        loaded({**one_provider(), "${NAME}": 1}, {"NAME": "routing"})
