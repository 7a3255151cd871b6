"""Ctrl-C while an answer streams into a cell of a real kernel: seconds until the kernel has control back.

From the moment the signal is sent until the cell's reply has arrived; by then the connection is closed, the call is in
the ledger and its reservation is settled. No peer: nothing else here answers to Ctrl-C in a kernel.

    python benchmarks/interrupt.py [times]
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kernels.live import LiveKernel
from tests.kernels.running import configured
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

GOAL = 1.0
SLOW = Answer(text="word " * 2000, piece=5, piece_delay=0.02)


def seconds_until_control_is_back(kernel: LiveKernel) -> float:
    cell = kernel.start("%%sekha_chat\ncount")
    kernel.until(cell, lambda said: "word word" in said.get("data", {}).get("text/plain", ""))
    sent = time.perf_counter()
    kernel.interrupt()
    ended = kernel.end_of(cell).ended
    seconds = time.perf_counter() - sent
    assert ended == "KeyboardInterrupt", ended
    return seconds


def main(times: int) -> None:
    with tempfile.TemporaryDirectory() as home, Upstream() as upstream:
        os.environ["SEKHA_HOME"] = home
        upstream.default = SLOW
        model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": {"input": 2, "output": 10}}
        one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key"}
        config = configured(Path(home), {**one, "models": [model]}, budget={"day": 100})
        with LiveKernel(Path(home), SEKHA_CONFIG=config) as kernel:
            kernel.run("%load_ext sekha_magics")
            taken = [seconds_until_control_is_back(kernel) for _ in range(times)]
        assert all(seen.hung_up.wait(5) for seen in upstream.requests)
    print(
        f"Ctrl-C in a stream, {times} times: control is back after p50 {median(taken) * 1000:.0f} ms, "
        f"max {max(taken) * 1000:.0f} ms   (goal {GOAL * 1000:.0f} ms)"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
