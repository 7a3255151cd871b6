from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from sekha_magics.config.load import load
from sekha_magics.config.migrate import migrate, migrate_yaml
from sekha_magics.config.show import show, show_yaml
from sekha_magics.config.yaml_text import read_yaml
from sekha_magics.core.provider_types import BUILT_IN
from sekha_magics.errors import ConfigError

from .rooms import KEY, from_file, keys_of, loaded, one_provider

OLD = """
version: "1.0"
providers:
  - id: here
    provider_type: ollama
    timeout_secs: 30
    base_url: ${ADDRESS:-http://localhost:1}
    models:
      - {model_id: m, task: chat_small, price: {input: 0.10, output: 2.50}}
      - {model_id: e, task: embedding, dimension: 768}
default_models: {chat_fast: m}
"""

EXAMPLES = (Path(__file__).parents[2] / "config.yaml.example").read_text(encoding="utf-8").split("\n---\n")
KEYS = dict.fromkeys(("OPENAI_API_KEY", "OPENAI_API_KEY_MINE", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY"), KEY)


def test_a_configuration_with_old_names_becomes_one_with_present_names(tmp_path: Path) -> None:
    text = migrate_yaml(OLD)
    value = read_yaml(text, "t").value
    assert list(value) == ["config_version", "llm_providers", "default_models"]
    assert value["llm_providers"][0]["models"][0]["tasks"] == ["chat_small"]
    assert value["llm_providers"][0]["timeout"] == 30
    assert "base_url: ${ADDRESS:-http://localhost:1}" in text
    assert "input: 0.10" in text
    assert "output: 2.50" in text
    assert from_file(tmp_path, text).config == from_file(tmp_path, OLD.replace("1.0", "2.0")).config


def test_migrating_twice_changes_nothing() -> None:
    once = migrate_yaml(OLD)
    assert migrate_yaml(once) == once


def test_migration_leaves_the_mapping_it_was_given_alone() -> None:
    given = {
        "providers": [{"provider_type": "ollama", "models": [{"task": "vision"}]}],
        "future": {"x": Decimal("1.0")},
    }
    out = migrate(given)
    assert given["providers"] == [{"provider_type": "ollama", "models": [{"task": "vision"}]}]
    assert out["future"] == {"x": Decimal("1.0")}


@pytest.mark.parametrize("text", ["version: a\nconfig_version: b\n", "a: [", "- a\n- b", "text", "1: 2"])
def test_what_cannot_be_migrated_is_a_configuration_error(text: str) -> None:
    if text in {"- a\n- b", "text"}:
        assert migrate_yaml(text) == "config_version: '2.0'\n"
        return
    with pytest.raises(ConfigError):
        migrate_yaml(text)


def test_the_effective_configuration_loads_again_and_is_the_same(tmp_path: Path) -> None:
    first = loaded(
        {**one_provider(timeout=2.5, options={"deep": [1, {"a": None}]}), "routing": {"max_cost_per_request": 0.1}}
    )
    assert from_file(tmp_path, show_yaml(first)).config == first.config


def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("number", range(3))
def test_each_example_loads(tmp_path: Path, number: int) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(EXAMPLES[number], encoding="utf-8")
    result = load(path, environ=KEYS, cwd=tmp_path, keys=keys_of(KEYS))
    assert result.notes == ()
    assert result.missing_keys == {}
    assert result.discover == ()
    types = {p.type for p in result.config.llm_providers}
    tasks = {task for p in result.config.llm_providers for m in p.models for task in m.tasks}
    if number == 0:
        assert all(BUILT_IN[kind].local for kind in types)
    elif number == 1:
        assert types == {"ollama", "openai"}
    else:
        assert types == BUILT_IN.keys() - {"scripted"}
        assert sum(p.type == "openai" for p in result.config.llm_providers) == 2
    assert {"chat_small", "vision", "embedding"} <= tasks
    assert show(result)["config_version"] == "2.0"


@pytest.mark.parametrize("number", range(3))
def test_each_example_works_without_any_key(tmp_path: Path, number: int) -> None:
    result = from_file(tmp_path, EXAMPLES[number])
    missing = [p.id for p in result.config.llm_providers if BUILT_IN[p.type].needs_key]
    assert sorted(result.missing_keys) == sorted(missing)


def test_the_examples_copied_whole_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="several documents in one file; keep one"):
        from_file(tmp_path, "\n---\n".join(EXAMPLES))
