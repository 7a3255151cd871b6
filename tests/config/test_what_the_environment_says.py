from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from sekha_magics.config.load import Loaded, from_environment, load
from sekha_magics.errors import ConfigError

from .rooms import KEY, OTHER_KEY, SMALL, from_file, keys_of, loaded, one_provider

PROVIDERS = json.dumps(one_provider()["llm_providers"])


def from_variables(**environ: str) -> Loaded:
    return from_environment(environ=environ, keys=keys_of(environ), is_installed=lambda _: False)


# --- over a file -----------------------------------------------------------------------------------------


def test_a_variable_wins_over_the_file(tmp_path: Path) -> None:
    environ = {
        "SEKHA__ROUTING__POLICY": "cheapest",
        "SEKHA__ROUTING__AUTO_FALLBACK": "false",
        "SEKHA__ROUTING__MAX_COST_PER_REQUEST": "0.10",
        "SEKHA__LLM_PROVIDERS__0__API_KEY": KEY,
        "SEKHA__LLM_PROVIDERS__0__MODELS__0__CONTEXT_WINDOW": "4096",
        "SEKHA__LLM_PROVIDERS__0__MODELS__0__PRICE": '{"input": 0.1, "output": 2}',
        "SEKHA__DEFAULT_MODELS": '{"chat_fast": "llama3.1:8b"}',
        "SEKHA__LEDGER__CONTENT": "none",
        "UNRELATED": "x",
        "SEKHA_MODE": "live",
    }
    text = SMALL + "routing: {policy: fastest, default_task: chat_smart}\ndefault_models: {chat_smart: llama3.1:8b}\n"
    result = from_file(tmp_path, text, environ)
    routing, provider = result.config.routing, result.config.llm_providers[0]
    assert (routing.policy, routing.auto_fallback, routing.default_task) == ("cheapest", False, "chat_smart")
    assert routing.max_cost_per_request == Decimal("0.10")
    assert result.keys["here"].reveal() == KEY
    assert provider.models[0].context_window == 4096
    assert provider.models[0].price is not None
    assert provider.models[0].price.input == Decimal("0.1")
    assert result.config.default_models.model_dump(exclude_none=True) == {"chat_fast": "llama3.1:8b"}
    assert result.config.ledger.content == "none"


def test_a_whole_section_comes_before_what_lies_in_it(tmp_path: Path) -> None:
    environ = {
        "SEKHA__LLM_PROVIDERS__0__ID": "renamed",
        "SEKHA__LLM_PROVIDERS": PROVIDERS,
        "SEKHA__LLM_PROVIDERS__1__ID": "second",
        "SEKHA__LLM_PROVIDERS__1__TYPE": "ollama",
    }
    assert [p.id for p in from_file(tmp_path, SMALL, environ).config.llm_providers] == ["renamed", "second"]


def test_null_takes_away_what_the_file_says(tmp_path: Path) -> None:
    text = SMALL + "routing: {max_cost_per_request: 1}\n"
    environ = {"SEKHA__ROUTING__MAX_COST_PER_REQUEST": "null", "SEKHA__ROUTING__POLICY": "fastest"}
    assert from_file(tmp_path, text, environ).config.routing.max_cost_per_request is None


def test_old_names_work_in_variables_too(tmp_path: Path) -> None:
    environ = {
        "SEKHA__PROVIDERS__0__TIMEOUT_SECS": "7",
        "SEKHA__LLM_PROVIDERS__0__MODELS__0__TASK": "chat_smart",
        "SEKHA__VERSION": "2.0",
    }
    provider = from_file(tmp_path, SMALL, environ).config.llm_providers[0]
    assert provider.timeout == 7
    assert provider.models[0].tasks == ("chat_smart",)


