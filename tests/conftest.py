"""No test reads this machine's configuration, writes its data directory, finds its keys, or can spend money."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says more of the machine than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["tests.upstream.fixtures"]

LEAKY = ("SEKHA_", "OPENAI", "ANTHROPIC", "OPENROUTER", "OLLAMA", "LITELLM", "LLM_")
# Tests that hand a key to another process begin it with this.
RECOGNISABLE = "sk-recognisable"
V1_NAMES = ("EMBEDDING_MODEL", "CHAT_MODEL", "SUMMARIZATION_MODEL", "VISION_MODEL")


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Point every directory at a temporary one and clear every variable the package reads. Gives the data directory."""
    for name in list(os.environ):
        if name.startswith(LEAKY) or name in V1_NAMES:
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
    data = home / "sekha"
    monkeypatch.setenv("SEKHA_HOME", str(data))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(home / "data"))
    monkeypatch.setenv("IPYTHONDIR", str(home / "ipython"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(home / "jupyter"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    yield data
    assert files_with_keys(data) == []


def files_with_keys(data: Path) -> list[str]:
    """Files of the data directory that hold a key: one a registry of this process knew, or a recognisable one."""
    process = sys.modules.get("sekha_magics.process")
    found = []
    for path in data.rglob("*"):
        if path.is_file() and "models" not in path.relative_to(data).parts:
            text = path.read_bytes().decode("latin-1")
            if RECOGNISABLE in text or (process is not None and process.known_keys.would_change(text)):
                found.append(str(path.relative_to(data)))
    return found
