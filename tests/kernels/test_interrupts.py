"""Ctrl-C in a real kernel: control is back, what was written stays, and what it cost is counted once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from sekha_magics import Registry
from tests.faults.faults import limited
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .live import Done, LiveKernel
from .running import configured

pytestmark = pytest.mark.kernel

LONG = "".join(f"w{i:03} " for i in range(900))
SLOW = Answer(text=LONG, piece=5, piece_delay=0.05)
CHAT = "%%sekha_chat\ncount"
IN_PYTHON = "pieces = []\nreg.chat('count', on_token=lambda piece: (pieces.append(piece), print(piece, flush=True)))"


@pytest.fixture
def config(upstream: Upstream, tmp_path: Path) -> str:
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": {"input": 2, "output": 10}}
    one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key"}
    return configured(tmp_path, {**one, "models": [model]}, budget={"day": 5})


@pytest.fixture
def kernel(config: str, tmp_path: Path) -> Iterator[LiveKernel]:
    with LiveKernel(tmp_path, SEKHA_CONFIG=config) as kernel:
        assert (
            kernel.run("import sekha_magics\n%load_ext sekha_magics\nreg = sekha_magics.get_registry()").ended == "ok"
        )
        yield kernel


@pytest.fixture
def beside(config: str) -> Iterator[Registry]:
    """Another process's view of the same ledger and the same budgets."""
    with Registry.from_yaml(config) as registry:
        yield registry


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def check_that_it_is_settled_once(beside: Registry, upstream: Upstream, calls: list[str]) -> None:
    """Of the one request; a second Ctrl-C gives control back before the request has settled."""
    until(lambda: beside.ledger.decisions()["outcome"].tolist() == ["interrupted"])
    until(lambda: beside.budget.status().set_index("scope").loc["day", "reserved"] == 0)
    assert beside.ledger.decisions()["outcome"].tolist() == ["interrupted"]
    logged = beside.ledger.calls()
    assert logged["status"].tolist() == calls
    assert beside.budget.status().set_index("scope").loc["day", "spent"] == sum(logged["cost_usd"], Decimal(0))
    assert len(upstream.requests) == len(calls)


def check_that_it_goes_on(kernel: LiveKernel, upstream: Upstream) -> None:
    upstream.default = Answer(text="after")
    assert "after" in kernel.run("%sekha_chat again").text


def shown(done: Done) -> str:
    *_, text = (m["data"]["text/plain"] for m in done.published if "data" in m)
    return str(text)


@pytest.mark.parametrize("times", [1, 2])
def test_what_was_written_stays_in_the_cell_and_in_the_ledger(
    kernel: LiveKernel, upstream: Upstream, beside: Registry, times: int
):
    upstream.default = SLOW
    cell = kernel.start(CHAT)
    kernel.until(cell, lambda m: "w005" in m.get("data", {}).get("text/plain", ""))
    for _ in range(times):
        kernel.interrupt()
    done = kernel.end_of(cell)
    assert done.ended == "KeyboardInterrupt"
    assert upstream.requests[0].hung_up.wait(5), "the stream was read to its end"
    check_that_it_is_settled_once(beside, upstream, ["interrupted"])
    call = beside.ledger.calls(content=True).iloc[0]
    assert (call["cost_source"], call["cost_usd"] > 0) == ("estimated", True)
    assert LONG.startswith(call["response"])
    if times == 1:
        said, _, why = shown(done).rpartition("\n\n")
        assert why == "interrupted"
        assert "w005" in said and call["response"].startswith(said)
    check_that_it_goes_on(kernel, upstream)


def test_an_answer_that_streams_through_a_function_of_the_user(
    kernel: LiveKernel, upstream: Upstream, beside: Registry
):
    upstream.default = SLOW
    cell = kernel.start(IN_PYTHON)
    kernel.until(cell, lambda m: "w005" in m.get("text", ""))
    kernel.interrupt()
    assert kernel.end_of(cell).ended == "KeyboardInterrupt"
    assert upstream.requests[0].hung_up.wait(5)
    check_that_it_is_settled_once(beside, upstream, ["interrupted"])
    response = beside.ledger.calls(content=True)["response"].iloc[0]
    assert kernel.run(f"{response!r}.startswith(''.join(pieces)) and len(pieces) > 5").text == "True"
    check_that_it_goes_on(kernel, upstream)


@pytest.mark.parametrize("cell", [CHAT, IN_PYTHON], ids=["magic", "python"])
def test_while_a_first_token_is_waited_for(kernel: LiveKernel, upstream: Upstream, beside: Registry, cell: str):
    upstream.default = Answer(hang=True)
    cell = kernel.start(cell)
    upstream.wait_for(1)
    kernel.interrupt()
    assert kernel.end_of(cell).ended == "KeyboardInterrupt"
    assert upstream.requests[0].hung_up.wait(5)
    check_that_it_is_settled_once(beside, upstream, ["interrupted"])
    check_that_it_goes_on(kernel, upstream)


def test_while_a_provider_that_asked_for_a_pause_is_waited_for(
    kernel: LiveKernel, upstream: Upstream, beside: Registry
):
    upstream.default = limited("25")
    cell = kernel.start(CHAT)
    until(lambda: beside.ledger.calls()["status"].tolist() == ["error"])
    kernel.interrupt()
    assert kernel.end_of(cell).ended == "KeyboardInterrupt"
    check_that_it_is_settled_once(beside, upstream, ["error"])
    assert kernel.run("%sekha health --reset").ended == "ok"
    check_that_it_goes_on(kernel, upstream)
