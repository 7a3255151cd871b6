from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from sekha_magics.config.load import Loaded, load
from sekha_magics.config.trust import is_loopback, is_trusted, trust
from sekha_magics.config.yaml_text import dump_yaml
from sekha_magics.core.provider_types import BUILT_IN, ProviderType
from sekha_magics.errors import ConfigError, UntrustedConfig
from sekha_magics.storage.paths import config_dir, data_dir

from .rooms import KEY, MemoryKeyring, keys_of, one_provider

ENVIRON = {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "HOST": "evil.example", "AWS_SECRET_ACCESS_KEY": KEY}


def found(folder: Path, mapping: dict[str, Any], **environ: str) -> Loaded:
    """Open a folder in which someone left this configuration."""
    (folder / "config.yaml").write_text(dump_yaml(mapping))
    types = {
        **BUILT_IN,
        "plugin": ProviderType("plugin", "PLUGIN_KEY", hosts=("api.plugin.example",)),
        "odd": ProviderType("odd"),
    }
    return load(environ={**ENVIRON, **environ}, cwd=folder, provider_types=types, keys=keys_of(ENVIRON))


OPENAI = {"type": "openai", "api_key": "${OPENAI_API_KEY}"}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"base_url": "http://localhost:1234/v1"},
        {"base_url": "http://127.0.0.1/"},
        {"base_url": "http://127.8.9.1:80/"},
        {"base_url": "http://[::1]:80/"},
        {"base_url": "http://LOCALHOST./"},
        OPENAI,
        {**OPENAI, "base_url": "https://api.openai.com/v1"},
        {**OPENAI, "base_url": "https://API.OPENAI.COM.:443/v1"},
        {**OPENAI, "base_url": "http://localhost/"},
        {"type": "anthropic", "api_key": "${ANTHROPIC_API_KEY:-none}"},
        {"type": "plugin", "api_key": "${PLUGIN_KEY}", "base_url": "https://api.plugin.example/"},
        {"type": "odd", "base_url": "http://localhost/"},
        {"type": "scripted", "options": {"replies": ["a"]}},
        {"type": "local"},
        {"api_key": "written out"},
        {"local": True},
        {"type": "openai", "local": False},
    ],
)
def test_what_is_harmless_needs_no_trust(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert found(tmp_path, one_provider(**changes)).config.llm_providers


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"base_url": "http://evil.example/"}, "llm_providers[0].base_url (line 8): names the host `evil.example`"),
        ({**OPENAI, "base_url": "https://api.openai.com.evil.example/"}, "host `api.openai.com.evil.example`"),
        ({**OPENAI, "base_url": "https://evil.example/api.openai.com"}, "names the host `evil.example`"),
        ({**OPENAI, "base_url": "http://api.openai.com/"}, "`api.openai.com` without encryption"),
        ({**OPENAI, "base_url": "https://api.anthropic.com/"}, "names the host `api.anthropic.com`"),
        ({"base_url": "http://10.0.0.7:11434"}, "names the host `10.0.0.7`"),
        ({"base_url": "http://0.0.0.0:11434"}, "names the host `0.0.0.0`"),
        ({"base_url": "http://127.1/"}, "names the host `127.1`"),
        ({"base_url": "http://localhost.evil.example/"}, "names the host `localhost.evil.example`"),
        ({"base_url": "http://${HOST}/"}, "expands the variable HOST"),
        ({"base_url": "http://localhost/${OPENAI_API_KEY}"}, "expands the variable OPENAI_API_KEY"),
        ({"type": "openai", "api_key": "${AWS_SECRET_ACCESS_KEY}"}, "expands the variable AWS_SECRET_ACCESS_KEY"),
        ({"type": "openai", "api_key": "${OPENAI_API_KEY}${AWS_SECRET_ACCESS_KEY:-x}"}, "AWS_SECRET_ACCESS_KEY"),
        ({"type": "openai", "api_key": "${ANTHROPIC_API_KEY}"}, "expands the variable ANTHROPIC_API_KEY"),
        ({"api_key": "${OPENAI_API_KEY}"}, "expands the variable OPENAI_API_KEY"),
        ({"options": {"a": ["${HOST}"]}}, "llm_providers[0].options.a[0]"),
        ({"type": "litellm"}, "reaches whatever host its model ids name"),
        ({"type": "litellm", "base_url": "http://localhost/"}, "reaches whatever host its model ids name"),
        ({"type": "odd"}, "what hosts `odd` speaks to is not known"),
        ({"type": "local", "options": {"path": "evil.gguf"}}, "gives options to `local`"),
        ({"type": "openai", "options": {"proxy": "x"}}, "gives options to `openai`"),
        ({"type": "openai", "local": True}, "llm_providers[0].local"),
        ({"local": True, "models": [{"model_id": "big:120b-cloud", "tasks": ["chat_small"]}]}, "stay on this machine"),
    ],
)  # fmt: skip
def test_what_could_give_something_away_waits_for_trust(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    mapping = one_provider(**changes)
    with pytest.raises(UntrustedConfig) as caught:
        found(tmp_path, mapping)
    assert says in caught.value.message
    assert "%sekha config trust" in caught.value.hint
    assert KEY not in str(caught.value)
    trust(tmp_path / "config.yaml")
    assert found(tmp_path, mapping).config.llm_providers


def test_a_variable_in_any_part_of_the_file_counts(tmp_path: Path) -> None:
    for section in ({"routing": {"default_task": "${TASK:-chat_small}"}}, {"ledger": {"path": "${NAME:-x}"}}):
        with pytest.raises(UntrustedConfig):
            found(tmp_path, {**one_provider(), **section})


@pytest.mark.parametrize("path", ["../elsewhere.duckdb", "~/notes.txt", "/etc/passwd", "a/../../b"])
@pytest.mark.parametrize("section", ["ledger", "memory"])
def test_a_ledger_or_memory_outside_its_folder_waits_for_trust(tmp_path: Path, section: str, path: str) -> None:
    folder = tmp_path / "project"
    folder.mkdir()
    with pytest.raises(UntrustedConfig, match=rf"{section}\.path"):
        found(folder, {**one_provider(), section: {"path": path}})
    config = found(folder, {**one_provider(), section: {"path": "inside/it"}}).config
    assert getattr(config, section).path == folder / "inside/it"


def test_all_that_needs_trust_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UntrustedConfig) as caught:
        found(tmp_path, one_provider(base_url="http://evil.example/", api_key="${OPENAI_API_KEY}", options={"a": 1}))
    assert "3 problems" in caught.value.message


