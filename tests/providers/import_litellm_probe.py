"""Run by a test in an interpreter of its own: what loading LiteLLM does to the process, as JSON."""

import json
import os
import sys

connections: list[str] = []


def audit(event: str, args: tuple[object, ...]) -> None:
    if event in {"socket.connect", "socket.getaddrinfo"}:
        connections.append(f"{event} {args[-1] if event == 'socket.connect' else args[0]}")


sys.addaudithook(audit)

from sekha_magics.core.wire import Endpoint  # noqa: E402
from sekha_magics.providers import create, provider_types  # noqa: E402
from sekha_magics.providers.litellm import table as litellm_table  # noqa: E402

assert "openai" in provider_types()
create(Endpoint("p", "openai"))
litellm_table.limits("openai", "gpt-4o")
heavy = [name for name in ("litellm", "httpx", "openai", "numpy", "aiohttp", "pydantic") if name in sys.modules]

from sekha_magics.providers.litellm.setup import load, warm  # noqa: E402

warm()
load()
json.dump(
    {
        "before": heavy,
        "key": os.environ.get("OPENAI_API_KEY"),
        "mode": os.environ.get("LITELLM_MODE"),
        "cost_map": os.environ.get("LITELLM_LOCAL_MODEL_COST_MAP"),
        "connections": connections,
    },
    sys.stdout,
)
