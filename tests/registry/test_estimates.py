"""What a request will cost is known better with every call, also in the next kernel; what it did cost is exact."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from sekha_magics.core.types import Candidate
from sekha_magics.errors import BudgetExceeded
from sekha_magics.registry import Registry
from tests.upstream.answers import Answer, Tokens
from tests.upstream.server import Upstream

from .stages import PRICE, provider, registry

PROMPT = "Tell me about the village by the river, and of the people who live in it. " * 4


def candidate(reg: Registry, prompt: str = PROMPT) -> Candidate:
    return reg.route(prompt).candidates[0]


def until_taught(reg: Registry, before: Candidate) -> Candidate:
    """What earlier sessions teach is read in the background."""
    end = time.monotonic() + 30
    while (now := candidate(reg)).input_tokens == before.input_tokens and time.monotonic() < end:
        time.sleep(0.05)
    return now


@pytest.fixture
def reports_more(tmp_path: Path):
    """A maker of registries whose one provider reports 1.4 times the tokens that were estimated, and what those are."""
    ledger = {"path": str(tmp_path / "ledger.duckdb")}
    with registry(provider("a", model=PRICE), ledger=ledger) as plain:
        estimated = candidate(plain).input_tokens.expected
    true = round(1.4 * estimated)

    def make(**sections: object) -> Registry:
        return registry(provider("a", model=PRICE, usage={"input": true, "output": 77}), ledger=ledger, **sections)

    return make, estimated, true


def test_the_next_estimate_is_corrected_by_what_calls_reported_also_in_the_next_kernel(reports_more):
    make, estimated, true = reports_more
    with make() as reg:
        before = candidate(reg)
        assert before.input_tokens.expected == estimated
        for _ in range(5):
            reg.chat(PROMPT)
        now = candidate(reg)
        assert now.input_tokens.expected == true
        assert now.input_tokens.low <= true <= now.input_tokens.high
        assert now.expected_output_tokens == 77
        assert reg.route(PROMPT).estimated_cost == (true * Decimal(2) + 77 * Decimal(10)) / 1_000_000
        logged = reg.ledger.decisions().iloc[-1]
        assert (logged["est_input_tokens"], logged["est_output_tokens"]) == (true, 77)
    with make() as reg:
        taught = until_taught(reg, before)
        assert taught.input_tokens.expected == true
        assert taught.input_tokens.low <= true <= taught.input_tokens.high
        assert taught.expected_output_tokens == 77


def test_a_decision_that_was_corrected_can_be_taken_again_from_the_ledger(reports_more):
    make, *_ = reports_more
    with make() as reg:
        for _ in range(5):
            reg.chat(PROMPT)
        decision = reg.route(PROMPT)
        logged = reg.ledger.decision(decision.decision_id)
        assert logged.request == decision.request
        again = reg.ledger.snapshot(logged.decision["snapshot_id"])
        assert again.corrections == decision.snapshot.corrections
        assert again.lengths == decision.snapshot.lengths


@pytest.mark.filterwarnings("ignore:.*is spent")
def test_a_budget_reserves_what_a_corrected_prompt_may_come_to(reports_more):
    make, _, true = reports_more
    price = (true * Decimal(2) + 77 * Decimal(10)) / 1_000_000
    with make(budget={"session": str(price * 6)}) as reg:
        with pytest.raises(BudgetExceeded):
            for _ in range(20):
                reg.chat(PROMPT, max_tokens=77)
        spent = reg.budget.status().set_index("scope").loc["session", "spent"]
        assert spent <= price * 6


def test_a_prompt_is_counted_by_the_table_of_each_models_family():
    models = [
        {"model_id": name, "tasks": ["chat_small", "embedding"], "dimension": 64}
        for name in ("gpt-4o", "gpt-4", "other")
    ]
    with registry({"id": "a", "type": "scripted", "models": models}) as reg:
        request = reg.route("你好，世界" * 100).request
        assert {name for name, _ in request.counted} == {"gpt-4o", "gpt-4"}
        by_model = {c.model_id: c.input_tokens for c in reg.route("你好，世界" * 100).candidates}
        assert by_model["gpt-4o"].expected < by_model["gpt-4"].expected
        assert by_model["other"] == request.input_tokens
        assert reg.embed(["a text"], model="gpt-4").decision.request.tokens("gpt-4").expected == 2


def test_tools_and_schemas_are_part_of_what_is_sent_and_counted():
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks at things. " * 50}}]
    with registry() as reg:
        plain = reg.route("x").request.input_tokens
        model = provider("f", model={"supports_function_calling": True})
        with registry(model) as other:
            assert other.route("x", params={"tools": tools}).request.input_tokens.low > plain.high + 50
        schema = {"type": "object", "properties": {f"field_{i}": {"type": "string"} for i in range(50)}}
        assert reg.route("x", schema=schema).request.input_tokens.low > plain.high + 50


# --- the model that answered ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("served", "usd", "source"),
    [
        ("gpt-4o-mini", "0.00021", "computed"),
        ("gpt-4o-mini-2024-07-18", "0.00021", "computed"),
        # Dearer: 2.50 and 10 instead of 0.15 and 0.60.
        ("gpt-4o", "0.0035", "computed"),
        ("nobody-knows-this-one", "0.00021", "estimated"),
    ],
)
def test_a_call_is_priced_by_the_model_that_answered_and_both_names_are_stored(
    upstream: Upstream, tmp_path: Path, served: str, usd: str, source: str
):
    upstream.script(Answer(model=served, usage=Tokens(1000, 100)))
    shop = {"id": "shop", "type": "litellm", "base_url": upstream.url("openai"), "api_key": "sk-test-0123456789",
            "models": [{"model_id": "openai/gpt-4o-mini", "tasks": ["chat_small"]}]}  # fmt: skip
    with Registry.from_dict({"llm_providers": [shop], "ledger": {"path": str(tmp_path / "l.duckdb")}}) as reg:
        reply = reg.chat("hello")
        assert (reply.cost.usd, reply.cost.source) == (Decimal(usd), source)
        row = reg.ledger.calls().iloc[-1]
        assert (row["model_id"], row["served_model"]) == ("openai/gpt-4o-mini", served)
        assert (row["cost_usd"], row["cost_source"]) == (Decimal(usd), source)


def test_sound_that_a_provider_reports_is_priced_apart(upstream: Upstream):
    usage = {"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"audio_tokens": 400}}
    body = {"id": "x", "object": "chat.completion", "model": "m", "usage": usage,
            "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}]}  # fmt: skip
    upstream.script(Answer(body=json.dumps(body).encode()))
    shop = {"id": "shop", "type": "openai", "base_url": upstream.url("openai"), "api_key": "sk-test-0123456789",
            "models": [{"model_id": "m", "tasks": ["chat_small"], "price": {"input": 1, "output": 1}}]}  # fmt: skip
    with Registry.from_dict({"llm_providers": [shop]}) as reg:
        reply = reg.chat("hello")
        assert (reply.usage.input_tokens, reply.usage.input_audio_tokens) == (1000, 400)
