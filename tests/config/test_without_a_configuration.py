from __future__ import annotations

import json
from datetime import date
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from sekha_magics.config.defaults import THREE_WAYS, defaults_as_of, dimension_of, tasks_for_discovered
from sekha_magics.config.load import Loaded, from_environment, load
from sekha_magics.config.yaml_text import read_yaml
from sekha_magics.core.types import TASKS

from .rooms import KEY, OTHER_KEY, keys_of

KEYS = {"OPENAI_API_KEY": "openai", "ANTHROPIC_API_KEY": "anthropic", "OPENROUTER_API_KEY": "openrouter"}


def of(environ: dict[str, str], installed: tuple[str, ...] = (), **kept: str) -> Loaded:
    return from_environment(environ=environ, keys=keys_of(environ, **kept), is_installed=lambda name: name in installed)


@pytest.mark.parametrize(("variable", "provider_id"), KEYS.items())
def test_a_key_brings_its_provider(variable: str, provider_id: str) -> None:
    result = of({variable: KEY})
    assert [p.id for p in result.config.llm_providers] == ["ollama", provider_id]
    assert result.keys[provider_id].reveal() == KEY
    assert result.key_sources[provider_id] == f"{variable}: the environment"
    assert variable in result.source
    tasks = {task for model in result.config.provider(provider_id).models for task in model.tasks}
    assert tasks >= {"chat_small", "chat_large", "chat_smart", "vision"}


def test_a_key_in_the_keyring_brings_its_provider_too() -> None:
    result = of({}, ANTHROPIC_API_KEY=OTHER_KEY)
    assert result.keys["anthropic"].reveal() == OTHER_KEY
    assert result.key_sources["anthropic"] == "ANTHROPIC_API_KEY: the keyring"


def test_an_empty_key_brings_nothing() -> None:
    assert [p.id for p in of({"OPENAI_API_KEY": "  "}).config.llm_providers] == ["ollama"]


def test_an_ollama_is_asked_for_its_models_later() -> None:
    result = of({})
    assert result.discover == ("ollama",)
    assert result.config.provider("ollama").models == ()


def test_the_embedded_models_are_offered_when_their_packages_are_installed() -> None:
    both = of({}, ("xllamacpp", "wordllama"))
    assert [m.model_id for m in both.config.provider("local").models] == ["smollm2-135m-instruct", "wordllama-256"]
    assert both.config.provider("local").models[1].dimension == 256
    assert both.last_resort == ("local",)
    one = of({}, ("wordllama",))
    assert [m.model_id for m in one.config.provider("local").models] == ["wordllama-256"]
    assert of({}).last_resort == ()


def test_what_is_installed_here_is_what_is_offered(tmp_path: Path) -> None:
    offered = "local" in [p.id for p in load(environ={}, cwd=tmp_path, keys=keys_of()).config.llm_providers]
    assert offered == any(find_spec(name) is not None for name in ("xllamacpp", "wordllama"))


def test_what_stays_here_is_tried_first_and_never_falls_over_to_the_cloud() -> None:
    result = of(dict.fromkeys(KEYS, KEY), ("xllamacpp", "wordllama"))
    priorities = {p.id: p.priority for p in result.config.llm_providers}
    assert len(set(priorities.values())) == len(priorities)
    assert min(priorities, key=priorities.__getitem__) == "ollama"
    assert priorities["local"] == 100
    assert result.no_remote_fallback


def test_nothing_at_all_is_no_error_yet() -> None:
    result = of({})
    assert result.keys == {}
    assert result.path is None
    assert all(way in THREE_WAYS for way in ("OPENAI_API_KEY", "Ollama", "sekha models pull"))


def test_the_rules_of_the_environment_hold_without_a_file_too() -> None:
    result = of({"OPENAI_API_KEY": KEY, "SEKHA__ROUTING__POLICY": "cheapest"})
    assert result.config.routing.policy == "cheapest"
    assert "openai" in result.keys


def test_the_defaults_are_dated() -> None:
    assert defaults_as_of() >= date(2026, 11, 23)


