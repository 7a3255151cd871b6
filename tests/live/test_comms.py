"""The comms of a real kernel: a front end sees what runs, while it runs, and can end it."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.kernels.live import LiveKernel
from tests.kernels.running import configured
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .front import Front

pytestmark = pytest.mark.kernel

LONG = "".join(f"w{i:03} " for i in range(900))
SLOW = Answer(text=LONG, piece=5, piece_delay=0.05)
THREADS = "import threading, time\ntime.sleep(2.5)\n[t.name for t in threading.enumerate() if t.name == 'sekha-live']"
HOSTILE = "<img src=x onerror=alert(1)>\x1b[31m"


@pytest.fixture
def kernel(upstream: Upstream, tmp_path: Path) -> Iterator[LiveKernel]:
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": {"input": 2, "output": 10}}
    one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key"}
    dead = {"id": "dead", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "loopback-key"}
    with LiveKernel(
        tmp_path,
        SEKHA_CONFIG=configured(
            tmp_path, {**one, "models": [model]}, {**dead, "models": [model], "priority": 100}, budget={"day": 5}
        ),
    ) as kernel:
        assert kernel.run("%load_ext sekha_magics").ended == "ok"
        yield kernel


@pytest.fixture
def front(kernel: LiveKernel) -> Iterator[Front]:
    front = Front(kernel.another_client())
    # What is opened while a cell runs waits for its end.
    front.until(lambda s: True)
    yield front
    front.close()


def test_a_kernel_that_has_asked_nothing_shows_nothing_and_reads_no_configuration(kernel: LiveKernel, front: Front):
    state = front.until(lambda s: True)
    assert state["session"]["calls"] == 0 and state["session"]["cost_usd"] == "0"
    assert state["providers"] == [] and state["running"] == []
    assert kernel.run("from sekha_magics.registry import current_registry; current_registry() is None").text == "True"


def test_a_call_is_seen_while_it_runs_and_counted_when_it_has_ended(
    kernel: LiveKernel, front: Front, upstream: Upstream
):
    upstream.default = Answer(text=LONG, piece=100, piece_delay=0.05)
    cell = kernel.start("%%sekha_chat\ncount")
    (running,) = front.until(lambda s: s["running"] and s["running"][0]["output_tokens"] > 50)["running"]
    assert (running["provider_id"], running["model_id"], running["attempt"]) == ("up", "m", 1)
    assert running["elapsed_ms"] > 0 and Decimal(running["cost_usd"]) > 0
    assert front.state["session"]["calls"] == 0
    assert front.state["decisions"][0]["outcome"] is None
    assert front.state["decisions"][0]["decision_id"] == running["decision_id"]
    assert kernel.end_of(cell).ended == "ok"
    state = front.until(lambda s: s["session"]["calls"] == 1 and not s["running"])
    assert state["decisions"][0]["outcome"] == "ok"
    assert state["spend"]["models"][0]["cost_usd"] == state["session"]["cost_usd"]
    assert [p["calls"] for p in state["spend"]["points"]] == [1]
    day = next(line for line in state["budgets"]["lines"] if line["scope"] == "day")
    assert (day["limit_usd"], day["spent_usd"], day["level"]) == ("5", state["session"]["cost_usd"], "ok")
    assert [(p["provider_id"], p["state"], p["calls"]) for p in state["providers"]] == [
        ("up", "closed", 1),
        ("dead", "closed", 0),
    ]


def test_a_cancel_ends_a_running_cell_as_ctrl_c_does(kernel: LiveKernel, front: Front, upstream: Upstream):
    upstream.default = SLOW
    cell = kernel.start("%%sekha_chat\ncount")
    (running,) = front.until(lambda s: s["running"] and s["running"][0]["output_tokens"] > 0)["running"]
    assert front.ask("cancel", request_id=running["request_id"])["ok"] is True
    done = kernel.end_of(cell)
    assert done.ended == "KeyboardInterrupt"
    assert upstream.requests[0].hung_up.wait(5)
    state = front.until(lambda s: not s["running"])
    assert state["decisions"][0]["outcome"] == "interrupted"
    assert Decimal(state["session"]["cost_usd"]) > 0
    refused = front.ask("cancel", request_id=running["request_id"])
    assert refused["ok"] is False and "not running" in refused["error"]
    upstream.default = Answer(text="after")
    assert "after" in kernel.run("%sekha_chat again").text


def test_a_cancel_of_one_of_many_prompts_ends_the_job_and_keeps_what_is_done(
    kernel: LiveKernel, front: Front, upstream: Upstream
):
    upstream.script(*[Answer(text="quick")] * 6)
    upstream.default = Answer(hang=True)
    cell = kernel.start(
        "import sekha_magics as s\njob = s.get_registry().map([f'p {i}' for i in range(40)])\nlist(job)"
    )
    upstream.wait_for(10)
    state = front.until(lambda s: s["session"]["calls"] == 6 and len(s["running"]) > 3)
    assert front.ask("cancel", request_id=state["running"][-1]["request_id"])["ok"] is True
    assert kernel.end_of(cell).ended == "KeyboardInterrupt"
    front.until(lambda s: not s["running"])
    assert int(kernel.run("40 - job.left_undone").text) >= 6


def test_all_that_runs_is_cancelled_at_once_also_where_an_async_caller_waits(
    kernel: LiveKernel, front: Front, upstream: Upstream
):
    upstream.default = SLOW
    cell = kernel.start(
        "import asyncio, sekha_magics as s\n"
        "reg = s.get_registry()\n"
        "[type(e).__name__ for e in await asyncio.gather(reg.achat('a'), reg.achat('b', stream=True),"
        " return_exceptions=True)]"
    )
    front.until(lambda s: len(s["running"]) == 2)
    assert front.ask("cancel", request_id=None)["ok"] is True
    assert kernel.end_of(cell).text == "['CancelledError', 'CancelledError']"
    front.until(lambda s: not s["running"])
    assert front.ask("cancel", request_id=None)["ok"] is True


def test_budgets_are_set_and_providers_reset_while_a_cell_runs(kernel: LiveKernel, front: Front, upstream: Upstream):
    assert kernel.run("%sekha_chat -m dead/m hello").ended == "AllProvidersFailed"
    state = front.until(lambda s: any(p["state"] == "open" for p in s["providers"]))
    (dead,) = [p for p in state["providers"] if p["provider_id"] == "dead"]
    assert dead["retry_in_ms"] > 0 and dead["last_error"] and dead["failures"] == 1
    upstream.default = SLOW
    cell = kernel.start("%%sekha_chat\ncount")
    front.until(lambda s: s["running"])
    assert front.ask("reset", provider_id="dead")["ok"] is True
    assert front.ask("budget", limits={"session": "0.000001", "day": None})["ok"] is True
    state = front.until(lambda s: s["budgets"]["lines"][0]["limit_usd"] == "0.000001")
    assert {p["state"] for p in state["providers"]} == {"closed"}
    assert front.state["running"], "the cell went on meanwhile"
    kernel.interrupt()
    assert kernel.end_of(cell).ended == "KeyboardInterrupt"
    assert front.until(lambda s: s["session"]["level"] == "full")
    assert kernel.run("%sekha_chat one more").ended == "BudgetExceeded"
    assert front.until(lambda s: s["decisions"][0]["outcome"] == "refused")["decisions"][0]["model_id"] == ""


def test_candidates_come_with_their_reasons_from_this_kernel_or_from_the_ledger(kernel: LiveKernel, front: Front):
    assert kernel.run("%sekha_chat -t vision hello").ended == "NoEligibleModel"
    decision = front.until(lambda s: s["decisions"])["decisions"][0]
    found = front.ask("candidates", decision_id=decision["decision_id"])["candidates"]
    assert len(found) == decision["candidates"] == 2
    assert found[0]["reasons"][0]["code"] == "wrong_task" and found[0]["reasons"][0]["detail"]
    assert kernel.run("s = __import__('sekha_magics'); s.set_registry(s.Registry.discover())").ended == "ok"
    front.until(lambda s: s["decisions"] == [])
    logged = front.ask("candidates", decision_id=decision["decision_id"])["candidates"]
    assert [(c["model_id"], [r["code"] for r in c["reasons"]]) for c in logged] == [
        (c["model_id"], [r["code"] for r in c["reasons"]]) for c in found
    ]
    nobody = front.ask("candidates", decision_id="nobody")
    assert nobody["ok"] is False and "nobody" in nobody["error"]


@pytest.mark.parametrize(
    "request_",
    [
        {"version": 1, "id": "x", "type": "format_disk"},
        {"version": 2, "id": "x", "type": "resend"},
        {"version": 1, "id": "x", "type": "budget", "limits": {"session": 1}},
        {"version": 1, "id": "x", "type": "budget", "limits": {}},
        {"version": 1, "id": "x", "type": "budget", "limits": {"week": "1"}},
        {"version": 1, "id": "x", "type": "budget", "limits": {"session": "1e400"}},
        {"version": 1, "id": "x", "type": "budget", "limits": {"session": "-1"}},
        {"version": 1, "id": "x", "type": "budget", "limits": {"session": "9" * 10_000}},
        {"version": 1, "id": "x", "type": "reset", "provider_id": HOSTILE},
        {"version": 1, "id": "x", "type": "reset"},
        {"version": 1, "id": "x", "type": "cancel", "request_id": ["a"]},
        {"version": 1, "id": "x", "type": "candidates", "decision_id": ""},
        {"version": 1, "id": "x", "type": "candidates", "decision_id": "' OR 1=1 --"},
        {"version": 1, "id": "x" * 101, "type": "resend"},
        {"version": 1, "id": 7, "type": "resend"},
        {},
        [],
        "resend",
        None,
        7,
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(kernel: LiveKernel, front: Front, request_: Any):
    assert kernel.run("import sekha_magics; reg = sekha_magics.get_registry()").ended == "ok"
    before = front.until(lambda s: s["budgets"]["lines"])
    refusal = front.say(request_)
    assert refusal["ok"] is False
    assert refusal["error"] and "\x1b" not in refusal["error"] and len(refusal["error"]) <= 2000
    assert before["budgets"] == front.state["budgets"]


def test_who_missed_a_message_gets_all_of_it_again(kernel: LiveKernel, front: Front, upstream: Upstream):
    upstream.default = Answer(text="here")
    kernel.run("%sekha_chat hello")
    front.until(lambda s: s["session"]["calls"] == 1)
    snapshot = front.ask("resend")["snapshot"]
    assert snapshot["state"]["session"] == front.state["session"]
    front.sequence = snapshot["sequence"]
    kernel.run("%sekha_chat hello again")
    front.until(lambda s: s["session"]["calls"] == 2)


def test_two_pages_see_the_same_and_one_that_is_gone_costs_nothing(kernel: LiveKernel, upstream: Upstream):
    upstream.default = Answer(text="here")
    pages = [Front(kernel.another_client()) for _ in range(10)]
    for page in pages[:-2]:
        page.disconnect()
    kernel.run("%sekha_chat hello")
    for page in pages[-2:]:
        page.until(lambda s: s["session"]["calls"] == 1)
    assert int(kernel.run("from sekha_magics import comms; len(comms._fronts._listeners)").text) <= 8
    pages[-1].close()
    pages[-2].until(lambda s: True)
    kernel.run("%sekha_chat hello")
    pages[-2].until(lambda s: s["session"]["calls"] == 2)
    pages[-2].close()


def test_nothing_is_sent_while_nothing_happens_and_no_thread_is_left_when_nobody_listens(kernel: LiveKernel):
    front = Front(kernel.another_client())
    front.until(lambda s: True)
    assert front.listen(2.5) == []
    front.close()
    assert kernel.run(THREADS).text == "[]"


def test_a_front_end_of_another_version_is_told_and_left_alone(kernel: LiveKernel):
    front = Front(kernel.another_client(), version=99)
    front.until_closed(front.state_comm)
    front.until_closed(front.control_comm)
    assert [m["supported"] for m in front.heard] == [[1], [1]]
    front.disconnect()


def test_unloading_ends_both_comms_and_loading_opens_them_again(kernel: LiveKernel, front: Front):
    front.until(lambda s: True)
    assert kernel.run("%unload_ext sekha_magics").ended == "ok"
    front.until_closed(front.state_comm)
    front.until_closed(front.control_comm)
    assert kernel.run("%load_ext sekha_magics").ended == "ok"
    again = Front(kernel.another_client())
    again.until(lambda s: True)
    again.close()


def test_no_message_holds_a_key_a_prompt_or_an_answer(kernel: LiveKernel, front: Front, upstream: Upstream):
    upstream.default = Answer(text="secret-answer")
    kernel.run("%sekha_chat secret-prompt")
    front.until(lambda s: s["session"]["calls"] == 1)
    front.ask("candidates", decision_id=front.state["decisions"][0]["decision_id"])
    heard = str(front.heard)
    assert "loopback-key" not in heard and "secret-answer" not in heard and "secret-prompt" not in heard
