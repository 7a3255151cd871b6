"""Every provider is asked whether it is there, and none of them can hide how the others are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.wire import ChatCall, Finish, Probe
from sekha_magics.providers.base import Provider
from sekha_magics.registry import Registry
from tests.upstream.server import Upstream

from .stages import provider, registry


class Odd(Provider):
    """Its probe hangs or breaks its promise."""

    traits = ProviderType("odd", local=True, free=True)

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        yield call.messages[-1].text
        yield Finish("stop")

    async def probe(self) -> Probe:
        if self.endpoint.options["does"] == "raise":
            raise RuntimeError("promised not to")
        await asyncio.sleep(600)
        return Probe(True)


@pytest.fixture
def reg() -> Iterator[Registry]:
    with registry(provider("well")) as reg:
        for does in ("raise", "hang"):
            section = {"id": does, "type": "odd", "timeout": 1, "options": {"does": does},
                       "models": [{"model_id": "m", "task": "chat_small"}]}  # fmt: skip
            reg.register_provider(section, Odd)
        yield reg


def test_one_that_hangs_and_one_that_breaks_are_told_beside_one_that_is_well(reg: Registry) -> None:
    health = reg.health(probe=True).set_index("provider_id")
    assert health["state"].to_dict() == {"well": "closed", "raise": "unreachable", "hang": "unreachable"}
    assert health.loc["raise", "last_error"] == "RuntimeError: promised not to"
    assert health.loc["hang", "last_error"] == "did not say within 1 s whether it is there"


def test_a_probe_changes_nothing_and_spends_nothing(reg: Registry) -> None:
    before = len(reg.ledger.calls())
    reg.health(probe=True)
    assert set(reg.health()["state"]) == {"closed"}
    assert len(reg.ledger.calls()) == before


def test_nobody_to_ask_is_no_error() -> None:
    with Registry.from_dict({"llm_providers": []}) as reg:
        assert reg.health(probe=True).empty


def test_a_simulated_provider_says_so_without_being_asked(upstream: Upstream) -> None:
    one = {"id": "one", "type": "openai", "base_url": upstream.url("openai"), "api_key": "sk-loopback-0123456789",
           "models": [{"model_id": "m", "task": "chat_small"}]}  # fmt: skip
    with Registry.from_dict({"llm_providers": [one]}) as reg:
        reg.simulate("one", down=True)
        (row,) = reg.health(probe=True).to_dict("records")
        assert row["state"] == "unreachable" and "simulated: down" in row["last_error"]
        assert not upstream.requests
        reg.simulate("one", cut=3)
        reg.health(probe=True)
        assert len(upstream.requests) == 1
