"""A notebook runs again without keys, configuration or network, and shows the same."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from sekha_magics.errors import CassetteMiss, NoEligibleModel
from sekha_magics.registry import Registry

from .stages import PRICE, provider, registry


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def record(tmp_path, *providers, **sections):
    path = tmp_path / "notebook.jsonl"
    reg = registry(*providers, **sections)
    reg.use_cassette(path, "record")
    return path, reg


def test_a_replayed_answer_equals_the_recorded_one_and_costs_nothing_again(tmp_path, monkeypatch, no_network):
    path, reg = record(tmp_path, provider("a", model=PRICE, replies=["first", "second"], ignores=["seed"]))
    with reg:
        lived = [reg.chat("q", seed=1), reg.chat("q", seed=1)]
        vectors = reg.embed(["x", "y"]).vectors
    monkeypatch.setenv("SEKHA_CASSETTE", str(path))
    monkeypatch.setenv("SEKHA_MODE", "replay")
    with Registry.discover() as again:
        replayed = [again.chat("q", seed=1, on_token=lambda _: None), again.chat("q", seed=1)]
        for then, now in zip(lived, replayed, strict=True):
            assert (now.text, now.model_id, now.provider_id, now.usage) == (
                then.text,
                then.model_id,
                then.provider_id,
                then.usage,
            )
            assert (now.notes, now.finish_reason, now.cost.usd) == (then.notes, then.finish_reason, then.cost.usd)
            assert now.decision.reason == then.decision.reason
            assert [c.name for c in now.decision.candidates] == [c.name for c in then.decision.candidates]
            assert (now.cost.source, now.cost.recorded_source) == ("replayed", then.cost.source)
            assert now.replayed
        assert np.array_equal(again.embed(["x", "y"]).vectors, vectors)
        assert again.tasks() == ["chat_small", "embedding"]
        assert again.models()["model_id"].tolist() == ["a-model"]
        assert set(again.ledger.decisions()["outcome"][-3:]) == {"replayed"}
        calls = again.ledger.calls()
        assert set(calls[calls["status"] == "replayed"]["cost_source"]) == {"replayed"}


def test_a_miss_names_what_differs(tmp_path):
    path, reg = record(tmp_path)
    with reg:
        reg.chat("What is the capital of France?")
    with Registry.replaying(path) as again:
        with pytest.raises(CassetteMiss, match="character"):
            again.chat("What is the capital of Spain?")
        with pytest.raises(CassetteMiss, match="temperature"):
            again.chat("What is the capital of France?", temperature=1)


def test_routing_is_replayed_too(tmp_path):
    path, reg = record(tmp_path, provider("a", priority=2), provider("b", priority=1))
    with reg:
        reg.chat("x")
        live = reg.route("other words")
    with Registry.replaying(path) as again:
        assert again.route("other words").reason == live.reason
        with pytest.raises(NoEligibleModel):
            again.route("x", model="nobody")


def test_auto_plays_what_there_is_and_records_the_rest(tmp_path, monkeypatch):
    path, reg = record(tmp_path)
    with reg:
        reg.chat("old")
    monkeypatch.setenv(
        "SEKHA__LLM_PROVIDERS", '[{"id": "s", "type": "scripted", "models": [{"model_id": "m", "task": "chat_small"}]}]'
    )
    monkeypatch.setenv("SEKHA_CASSETTE", str(path))
    with Registry.discover() as auto:
        assert auto.chat("old").replayed
        assert not auto.chat("new").replayed
    with Registry.replaying(path) as again:
        assert again.chat("new").text == "new"


def test_a_refusal_is_the_same_refusal_when_replayed(tmp_path):
    path, reg = record(tmp_path, provider("a"), provider("b", model={"context_window": 300}))
    with reg:
        reg.chat("x")
        with pytest.raises(NoEligibleModel) as lived:
            reg.chat("words " * 500, model="b-model")
    with Registry.replaying(path) as again:
        with pytest.raises(NoEligibleModel) as replayed:
            again.chat("words " * 500, model="b-model")
        assert str(replayed.value) == str(lived.value)
