"""Forks, interrupts and two kernels: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PREAMBLE = """
from tests.registry.stages import PRICE, provider, registry
"""


def run(body: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    script = PREAMBLE + textwrap.dedent(body)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=timeout, check=False, cwd=Path.cwd()
    )


@POSIX
def test_a_forked_child_asks_with_a_loop_of_its_own_and_logs_to_the_same_ledger():
    done = run(
        """
        import os
        reg = registry()
        reg.chat("parent")
        children = []
        for i in range(3):
            pid = os.fork()
            if pid == 0:
                ok = reg.chat(f"child {i}").text == f"child {i}"
                os._exit(0 if ok else 1)
            children.append(pid)
        assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0, 0]
        reg.chat("parent again")
        texts = sorted(reg.ledger.calls(content=True)["response"])
        assert texts == ["child 0", "child 1", "child 2", "parent", "parent again"], texts
        reg.close()
        """
    )
    assert done.returncode == 0, done.stderr


def test_workers_of_a_process_pool_answer():
    done = run(
        """
        from concurrent.futures import ProcessPoolExecutor
        def ask(text):
            with registry() as reg:
                return reg.chat(text).text
        if __name__ == "__main__":
            with registry() as reg:
                reg.chat("warm")
                with ProcessPoolExecutor(2) as pool:
                    assert list(pool.map(ask, ["a", "b", "c"])) == ["a", "b", "c"]
        """
    )
    assert done.returncode == 0, done.stderr


@POSIX
def test_an_interrupt_cancels_settles_and_comes_up():
    script = PREAMBLE + textwrap.dedent(
        """
        import sys
        reg = registry(provider("a", model=PRICE, replies=["word " * 2000], delay=0.02))
        print("ready", flush=True)
        try:
            reg.chat("x", on_token=lambda piece: None)
        except KeyboardInterrupt:
            (call,) = reg.ledger.calls(content=True).to_dict("records")
            assert call["status"] == "interrupted", call
            assert call["response"].startswith("word word"), call
            assert call["cost_usd"] > 0
            print("interrupted", flush=True)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert out == "interrupted\n", err


def test_a_process_that_never_closes_its_registry_ends_and_loses_nothing():
    done = run('reg = registry(); reg.chat("kept")')
    assert done.returncode == 0, done.stderr
    seen = run('reg = registry(); assert reg.ledger.calls(content=True)["response"].tolist() == ["kept"]')
    assert seen.returncode == 0, seen.stderr