def test_no_key_is_looked_up_for_a_file_that_is_not_trusted(tmp_path: Path) -> None:
    from sekha_magics.config.keys import KeyStore

    (tmp_path / "config.yaml").write_text(
        dump_yaml(one_provider(api_key="${OPENAI_API_KEY}", base_url="http://evil.example"))
    )
    keyring = MemoryKeyring(OPENAI_API_KEY=KEY)
    with pytest.raises(UntrustedConfig):
        load(environ={}, cwd=tmp_path, keys=KeyStore({}, keyring=keyring))
    assert keyring.asked == 0


def test_a_pyproject_is_trusted_like_any_other_file(tmp_path: Path) -> None:
    text = '[tool.sekha]\nllm_providers = [{id = "a", type = "ollama", base_url = "http://evil.example"}]\n'
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(UntrustedConfig, match=r"evil\.example"):
        load(environ={}, cwd=tmp_path, keys=keys_of())
    trust(tmp_path / "pyproject.toml")
    assert load(environ={}, cwd=tmp_path, keys=keys_of()).config.provider("a")


def test_a_file_the_user_named_is_the_users_own(tmp_path: Path) -> None:
    text = dump_yaml(one_provider(base_url="http://10.0.0.7/", api_key="${AWS_SECRET_ACCESS_KEY}"))
    mine = tmp_path / "mine.yaml"
    mine.write_text(text)
    assert load(mine, environ=ENVIRON, cwd=tmp_path, keys=keys_of(ENVIRON)).keys
    assert load(environ={**ENVIRON, "SEKHA_CONFIG": str(mine)}, cwd=tmp_path, keys=keys_of(ENVIRON)).keys
    (config_dir() / "config.yaml").write_text(text)
    assert load(environ=ENVIRON, cwd=tmp_path, keys=keys_of(ENVIRON)).keys


