from __future__ import annotations

import os
import pickle
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest
from keyring.backends.fail import Keyring as NoKeyring
from keyring.backends.null import Keyring as ForgetfulKeyring

from sekha_magics.config.keys import KeyStore, resolve_keys
from sekha_magics.config.load import from_mapping
from sekha_magics.core.provider_types import BUILT_IN
from sekha_magics.errors import ConfigError, InvalidInput

from .rooms import KEY, OTHER_KEY, MemoryKeyring, loaded, one_provider


def revealed(store: KeyStore, name: str) -> str | None:
    found = store.get(name)
    return found.reveal() if found else None


def test_session_then_environment_then_keyring() -> None:
    environ = {"A_KEY": "from-environment"}
    store = KeyStore(environ, keyring=MemoryKeyring(A_KEY="from-keyring"))
    store.set("A_KEY", "from-session", remember=False)
    assert (revealed(store, "A_KEY"), store.where("A_KEY")) == ("from-session", "session")
    store = KeyStore(environ, keyring=MemoryKeyring(A_KEY="from-keyring"))
    assert (revealed(store, "A_KEY"), store.where("A_KEY")) == ("from-environment", "environment")
    environ["A_KEY"] = "  "
    assert (revealed(store, "A_KEY"), store.where("A_KEY")) == ("from-keyring", "keyring")
    assert (revealed(store, "B_KEY"), store.where("B_KEY")) == (None, "missing")


def test_white_space_around_a_key_is_not_part_of_it() -> None:
    store = KeyStore({"A_KEY": f" {KEY}\n"}, keyring=MemoryKeyring(B_KEY=f"{KEY}\r\n"))
    assert revealed(store, "A_KEY") == revealed(store, "B_KEY") == KEY
    store.set("C_KEY", f"\t{KEY} ", remember=False)
    assert revealed(store, "C_KEY") == KEY


def test_setting_a_key_touches_neither_the_environment_nor_unasked_the_keyring() -> None:
    before = dict(os.environ)
    keyring = MemoryKeyring()
    store = KeyStore(os.environ, keyring=keyring)
    store.set("A_KEY", KEY, remember=False)
    assert dict(os.environ) == before
    assert keyring.kept == {}
    store.set("A_KEY", KEY, remember=True)
    assert keyring.kept == {("sekha", "A_KEY"): KEY}
    assert dict(os.environ) == before
    assert revealed(KeyStore({}, keyring=keyring), "A_KEY") == KEY


def test_a_forgotten_key_is_gone_from_session_and_keyring() -> None:
    keyring = MemoryKeyring(A_KEY=KEY)
    store = KeyStore({"B_KEY": KEY}, keyring=keyring)
    store.set("A_KEY", OTHER_KEY, remember=False)
    store.forget("A_KEY")
    assert store.get("A_KEY") is None
    assert keyring.kept == {}
    store.forget("B_KEY")
    assert store.where("B_KEY") == "environment"
    store.forget("NEVER_SET")


def test_a_remembered_key_is_seen_at_once() -> None:
    store = KeyStore({}, keyring=MemoryKeyring())
    assert store.get("A_KEY") is None
    store.set("A_KEY", KEY, remember=True)
    store.forget("A_KEY")
    assert store.get("A_KEY") is None


def test_the_keyring_is_asked_once_for_each_name_until_told_otherwise() -> None:
    keyring = MemoryKeyring()
    store = KeyStore({}, keyring=keyring)
    for _ in range(3):
        assert store.get("A_KEY") is None
    assert keyring.asked == 1
    keyring.kept["sekha", "A_KEY"] = KEY
    store.refresh()
    assert revealed(store, "A_KEY") == KEY


@pytest.mark.parametrize("keyring", [NoKeyring(), ForgetfulKeyring()], ids=["none", "forgetful"])
def test_without_a_keyring_reading_finds_nothing_and_remembering_says_so(keyring: object) -> None:
    store = KeyStore({}, keyring=keyring)
    assert store.get("A_KEY") is None
    with pytest.raises(ConfigError, match="in this session only") as caught:
        store.set("A_KEY", KEY, remember=True)
    assert "Set A_KEY in the environment" in caught.value.hint
    assert revealed(store, "A_KEY") == KEY
    store.forget("A_KEY")
    assert store.get("A_KEY") is None


def test_a_locked_keyring_is_an_error_when_it_must_change_and_shows_no_key() -> None:
    keyring = MemoryKeyring(A_KEY=KEY)
    store = KeyStore({}, keyring=keyring)
    assert revealed(store, "A_KEY") == KEY
    keyring.locked = True
    assert store.get("OTHER") is None
    with pytest.raises(ConfigError) as caught:
        store.set("B_KEY", OTHER_KEY, remember=True)
    assert OTHER_KEY not in "".join(traceback.format_exception(caught.value))


def test_a_keyring_that_does_not_let_go_is_an_error() -> None:
    class Clinging(MemoryKeyring):
        def delete_password(self, service: str, username: str) -> None:
            raise RuntimeError(f"will not drop {self.kept}")

    store = KeyStore({}, keyring=Clinging(A_KEY=KEY))
    with pytest.raises(ConfigError, match="keeps A_KEY") as caught:
        store.forget("A_KEY")
    assert KEY not in str(caught.value)


def test_this_machines_own_keyring_is_used_when_none_is_given() -> None:
    store = KeyStore({})
    assert store.get("A_KEY") is None


