from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from sekha_magics.config.load import Loaded, load
from sekha_magics.config.yaml_text import LARGEST_FILE
from sekha_magics.errors import ConfigError
from sekha_magics.storage.paths import config_dir

from .rooms import SMALL, keys_of


def marked(provider_id: str) -> str:
    return SMALL.replace("id: here", f"id: {provider_id}")


def table(provider_id: str) -> str:
    models = '[{model_id = "m", tasks = ["chat_small"]}]'
    return f'[tool.sekha]\nllm_providers = [{{id = "{provider_id}", type = "ollama", models = {models}}}]\n'


def found_from(cwd: Path, **environ: str) -> Loaded:
    return load(environ=environ, cwd=cwd, keys=keys_of())


def first(loaded: Loaded) -> str:
    return loaded.config.llm_providers[0].id


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / ".git").mkdir()
    return root


def test_the_order_in_which_places_are_looked_at(repository: Path) -> None:
    deep = repository / "deep"
    places = [
        config_dir() / "config.yaml",
        repository / "pyproject.toml",
        repository / "config.yaml",
        deep / "pyproject.toml",
        deep / "config.yaml",
        repository / "named-by-variable.yaml",
        repository / "given.yaml",
    ]
    for n, place in enumerate(places):
        place.write_text(table(f"p{n}") if place.suffix == ".toml" else marked(f"p{n}"))
    variable = {"SEKHA_CONFIG": "../named-by-variable.yaml"}
    assert first(load(places[6], environ=variable, cwd=deep, keys=keys_of())) == "p6"
    assert first(found_from(deep, **variable)) == "p5"
    for n in (4, 3, 2, 1, 0):
        result = found_from(deep)
        assert first(result) == f"p{n}"
        assert result.path == places[n]
        assert str(places[n]) in result.source
        places[n].unlink()
    assert found_from(deep).path is None


def test_a_relative_path_starts_from_the_working_folder(repository: Path) -> None:
    (repository / "mine.yaml").write_text(marked("mine"))
    assert first(load("../mine.yaml", environ={}, cwd=repository / "deep", keys=keys_of())) == "mine"


def test_a_tilde_is_home(repository: Path) -> None:
    (Path.home() / "mine.yaml").write_text(marked("mine"))
    assert first(load("~/mine.yaml", environ={}, cwd=repository, keys=keys_of())) == "mine"
    with pytest.raises(ConfigError, match="names a user who is not known"):
        load("~nobody-of-this-name/mine.yaml", environ={}, cwd=repository, keys=keys_of())


def test_parents_are_looked_at_only_inside_a_repository(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "config.yaml").write_text(marked("outside"))
    assert found_from(repository / "deep" / "deeper").path is None
    loose = tmp_path / "loose" / "folder"
    loose.mkdir(parents=True)
    assert found_from(loose).path is None
    assert first(found_from(tmp_path)) == "outside"


def test_a_work_tree_is_a_repository_too(repository: Path) -> None:
    (repository / ".git").rmdir()
    (repository / ".git").write_text("gitdir: elsewhere\n")
    (repository / "config.yaml").write_text(marked("root"))
    assert first(found_from(repository / "deep" / "deeper")) == "root"


def test_a_file_named_by_the_variable_must_be_there(repository: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        found_from(repository, SEKHA_CONFIG="nowhere.yaml")
    assert found_from(repository, SEKHA_CONFIG=" ").path is None


@pytest.mark.parametrize(
    "text",
    [
        "theme: dark\nplugins: !custom [a]\n",
        "providers:\n  aws: {region: eu}\n",
        "providers: [aws, gcp]\n",
        "providers: [{name: aws}]\n",
        "providers: !custom {}\n",
        "{{ template }} providers: [\n",
        "a: [llm_providers]\n",
        "deep: {llm_providers: []}\n",
        "",
        "providers: []\n" + "x" * LARGEST_FILE,
    ],
    ids=str.splitlines,
)
def test_another_programs_config_yaml_is_passed_over(repository: Path, text: str) -> None:
    (repository / "config.yaml").write_text(text)
    (repository / "pyproject.toml").write_text("[tool.ruff]\n[tool.sekha2]\n[project]\nname = 'sekha'\n")
    assert found_from(repository).path is None


def test_a_pyproject_that_is_no_toml_is_passed_over_unless_it_is_ours(repository: Path) -> None:
    (repository / "pyproject.toml").write_text("[project\n")
    assert found_from(repository).path is None
    (repository / "pyproject.toml").write_text("[tool.sekha]\n[project\n")
    with pytest.raises(ConfigError, match="line 2: this is not TOML"):
        found_from(repository)


def test_our_own_file_with_an_error_is_not_passed_over(repository: Path) -> None:
    (repository / "config.yaml").write_text("llm_providers:\n  - [\n")
    with pytest.raises(ConfigError, match="line 3"):
        found_from(repository)


def test_old_names_and_flow_style_are_recognised(repository: Path) -> None:
    (repository / "config.yaml").write_text("providers: [{id: old, provider_type: ollama}]\n")
    assert first(found_from(repository)) == "old"
    (repository / "config.yaml").write_text(
        '{"config_version": "2.0", "llm_providers": [{"id": "flow", "type": "ollama"}]}'
    )
    assert first(found_from(repository)) == "flow"


@pytest.mark.skipif(
    sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs file modes that bind"
)
def test_a_file_that_may_not_be_read_is_passed_over_and_said(repository: Path) -> None:
    (repository / "config.yaml").write_text(SMALL)
    (repository / "config.yaml").chmod(0)
    result = found_from(repository)
    assert result.path is None
    assert any("may not be read" in note for note in result.notes)


def test_a_relative_ledger_is_relative_to_its_file(repository: Path) -> None:
    (repository / "config.yaml").write_text(SMALL + "ledger: {path: data/bill.duckdb}\n")
    assert found_from(repository / "deep").config.ledger.path == repository.resolve() / "data" / "bill.duckdb"
    (repository / "config.yaml").write_text(SMALL + "ledger: {path: ~nobody-of-this-name/x}\n")
    with pytest.raises(ConfigError, match=r"ledger\.path"):
        found_from(repository)


def test_nothing_given_means_this_process(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "config.yaml").write_text(marked("here"))
    monkeypatch.chdir(repository)
    assert first(load()) == "here"
    monkeypatch.setenv("SEKHA__ROUTING__POLICY", "fastest")
    assert load().config.routing.policy == "fastest"
