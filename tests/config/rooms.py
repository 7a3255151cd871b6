"""What the tests of the configuration are given: a folder, an environment, a keyring in memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError, PasswordSetError

from sekha_magics.config.keys import KeyStore
from sekha_magics.config.load import Loaded, from_mapping, load

KEY = "sk-test-51b8a0c7d2e94f36"
OTHER_KEY = "sk-ant-9d03e7714bc25a68"

SMALL = """
llm_providers:
  - id: here
    type: ollama
    models:
      - {model_id: "llama3.1:8b", tasks: [chat_small]}
"""


class MemoryKeyring(KeyringBackend):
    """A keyring that keeps what it is given, until it is told to fail."""

    priority = 1  # type: ignore[assignment]

    def __init__(self, **kept: str) -> None:
        super().__init__()
        self.kept = {("sekha", name): value for name, value in kept.items()}
        self.locked = False
        self.asked = 0

    def get_password(self, service: str, username: str) -> str | None:
        self.asked += 1
        if self.locked:
            raise RuntimeError("locked")
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        if self.locked:
            raise PasswordSetError(f"cannot keep {password}")
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if self.locked:
            raise PasswordDeleteError("locked")
        del self.kept[service, username]


def keys_of(environ: Mapping[str, str] | None = None, **kept: str) -> KeyStore:
    return KeyStore(environ or {}, keyring=MemoryKeyring(**kept))


def loaded(mapping: Mapping[str, Any], environ: Mapping[str, str] | None = None, **kept: str) -> Loaded:
    return from_mapping(mapping, environ=environ or {}, keys=keys_of(environ, **kept))


def from_file(folder: Path, text: str, environ: Mapping[str, str] | None = None, name: str = "config.yaml") -> Loaded:
    """Load a file the user names."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return load(path, environ=environ or {}, cwd=folder, keys=keys_of(environ))


def one_provider(**changes: Any) -> dict[str, Any]:
    provider: dict[str, Any] = {
        "id": "here",
        "type": "ollama",
        "models": [{"model_id": "llama3.1:8b", "tasks": ["chat_small"]}],
    }
    return {"llm_providers": [{**provider, **changes}]}


def one_model(**changes: Any) -> dict[str, Any]:
    return one_provider(models=[{"model_id": "m", "tasks": ["chat_small"], **changes}])
