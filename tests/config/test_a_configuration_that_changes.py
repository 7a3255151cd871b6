from __future__ import annotations

import pytest

from sekha_magics.config.change import with_keys, with_models, with_provider
from sekha_magics.config.keys import KeyStore
from sekha_magics.core.provider_types import BUILT_IN
from sekha_magics.errors import ConfigError

from .rooms import KEY, MemoryKeyring, keys_of, loaded, one_provider

MODELS = [{"model_id": "m", "tasks": ["chat_small"]}]


def test_the_models_a_provider_lists_get_the_tasks_their_names_suggest() -> None:
    before = loaded(one_provider(models=[]))
    after = with_models(before, "here", ["llama3.1:8b", "nomic-embed-text", "unknown-embedder", "llama-guard3:8b"])
    assert {m.model_id: (m.tasks, m.dimension) for m in after.config.llm_providers[0].models} == {
        "llama3.1:8b": (("chat_small", "chat_smart"), None),
        "nomic-embed-text": (("embedding",), 768),
    }
    assert before.config.llm_providers[0].models == ()


def test_a_provider_added_later_brings_its_key() -> None:
    before = loaded(one_provider())
    described = {"id": "more", "type": "openai", "api_key": "${TEAM_KEY}", "models": MODELS}
    after = with_provider(before, described, provider_types=BUILT_IN, keys=keys_of({"TEAM_KEY": KEY}))
    assert [p.id for p in after.config.llm_providers] == ["here", "more"]
    assert after.keys["more"].reveal() == KEY
    assert KEY not in repr(after)
    with pytest.raises(ConfigError, match="`more` is configured already"):
        with_provider(after, described, provider_types=BUILT_IN, keys=keys_of())


def test_a_key_set_later_is_found_when_keys_are_looked_up_again() -> None:
    before = loaded(one_provider(type="openai", api_key="${TEAM_KEY}"))
    assert "here" in before.missing_keys
    store = KeyStore({}, keyring=MemoryKeyring())
    store.set("TEAM_KEY", KEY, remember=False)
    after = with_keys(before, provider_types=BUILT_IN, keys=store)
    assert after.keys["here"].reveal() == KEY
    assert after.missing_keys == {}