@pytest.mark.parametrize(
    "value", ["", "   ", "two words", "line\nbreak", "schlüssel-ü", "x" * 9000, "a\x00b", 7, None, b"bytes"]
)
def test_what_cannot_be_a_key_is_refused_without_being_shown(value: object) -> None:
    store = KeyStore({}, keyring=MemoryKeyring())
    with pytest.raises(InvalidInput) as caught:
        store.set("A_KEY", value, remember=False)  # type: ignore[arg-type]
    assert not isinstance(value, str) or len(value) < 5 or value not in str(caught.value)
    assert store.get("A_KEY") is None


@pytest.mark.parametrize("name", ["", "A KEY", "A-KEY", "1A", KEY, None, "A\n"])
def test_what_cannot_be_a_name_is_refused_without_being_shown(name: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        KeyStore({}, keyring=MemoryKeyring()).set(name, KEY, remember=False)  # type: ignore[arg-type]
    assert KEY not in str(caught.value)


def test_a_description_says_where_every_key_stands_and_shows_none() -> None:
    store = KeyStore({"OPENAI_API_KEY": KEY}, keyring=MemoryKeyring(ANTHROPIC_API_KEY=OTHER_KEY))
    store.set("MINE", KEY, remember=False)
    described = store.describe(["LAB_KEY"])
    assert {place.name: place.place for place in described} == {
        "OPENAI_API_KEY": "environment",
        "ANTHROPIC_API_KEY": "keyring",
        "OPENROUTER_API_KEY": "missing",
        "MINE": "session",
        "LAB_KEY": "missing",
    }
    for text in (repr(described), repr(store), str(store), repr(store.get("MINE"))):
        assert KEY not in text
        assert OTHER_KEY not in text
    assert {p.source for p in described} == {"the environment", "the keyring", "typed in this session", "nowhere"}


def test_a_key_store_is_not_pickled_with_its_keys() -> None:
    store = KeyStore({}, keyring=MemoryKeyring())
    store.set("A_KEY", KEY, remember=False)
    with pytest.raises(TypeError):
        pickle.dumps(store)


def test_many_threads_at_once() -> None:
    store = KeyStore({}, keyring=MemoryKeyring(KEPT=KEY))

    def work(n: int) -> bool:
        store.set(f"NAME_{n % 5}", f"key-{n % 5}", remember=n % 2 == 0)
        store.describe()
        return revealed(store, f"NAME_{n % 5}") == f"key-{n % 5}" and revealed(store, "KEPT") == KEY

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


# --- the keys of a configuration ------------------------------------------------------------------------


def test_an_unset_key_is_no_error_and_its_variable_is_named() -> None:
    result = loaded(one_provider(type="openai", api_key="${TEAM_KEY}"))
    assert result.keys == {}
    assert result.missing_keys == {"here": "TEAM_KEY is not set"}


def test_two_providers_of_one_type_have_their_own_keys() -> None:
    models = [{"model_id": "m", "tasks": ["chat_small"]}]
    mapping = {
        "llm_providers": [
            {"id": "team", "type": "openai", "api_key": "${TEAM_KEY}", "models": models},
            {"id": "mine", "type": "openai", "api_key": "${MY_KEY}", "models": models},
            {"id": "none", "type": "openai", "models": models},
        ]
    }
    result = loaded(mapping, {"TEAM_KEY": KEY, "OPENAI_API_KEY": "never"}, MY_KEY=OTHER_KEY)
    assert {i: k.reveal() for i, k in result.keys.items()} == {"team": KEY, "mine": OTHER_KEY}
    assert result.key_sources == {"team": "TEAM_KEY: the environment", "mine": "MY_KEY: the keyring"}
    assert list(result.missing_keys) == ["none"]


@pytest.mark.parametrize(
    ("kind", "text", "key", "missing", "source"),
    [
        ("openai", KEY, KEY, None, "written out in the configuration"),
        ("openai", "  ", None, "names none", None),
        ("openai", "${NOPE:-fallback}", "fallback", None, "the default for NOPE in the configuration"),
        ("openai", "${NOPE:-}", None, "NOPE is empty", None),
        ("openai", "${EMPTY}", None, "EMPTY is not set", None),
        ("openai", "$${HOME", "${HOME", None, "written out in the configuration"),
        ("openai", "Bearer-${A_KEY}", f"Bearer-{KEY}", None, "A_KEY: the environment"),
        ("openai", "${NOPE}${ALSO_NOT}", None, "NOPE and ALSO_NOT are not set", None),
        ("ollama", "${NOPE}", None, "NOPE is not set", None),
        ("ollama", "${NOPE:-}", None, None, None),
        ("ollama", "", None, None, None),
    ],
)
def test_what_an_api_key_may_be(kind: str, text: str, key: str | None, missing: str | None, source: str | None) -> None:
    result = loaded(one_provider(type=kind, api_key=text), {"A_KEY": KEY, "EMPTY": " "})
    found = result.keys.get("here")
    assert (found.reveal() if found else None) == key
    assert (missing is None) == ("here" not in result.missing_keys)
    assert (missing or "") in result.missing_keys.get("here", "")
    assert result.key_sources.get("here") == source


def test_keys_set_later_are_found_by_asking_again() -> None:
    store = KeyStore({}, keyring=MemoryKeyring())
    result = from_mapping(one_provider(type="openai", api_key="${TEAM_KEY}"), environ={}, keys=store)
    assert "here" in result.missing_keys
    store.set("TEAM_KEY", KEY, remember=False)
    again = resolve_keys(result.config, BUILT_IN, store)
    assert again.keys["here"].reveal() == KEY
    assert again.sources["here"] == "TEAM_KEY: typed in this session"
    assert again.missing == {}