def _offered() -> list[tuple[str, Any]]:
    result = of(dict.fromkeys(KEYS, KEY))
    return [(p.id, m) for p in result.config.llm_providers for m in p.models]


@pytest.mark.parametrize(("provider_id", "model"), _offered(), ids=lambda v: getattr(v, "model_id", v))
def test_every_default_model_has_a_price(provider_id: str, model: Any) -> None:
    from genai_prices import Usage, calc_price

    cost = calc_price(Usage(input_tokens=1000, output_tokens=10), model_ref=model.model_id, provider_id=provider_id)
    assert cost.total_price > 0


@pytest.mark.parametrize(("provider_id", "model"), _offered(), ids=lambda v: getattr(v, "model_id", v))
def test_every_default_model_has_the_limits_of_the_table_of_known_models(provider_id: str, model: Any) -> None:
    spec = find_spec("litellm")
    assert spec is not None
    assert spec.origin is not None
    table = json.loads(
        (Path(spec.origin).parent / "model_prices_and_context_window_backup.json").read_text(encoding="utf-8")
    )
    known = table[f"openrouter/{model.model_id}" if provider_id == "openrouter" else model.model_id]
    assert known["litellm_provider"] == provider_id
    assert known["max_input_tokens"] == model.context_window
    assert bool(known.get("supports_vision")) >= bool(model.supports_vision)
    if model.dimension:
        assert known["mode"] == "embedding"
        assert known.get("output_vector_size", model.dimension) == model.dimension
    else:
        assert known["max_output_tokens"] == model.max_output_tokens


# --- models an Ollama lists ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model_id", "tasks"),
    [
        ("llama3.1:8b", ("chat_small", "chat_smart")),
        ("llama3.2:3b", ("chat_small",)),
        ("llama3.2:1b-instruct-q4_0", ("chat_small",)),
        ("qwen2.5:0.5b", ("chat_small",)),
        ("smollm2:135m", ("chat_small",)),
        ("mistral:latest", ("chat_small", "chat_smart")),
        ("llama3.3:70b", ("chat_large", "chat_smart")),
        ("qwen3:30b-a3b", ("chat_large", "chat_smart")),
        ("gpt-oss:120b-cloud", ("chat_large", "chat_smart")),
        ("llama3.1:405b", ("chat_large", "chat_smart")),
        ("llava:13b", ("chat_small", "chat_smart", "vision")),
        ("llama3.2-vision:90b", ("chat_small", "chat_smart", "vision")),
        ("qwen2.5vl:7b", ("chat_small", "chat_smart", "vision")),
        ("qwen3-vl:8b", ("chat_small", "chat_smart", "vision")),
        ("gemma3:4b", ("chat_small", "chat_smart", "vision")),
        ("gemma3:1b", ("chat_small",)),
        ("gemma3:12b", ("chat_small", "chat_smart", "vision")),
        ("nomic-embed-text:latest", ("embedding",)),
        ("mxbai-embed-large", ("embedding",)),
        ("bge-m3:567m", ("embedding",)),
        ("all-minilm:33m", ("embedding",)),
        ("hf.co/someone/E5-Large-GGUF", ("embedding",)),
        ("Llama-Guard3:8b", ()),
        ("x", ("chat_small", "chat_smart")),
        ("", ()),
    ],
)
def test_an_installed_model_serves_what_its_name_says(model_id: str, tasks: tuple[str, ...]) -> None:
    assert tasks_for_discovered(model_id) == tasks


@pytest.mark.parametrize(
    ("model_id", "dimension"),
    [("nomic-embed-text", 768), ("nomic-embed-text:v1.5", 768), ("mxbai-embed-large:335m", 1024), ("mine", None)],
)
def test_the_dimension_of_a_well_known_embedding_model_is_known(model_id: str, dimension: int | None) -> None:
    assert dimension_of(model_id) == dimension


def test_the_rules_name_only_tasks_that_exist() -> None:
    text = files("sekha_magics.config").joinpath("defaults.yaml").read_text(encoding="utf-8")
    rules = read_yaml(text, "defaults.yaml").value["discovered"]
    assert {task for rule in rules for task in rule["tasks"]} <= set(TASKS)
