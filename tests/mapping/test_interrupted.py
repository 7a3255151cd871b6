"""Ctrl-C and `kill -9` in the middle of a job of 500, in real processes and in a notebook: the next run pays only for
what is missing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.kernels.live import LiveKernel
from tests.kernels.running import configured
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

SCRIPT = str(Path(__file__).with_name("ask_five_hundred.py"))
ROOT = Path(__file__).parents[2]
ANSWERED, UNDER_WAY = 200, 8

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals to other processes")


def start(upstream: Upstream) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, SCRIPT, upstream.url("openai")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def stop_in_the_middle(upstream: Upstream, number: signal.Signals) -> tuple[int, str, str]:
    """Two hundred are answered, and the next eight never will be: then comes the signal."""
    upstream.script(*[Answer()] * ANSWERED)
    upstream.default = Answer(hang=True)
    child = start(upstream)
    upstream.wait_for(ANSWERED + UNDER_WAY)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def run_to_the_end(upstream: Upstream) -> dict[str, object]:
    upstream.default = Answer()
    child = start(upstream)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, err
    result: dict[str, object] = json.loads(out)
    return result


def sent(upstream: Upstream) -> Counter[str]:
    return Counter(seen.body["messages"][-1]["content"] for seen in upstream.requests)


def check_that_each_row_was_paid_once(upstream: Upstream, result: dict[str, object]) -> None:
    assert result["right"] is True
    assert result["asked"] == {"earlier": ANSWERED, "now": 500 - ANSWERED}
    assert result["rows"] == 500
    assert result["paid_twice"] == []
    check_at_the_server(upstream)


def check_at_the_server(upstream: Upstream) -> None:
    """What was under way when the signal came was sent a second time, and nothing else."""
    assert len(upstream.requests) == 500 + UNDER_WAY
    assert sum(times == 2 for times in sent(upstream).values()) == UNDER_WAY
    answered = Counter(s.body["messages"][-1]["content"] for s in upstream.requests if not s.hung_up.is_set())
    assert len(answered) == 500
    assert set(answered.values()) == {1}


@POSIX
def test_after_an_interrupt_each_row_is_paid_once(upstream):
    code, out, err = stop_in_the_middle(upstream, signal.SIGINT)
    assert code == 130, err
    assert json.loads(out) == {"left": 500 - ANSWERED, "ok": ANSWERED, "interrupted": UNDER_WAY}
    check_that_each_row_was_paid_once(upstream, run_to_the_end(upstream))


@POSIX
def test_after_a_kernel_was_killed_each_row_is_paid_once(upstream):
    code, _, _ = stop_in_the_middle(upstream, signal.SIGKILL)
    assert code == -signal.SIGKILL
    check_that_each_row_was_paid_once(upstream, run_to_the_end(upstream))


JOBS = {
    "reg.map": "[str(a) for a in reg.map([f'prompt {i}' for i in range(500)])]",
    "df.sekha.map": "pd.DataFrame({'i': range(500)}).sekha.map('prompt {{ i }}')['answer'].tolist()",
}


@pytest.mark.kernel
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("job", JOBS)
def test_in_a_notebook_each_row_is_paid_once_also_after_a_restart(
    upstream: Upstream, tmp_path: Path, job: str, times: int
):
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192}
    one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key"}
    config = configured(tmp_path, {**one, "models": [model]})
    begin = "%load_ext sekha_magics\nimport pandas as pd, sekha_magics\nreg = sekha_magics.get_registry()"
    ask = f"({JOBS[job]}) == [f'prompt {{i}}' for i in range(500)]"
    upstream.script(*[Answer()] * ANSWERED)
    upstream.default = Answer(hang=True)
    with LiveKernel(tmp_path, SEKHA_CONFIG=config) as kernel:
        assert kernel.run(begin).ended == "ok"
        cell = kernel.start(ask)
        upstream.wait_for(ANSWERED + UNDER_WAY)
        for _ in range(times):
            kernel.interrupt()
        assert kernel.end_of(cell).ended == "KeyboardInterrupt"
        assert kernel.run("1 + 1").text == "2"
        assert all(seen.hung_up.wait(5) for seen in upstream.requests[ANSWERED:])
        assert len(upstream.requests) == ANSWERED + UNDER_WAY
        upstream.default = Answer()
        assert kernel.run(ask).text == "True"
        check_at_the_server(upstream)
        kernel.restart()
        assert kernel.run(begin).ended == "ok"
        assert kernel.run(ask).text == "True"
        check_at_the_server(upstream)
