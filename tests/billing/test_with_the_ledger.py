"""`sekha cost --ledger NOTEBOOK`: what left no output, added from the ledger and never counted twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import sekha_magics as sekha
from sekha_magics.display.reply import mimebundle

from ..registry.stages import provider
from .conftest import Said
from .paper import cell, write

Cost = Callable[..., Said]


@pytest.fixture
def registry() -> Iterator[sekha.Registry]:
    with sekha.Registry.from_dict({"llm_providers": [provider("stage", cost="0.01", replies=["Yes."])]}) as made:
        yield made


def shown(reply: Any) -> Any:
    """The metadata of its output."""
    return mimebundle(reply)[1]["sekha"]


def test_calls_without_output_are_added_and_none_is_counted_twice(
    folder: Path, cost: Cost, registry: sekha.Registry
) -> None:
    reply = registry.chat("Shown")
    registry.chat("From plain Python")
    registry.chat("And again")
    write(folder / "n.ipynb", cell("%%sekha_chat\nShown", shown(reply)))
    assert cost("n.ipynb").out.startswith("$0.01 in n.ipynb: 1 call,")
    out = cost("n.ipynb", "--ledger").out
    assert out.startswith("$0.03 in n.ipynb: 3 calls,") and "<chat, 2 calls>" in out
    assert "Rows in angle brackets are the ledger's" in out and "Calls from plain Python" not in out
    frame = sekha.bill("n.ipynb", ledger=registry.ledger)
    assert frame["origin"].tolist() == ["output", "ledger", "ledger"]
    assert frame["cost_usd"].tolist() == [Decimal("0.01")] * 3
    both = write(folder / "copy.ipynb", cell("%%sekha_chat\nShown", shown(reply)))
    assert json.loads(cost("n.ipynb", both, "--ledger", "--json").out)["total"]["cost_usd"] == "0.03"


def test_a_notebook_without_outputs_is_known_by_its_name(
    folder: Path, cost: Cost, registry: sekha.Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder / "n.ipynb", cell("reg.chat('x')"))
    write(folder / "other.ipynb", cell("reg.chat('x')"))
    for name in (str(folder / "n.ipynb"), "work/n.ipynb"):
        monkeypatch.setenv("SEKHA_NOTEBOOK", name)
        registry.chat("x")
    assert cost("n.ipynb", "--ledger").out.startswith("$0.02 in n.ipynb: 2 calls,")
    assert cost("other.ipynb", "--ledger").out.startswith("$0 in other.ipynb: 0 calls,")


def test_failed_calls_are_shown_as_such(folder: Path, cost: Cost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEKHA_NOTEBOOK", str(folder / "n.ipynb"))
    failing = {"llm_providers": [provider("stage", fail={"status": 400})]}
    with sekha.Registry.from_dict(failing) as registry, pytest.raises(sekha.SekhaError):
        registry.chat("x")
    write(folder / "n.ipynb")
    out = cost("n.ipynb", "--ledger").out
    assert "<chat, failed>" in out and out.startswith("$0 in n.ipynb: 1 call,")


def test_hostile_ids_of_a_notebook_are_only_looked_up(folder: Path, cost: Cost, registry: sekha.Registry) -> None:
    reply = registry.chat("x")
    for hostile in ("'; DROP TABLE decisions; --", '") OR true --', reply.decision.decision_id[:-1] + "%"):
        write(folder / "n.ipynb", cell("a", shown(reply) | {"decision_id": hostile}))
        assert cost("n.ipynb", "--ledger").out.startswith("$0.01 in n.ipynb: 1 call,")


def test_without_a_ledger_yet_there_is_nothing_to_add(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb")
    said = cost("n.ipynb", "--ledger")
    assert said.code == 0 and said.out.startswith("$0 in n.ipynb: 0 calls")


def test_what_a_cell_leaves_behind_says_what_was_billed_of_every_attempt(registry: sekha.Registry) -> None:
    facts = shown(registry.chat("x"))
    assert (facts["priced_usd"], facts["unpriced_calls"], facts["recorded_cost_source"]) == ("0.01", 0, "reported")
    mixed = {"llm_providers": [provider("down", priority=1, fail={"status": 500}),
                               provider("stage", priority=2, cost="0.01")], "routing": {"max_retries": 0}}  # fmt: skip
    with sekha.Registry.from_dict(mixed) as both:
        facts = shown(both.chat("x"))
    assert (facts["priced_usd"], facts["unpriced_calls"]) == ("0.01", 0)
