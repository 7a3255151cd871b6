"""A person in a notebook sees how far a model is with their summaries, and stops it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .live import LiveKernel
from .running import configured

BEGIN = """
%load_ext sekha_magics
import sekha_magics
reg = sekha_magics.get_registry()
for day in range(1, 6):
    reg.memory.add(f"day {day}", "diary", ts=f"2026-11-0{day}")
"""


@pytest.mark.kernel
def test_a_bar_grows_and_ctrl_c_keeps_what_is_done(upstream: Upstream, tmp_path: Path) -> None:
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192}
    one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key"}
    upstream.script(Answer(text="one"), Answer(text="two"))
    upstream.default = Answer(hang=True)
    with LiveKernel(tmp_path, SEKHA_CONFIG=configured(tmp_path, {**one, "models": [model]})) as kernel:
        assert kernel.run(BEGIN).ended == "ok"
        cell = kernel.start("%sekha memory summarize diary")
        kernel.until(cell, lambda content: "summary" in str(content) or "widget" in str(content))
        upstream.wait_for(3)
        kernel.interrupt()
        assert kernel.end_of(cell).ended == "KeyboardInterrupt"
        assert upstream.requests[2].hung_up.wait(5)
        assert kernel.run("list(reg.memory.summaries().content)").text == "['one', 'two']"
        upstream.default = Answer(text="rest")
        assert kernel.run("%sekha memory summarize diary").ended == "ok"
        assert kernel.run("list(reg.memory.summaries().content)").text == "['one', 'two', 'rest', 'rest', 'rest']"