def test_options_reach_into_mappings_and_lists(tmp_path: Path) -> None:
    environ = {"SEKHA__LLM_PROVIDERS__0__OPTIONS__LIST__0": "a", "SEKHA__LLM_PROVIDERS__0__OPTIONS__DEEP__ER": "b"}
    assert from_file(tmp_path, SMALL, environ).config.llm_providers[0].options == {"list": ["a"], "deep": {"er": "b"}}


def test_a_variable_may_refer_to_another(tmp_path: Path) -> None:
    environ = {"SEKHA__LLM_PROVIDERS__0__BASE_URL": "http://${HOST}/", "HOST": "localhost"}
    assert from_file(tmp_path, SMALL, environ).config.llm_providers[0].base_url == "http://localhost/"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SEKHA__RUTING__POLICY", "x", "ruting (from SEKHA__RUTING__POLICY): is not a key"),
        ("SEKHA__ROUTING__POLICY", "cheap", "routing.policy (from SEKHA__ROUTING__POLICY): must be one of"),
        ("SEKHA__ROUTING__POLICY__DEEPER", "x", "has nothing inside that SEKHA__ROUTING__POLICY__DEEPER could set"),
        ("SEKHA__LLM_PROVIDERS__7__ID", "x", "has no place 7, which SEKHA__LLM_PROVIDERS__7__ID sets"),
        ("SEKHA__LLM_PROVIDERS__FIRST__ID", "x", "has no place first"),
        ("SEKHA__LLM_PROVIDERS__0__ID__DEEPER", "x", "has nothing inside that SEKHA__LLM_PROVIDERS__0__ID__DEEPER"),
        ("SEKHA__LLM_PROVIDERS", f'[{{"id": "{KEY}"', "SEKHA__LLM_PROVIDERS is not the JSON it begins as"),
        ("SEKHA__LLM_PROVIDERS", "[NaN]", "is not the JSON it begins as"),
        ("SEKHA__LLM_PROVIDERS", "[1e999999]", "is not the JSON it begins as"),
        ("SEKHA__LLM_PROVIDERS", "[" * 100_000, "is not the JSON it begins as"),
        ("SEKHA__", "x", "SEKHA__ names no key"),
        ("SEKHA__ROUTING____POLICY", "x", "SEKHA__ROUTING____POLICY names no key"),
        ("SEKHA__ROUTING", "cheapest", "routing (from SEKHA__ROUTING): must be a section"),
        ("SEKHA__LLM_PROVIDERS__0__TIMEOUT_SECS", "x", "[0].timeout (from SEKHA__LLM_PROVIDERS__0__TIMEOUT"),
    ],
)  # fmt: skip
def test_a_variable_that_cannot_be_obeyed_is_named(tmp_path: Path, name: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, SMALL + "routing: {policy: fastest}\n", {name: value})
    assert says in caught.value.message
    assert KEY not in str(caught.value)


def test_a_mapping_from_python_is_not_changed_by_variables() -> None:
    assert loaded(one_provider(), {"SEKHA__ROUTING__POLICY": "fastest"}).config.routing.policy == "priority"


def test_variables_alone_are_a_configuration(tmp_path: Path) -> None:
    environ = {"SEKHA__LLM_PROVIDERS": PROVIDERS, "OPENAI_API_KEY": KEY, "OLLAMA_URL": "http://elsewhere/"}
    result = load(environ=environ, cwd=tmp_path, keys=keys_of(environ))
    assert [p.id for p in result.config.llm_providers] == ["here"]
    assert result.source == "the SEKHA__ variables of the environment"
    assert not result.no_remote_fallback
    piecewise = from_variables(SEKHA__LLM_PROVIDERS__0__ID="a", SEKHA__LLM_PROVIDERS__0__TYPE="ollama")
    assert piecewise.discover == ("a",)


# --- version 1 -------------------------------------------------------------------------------------------


