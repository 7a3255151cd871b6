"""Keys of every origin, and every way a configuration is shown or complained about."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.config.load import load
from sekha_magics.config.migrate import migrate_yaml
from sekha_magics.config.show import show, show_yaml
from sekha_magics.errors import ConfigError, SekhaError

from .rooms import KEY, OTHER_KEY, from_file, keys_of, loaded, one_model, one_provider

OPTIONS = {
    "api_token": KEY,
    "headers": {"Authorization": f"Bearer {KEY}", "X-Mine": "${SECRET}"},
    "list": [KEY, "plain"],
}


@pytest.fixture
def full() -> Any:
    mapping = one_provider(type="openai", api_key=KEY, options=OPTIONS)
    mapping["llm_providers"].append(
        {**mapping["llm_providers"][0], "id": "other", "api_key": "${SECRET}", "options": {}}
    )
    return loaded(mapping, {"SECRET": OTHER_KEY})


def test_no_way_of_showing_a_configuration_shows_a_key(full: Any) -> None:
    texts = [
        repr(full), str(full), repr(full.config), str(full.config), repr(full.keys), f"{full.config.llm_providers[0]}",
        full.config.model_dump_json(exclude={"llm_providers": {"__all__": {"options"}}}),
        show_yaml(full), json.dumps(show(full), default=str), repr(full.key_sources), repr(full.missing_keys),
    ]  # fmt: skip
    for text in texts:
        assert KEY not in text
        assert OTHER_KEY not in text


def test_the_effective_configuration_says_where_each_key_comes_from(full: Any) -> None:
    first, second = show(full)["llm_providers"]
    assert first["api_key"] == "(written out in the configuration)"
    assert second["api_key"] == "(SECRET: the environment)"
    assert first["options"] == {
        "api_token": "***", "headers": {"Authorization": "***", "X-Mine": "${SECRET}"}, "list": ["***", "plain"],
    }  # fmt: skip
    missing = show(loaded(one_provider(type="openai", api_key="${NOPE}")))["llm_providers"][0]["api_key"]
    assert missing == "(NOPE is not set)"
    assert "api_key" not in show(loaded(one_provider()))["llm_providers"][0]


def test_a_key_in_options_still_reaches_the_provider(full: Any) -> None:
    options = full.config.llm_providers[0].options
    assert options["headers"] == {"Authorization": f"Bearer {KEY}", "X-Mine": OTHER_KEY}


@pytest.mark.parametrize(
    "mapping",
    [
        one_provider(type="${SECRET}"),
        one_provider(base_url="${SECRET}"),
        one_provider(base_url="https://user:${SECRET}@host/"),
        one_provider(priority="${SECRET}"),
        one_provider(timeout="${SECRET}"),
        one_provider(enabled="${SECRET}"),
        one_provider(api_key="${SECRET}", priority=0),
        one_provider(api_key=[KEY]),
        one_provider(api_key={"a": KEY}),
        one_provider(api_key=KEY, id=KEY.upper()),
        one_provider(api_key=KEY, type=KEY),
        one_provider(api_key="${SECRET}", models=[{"model_id": "${SECRET}", "tasks": ["chat_small"]}]),
        one_provider(api_key="${SECRET}", base_url="http://${SECRET}/"),
        one_provider(api_key=KEY, id=KEY),
        one_provider(models=[{"model_id": "${SECRET}", "tasks": ["chat_small"], "dimension": d} for d in (1, 2)]),
        one_model(tasks=["${SECRET}"]),
        one_model(price={"input": "${SECRET}", "output": 1}),
        one_model(context_window="${SECRET}"),
        {**one_provider(), "default_models": {"chat_fast": "${SECRET}"}},
        {**one_provider(), "routing": {"policy": "${SECRET}"}},
        {**one_provider(), "ledger": {"content": "${SECRET}"}},
        {**one_provider(api_key="${SECRET}"), "ledger": {"path": "x/${SECRET}"}},
        {**one_provider(), "config_version": "${SECRET}"},
        {"llm_providers": "${SECRET}"},
    ],
)
def test_no_error_shows_a_key_wherever_it_was_put(tmp_path: Path, mapping: dict[str, Any]) -> None:
    from sekha_magics.config.yaml_text import dump_yaml

    for attempt in (
        lambda: loaded(mapping, {"SECRET": OTHER_KEY}),
        lambda: from_file(tmp_path, dump_yaml(mapping), {"SECRET": OTHER_KEY}),
    ):
        with pytest.raises(ConfigError) as caught:
            attempt()
        text = str(caught.value) + "".join(traceback.format_exception(caught.value)) + repr(caught.value)
        assert OTHER_KEY not in text
        assert KEY not in text
        assert KEY.upper() not in text


def test_words_that_stand_for_a_key_may_stand_elsewhere() -> None:
    assert loaded(one_provider(id="lm-studio", api_key="lm-studio")).keys["lm-studio"].reveal() == "lm-studio"


def test_an_error_about_an_overriding_variable_does_not_show_its_value(tmp_path: Path) -> None:
    for name in ("SEKHA__ROUTING__POLICY", "SEKHA__LLM_PROVIDERS__0__TYPE", "SEKHA__LEDGER"):
        with pytest.raises(ConfigError) as caught:
            from_file(tmp_path, "llm_providers: [{id: a, type: ollama}]\n", {name: KEY})
        assert KEY not in str(caught.value)


_MADE_OF_KEYS = st.sampled_from([KEY, f"x{KEY}y", "${SECRET}", "${NOPE:-" + KEY + "}", 1, None, [KEY], {"a": KEY}])


@given(
    st.dictionaries(
        st.sampled_from(["id", "type", "base_url", "priority", "models", "options", "local"]), _MADE_OF_KEYS, max_size=6
    )
)
def test_whatever_is_made_of_keys_shows_none(provider: dict[str, Any]) -> None:
    mapping = {"llm_providers": [{"id": "a", "type": "ollama", "api_key": "${SECRET}", **provider}]}
    try:
        result = loaded(mapping, {"SECRET": KEY})
        shown = repr(result) + repr(result.config)
    except SekhaError as error:
        shown = str(error)
    assert KEY not in shown


def test_migration_keeps_a_reference_a_reference() -> None:
    text = migrate_yaml("providers: [{id: a, provider_type: openai, api_key: '${SECRET}'}]")
    assert "${SECRET}" in text


def test_without_a_configuration_no_key_is_shown_either(tmp_path: Path) -> None:
    environ = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": OTHER_KEY}
    result = load(environ=environ, cwd=tmp_path, keys=keys_of(environ))
    assert len(result.keys) == 2
    for text in (repr(result), repr(result.config), show_yaml(result), result.source):
        assert KEY not in text
        assert OTHER_KEY not in text
