"""A failure rehearsed in a real kernel before a real loopback server, as a class would see it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .running import configured, run

pytestmark = pytest.mark.kernel

CHAT = "%%sekha_chat\nhello"


@pytest.fixture
def config(upstream: Upstream, tmp_path: Path) -> str:
    upstream.default = Answer(text="one two three four five")

    def one(name: str, priority: int) -> dict[str, Any]:
        model = {"model_id": "gpt-4o-mini", "tasks": ["chat_small"], "price": {"input": 2, "output": 10}}
        return {"id": name, "type": "openai", "base_url": upstream.url("openai"), "priority": priority,
                "api_key": f"sk-recognisable-{name}-0123456789", "models": [model]}  # fmt: skip

    return configured(tmp_path, one("cloud", 1), one("spare", 2))


def told(outputs: list[Any]) -> str:
    return "\n".join(
        output.get("text") or output.get("data", {}).get("text/plain") or f"{output.ename}: {output.evalue}"
        for output in outputs
    )


def test_down_status_latency_and_cut(upstream: Upstream, config: str, tmp_path: Path, own_directories: Path) -> None:
    cells = [
        "%sekha simulate --provider cloud --down", CHAT, "%sekha health",
        "%sekha simulate --provider cloud --status 429 --retry-after 100ms", CHAT, "%sekha_route --why",
        "%sekha simulate --provider cloud --latency 300ms", CHAT,
        "%sekha simulate --provider cloud --cut 2", CHAT, "_, sekha_error = None, __import__('sys').last_value",
        "print(repr(sekha_error.partial))",
        "%sekha simulate --off", "%sekha health", CHAT,
        "import sekha_magics\nprint(sekha_magics.get_registry().ledger.calls()['simulated'].tolist())",
    ]  # fmt: skip
    outputs = [told(o) for o in run(cells, tmp_path, allow_errors=True, SEKHA_CONFIG=config)]
    (_, down, opened, _, limited, why, _, late, _, cut, _, partial, off, closed, after, marked) = outputs
    assert "gpt-4o-mini at spare" in down and "cloud is not running; answered by spare/gpt-4o-mini" in down
    assert "open" in opened and "cloud is simulated: down" in opened
    assert "gpt-4o-mini at spare" in limited and "cloud 429; answered by spare/gpt-4o-mini" in limited
    assert why.count("RateLimited: cloud answered 429 (simulated)") == 3
    assert "gpt-4o-mini at cloud" in late and "cloud is simulated: 0.3 s late" in late
    assert cut.startswith("StreamInterrupted: ") and "(simulated)" in cut
    assert partial.strip() == repr("one two ")
    assert off == "cloud is itself again, as it was before the simulation\n"
    assert closed.count(" closed ") == 2 and "simulated" not in closed
    assert "gpt-4o-mini at cloud" in after and "simulated" not in after
    assert marked.strip() == str([True, False, True, True, True, False, True, True, False])
    # What was simulated to be refused never reached the server.
    keys = [seen.headers["authorization"].split("-")[2] for seen in upstream.requests]
    assert keys == ["spare", "spare", "cloud", "cloud", "cloud"]