def test_a_change_of_the_file_asks_again_and_so_does_another_place(tmp_path: Path) -> None:
    mapping = one_provider(base_url="http://10.0.0.7/")
    found_file = tmp_path / "config.yaml"
    with pytest.raises(UntrustedConfig):
        found(tmp_path, mapping)
    trust(found_file)
    assert is_trusted(found_file)
    assert found(tmp_path, mapping)
    with pytest.raises(UntrustedConfig):
        found(tmp_path, one_provider(base_url="http://10.0.0.8/"))
    assert not is_trusted(found_file)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises(UntrustedConfig):
        found(elsewhere, mapping)
    assert found(tmp_path, mapping)


def test_what_the_users_own_environment_says_is_the_users(tmp_path: Path) -> None:
    away = one_provider(
        base_url="http://evil.example/", api_key="${AWS_SECRET_ACCESS_KEY}", options={"a": 1}, local=True
    )
    away["ledger"] = {"path": "/elsewhere"}
    overrides = {
        "SEKHA__LLM_PROVIDERS__0__BASE_URL": "http://10.0.0.7/${HOST}",
        "SEKHA__LLM_PROVIDERS__0__API_KEY": "${OPENAI_API_KEY}",
        "SEKHA__LLM_PROVIDERS__0__OPTIONS": '{"proxy": "mine"}',
        "SEKHA__LEDGER__PATH": str(tmp_path / "mine.duckdb"),
    }
    result = found(tmp_path, away, **overrides)
    assert result.config.llm_providers[0].base_url == "http://10.0.0.7/evil.example"
    del overrides["SEKHA__LLM_PROVIDERS__0__BASE_URL"]
    with pytest.raises(UntrustedConfig, match=r"evil\.example") as caught:
        found(tmp_path, away, **overrides)
    assert "problems" not in caught.value.message
    whole = json.dumps(one_provider(base_url="http://10.0.0.7/", options={"a": 1})["llm_providers"])
    assert found(tmp_path, one_provider(base_url="http://evil.example/"), SEKHA__LLM_PROVIDERS=whole)


def test_trust_in_what_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        trust(tmp_path / "nowhere.yaml")
    assert not is_trusted(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 3}', "\x00"])
def test_a_store_that_cannot_be_understood_trusts_nothing_and_is_made_anew(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("a")
    (data_dir() / "trusted.json").write_text(text)
    assert not is_trusted(file)
    trust(file)
    assert is_trusted(file)


def test_many_kernels_trust_at_once_and_nothing_is_forgotten(tmp_path: Path) -> None:
    files = [tmp_path / f"{n}.yaml" for n in range(20)]
    for file in files:
        file.write_text(file.name)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(trust, files))
    assert all(map(is_trusted, files))
    assert [f.name for f in data_dir().iterdir() if "trusted" in f.name and f.suffix not in {".json", ".lock"}] == []


@pytest.mark.skipif(sys.platform == "win32", reason="modes are POSIX's")
def test_only_the_owner_reads_what_was_trusted(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    trust(tmp_path / "a")
    assert os.stat(data_dir() / "trusted.json").st_mode & 0o077 == 0  # noqa: PTH116 - the mode itself is meant


def test_a_link_is_trusted_as_what_it_points_to(tmp_path: Path) -> None:
    real = tmp_path / "real.yaml"
    real.write_text("a")
    link = tmp_path / "link.yaml"
    try:
        link.symlink_to(real)
    except OSError:
        pytest.skip("this system makes no links")
    trust(link)
    assert is_trusted(real)


@pytest.mark.parametrize(
    ("host", "is_it"),
    [
        ("localhost", True),
        ("::1", True),
        ("127.255.0.1", True),
        ("", False),
        ("127.0.0.1.nip.io", False),
        ("fe80::1", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_that_resembles_it(host: str, is_it: bool) -> None:
    assert is_loopback(host) is is_it
