"""Which types of provider there are, and how others come in."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sekha_magics.core.provider_types import BUILT_IN, ProviderType
from sekha_magics.core.wire import ChatCall, Endpoint, Finish, Probe
from sekha_magics.errors import ConfigError, InvalidInput
from sekha_magics.providers import GROUP, create, provider_types, register
from sekha_magics.providers.base import Provider
from tests.conformance.example_plugin import ShoutingProvider


def plugin(name: str = "mine") -> type[Provider]:
    class Mine(Provider):
        traits = ProviderType(name, local=True)

        async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
            yield Finish("stop")

        async def probe(self) -> Probe:
            return Probe(True)

    return Mine


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with entry points, as `pip install` would leave it."""
    info = tmp_path / "sekha_extra-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sekha-extra\nVersion: 1.0\n")
    lines = [
        f"[{GROUP}]",
        "shouting = tests.conformance.example_plugin:ShoutingProvider",
        "broken = sekha_extra_broken:Nothing",
        "misnamed = tests.conformance.example_plugin:ShoutingProvider",
        "nonsense = json:dumps",
        "untouched = sekha_extra_untouched:Nothing",
    ]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "sekha_extra_broken.py").write_text("raise RuntimeError('it will not do')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield


def test_the_built_in_types_are_known_and_each_can_be_built() -> None:
    types = provider_types()
    assert set(BUILT_IN) <= set(types)
    for name in BUILT_IN:
        assert types[name] is BUILT_IN[name]
        assert create(Endpoint("p", name)).traits.name == name


def test_building_one_imports_no_other() -> None:
    code = (
        "import sys; from sekha_magics.core.wire import Endpoint; from sekha_magics.providers import create;"
        "create(Endpoint('p', 'scripted')); "
        "heavy = ('httpx', 'numpy', 'sekha_magics.providers.local.provider'); "
        "print([m for m in sys.modules if 'litellm' in m or m in heavy])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_an_installed_plugin_is_a_type_like_any_other(installed: None) -> None:
    types = provider_types()
    assert "shouting" in types
    assert types["shouting"] is ShoutingProvider.traits
    assert isinstance(create(Endpoint("p", "shouting")), ShoutingProvider)


def test_names_alone_load_no_plugin(installed: None) -> None:
    types = provider_types()
    assert {"broken", "untouched", "shouting"} <= set(types)
    assert "untouched" in types
    assert len(types) >= len(BUILT_IN) + 5
    assert not {"sekha_extra_broken", "sekha_extra_untouched"} & set(sys.modules)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("broken", "sekha-extra.*RuntimeError: it will not do"),
        ("untouched", "sekha-extra.*No module named"),
        ("nonsense", "no subclass"),
        ("misnamed", "whose traits say 'shouting'"),
    ],
)
def test_a_broken_plugin_is_a_config_error_that_names_its_package(installed: None, name: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        provider_types()[name]
    with pytest.raises(ConfigError, match=says):
        create(Endpoint("p", name))


def test_a_registered_class_is_a_type_and_may_be_registered_again() -> None:
    first, second = plugin("mine_one"), plugin("mine_one")
    assert register(first) is first
    assert isinstance(create(Endpoint("p", "mine_one")), first)
    register(second)
    assert type(create(Endpoint("p", "mine_one"))) is second
    assert provider_types()["mine_one"] is second.traits
    assert "mine_one" in provider_types()


def test_a_built_in_type_is_not_replaced() -> None:
    with pytest.raises(InvalidInput, match="built in"):
        register(plugin("openai"))


class _NoTraits(Provider):
    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        yield Finish("stop")

    async def probe(self) -> Probe:
        return Probe(True)


class _Unfinished(Provider):
    traits = ProviderType("unfinished")

    async def probe(self) -> Probe:
        return Probe(True)


@pytest.mark.parametrize(
    ("cls", "says"),
    [(dict, "no subclass"), ("text", "no subclass"), (_NoTraits, "traits"), (_Unfinished, "define chat")],
)
def test_what_is_no_provider_is_not_registered(cls: type[Provider], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        register(cls)


def test_an_unknown_type_suggests_the_closest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'ollama'") as caught:
        create(Endpoint("p", "olama"))
    assert GROUP in caught.value.hint
    with pytest.raises(KeyError):
        provider_types()["olama"]