def test_the_variables_of_version_1_make_a_provider() -> None:
    result = from_variables(
        OLLAMA_URL="http://box:11434",
        CHAT_MODEL="llama3.1:8b",
        SUMMARIZATION_MODEL="qwen2.5:3b",
        VISION_MODEL="llava:13b",
        EMBEDDING_MODEL="nomic-embed-text:latest",
        LLM_PROVIDER="Ollama",
        OPENAI_API_KEY=KEY,
    )
    (provider,) = result.config.llm_providers
    assert (provider.id, provider.type, provider.base_url) == ("ollama_migrated", "ollama", "http://box:11434")
    assert {m.model_id: m.tasks for m in provider.models} == {
        "llama3.1:8b": ("chat_small", "chat_large", "chat_smart"),
        "qwen2.5:3b": ("chat_small",),
        "llava:13b": ("vision",),
        "nomic-embed-text:latest": ("embedding",),
    }
    assert provider.models[3].dimension == 768
    assert len(result.notes) == 1
    assert "ollama_migrated" in result.notes[0]
    assert result.discover == ()


@pytest.mark.parametrize("name", ["OLLAMA_URL", "OLLAMA_BASE_URL", "LLM_URL"])
def test_an_address_alone_asks_the_ollama_there_for_its_models(name: str) -> None:
    result = from_variables(**{name: "box:11434"})
    assert result.config.llm_providers[0].base_url == "http://box:11434"
    assert result.discover == ("ollama_migrated",)


def test_one_model_for_everything_is_one_model() -> None:
    (provider,) = from_variables(CHAT_MODEL="m", SUMMARIZATION_MODEL="m", VISION_MODEL="m").config.llm_providers
    assert [m.tasks for m in provider.models] == [("chat_small", "chat_large", "chat_smart", "vision")]
    (provider,) = from_variables(SUMMARIZATION_MODEL="m").config.llm_providers
    assert provider.models[0].tasks == ("chat_small", "chat_large", "chat_smart")


def test_addresses_that_differ_are_noted() -> None:
    result = from_variables(OLLAMA_URL="http://a/", LLM_URL="http://b/")
    assert result.config.llm_providers[0].base_url == "http://a/"
    assert any("OLLAMA_URL, LLM_URL differ; OLLAMA_URL is used" in note for note in result.notes)


def test_an_embedding_model_of_unknown_dimension_is_left_out_and_said() -> None:
    result = from_variables(EMBEDDING_MODEL="my-own-embedder", CHAT_MODEL="m")
    assert [m.model_id for m in result.config.llm_providers[0].models] == ["m"]
    assert any("EMBEDDING_MODEL (my-own-embedder) is left out" in note for note in result.notes)


def test_an_address_that_is_none_names_its_variable() -> None:
    with pytest.raises(ConfigError, match="from LLM_URL"):
        from_variables(LLM_URL="ftp://box")


def test_another_provider_than_ollama_is_noted_and_left_alone() -> None:
    result = from_variables(LLM_PROVIDER="openai", OPENAI_API_KEY=KEY)
    assert "openai" in [p.id for p in result.config.llm_providers]
    assert any("LLM_PROVIDER" in note for note in result.notes)


def test_version_1_gives_way_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(SMALL)
    result = load(environ={"OLLAMA_URL": "http://box"}, cwd=tmp_path, keys=keys_of())
    assert result.config.llm_providers[0].id == "here"
    assert result.notes == ()


def test_variables_stand_over_version_1_too() -> None:
    result = from_variables(OLLAMA_URL="http://box", SEKHA__ROUTING__POLICY="fastest")
    assert result.config.routing.policy == "fastest"
    assert result.config.llm_providers[0].id == "ollama_migrated"


def test_a_key_in_the_environment_is_not_used_unless_it_is_named() -> None:
    mapping = one_provider(type="openai")
    result = loaded(mapping, {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": OTHER_KEY})
    assert result.keys == {}
    assert "names none: add `api_key: ${OPENAI_API_KEY}`" in result.missing_keys["here"]
