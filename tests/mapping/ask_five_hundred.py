"""Asks 500 prompts of the server at the given address, and says how it went: one JSON line."""

import json
import sys
from collections import Counter

from sekha_magics.registry import Registry

PRICE = {"input": 2, "output": 10}
reg = Registry.from_dict(
    {
        "llm_providers": [
            {"id": "up", "type": "openai", "base_url": sys.argv[1], "api_key": "loopback-key",
             "models": [{"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": PRICE}]}
        ]
    }
)  # fmt: skip
job = reg.map([f"prompt {i}" for i in range(500)])
try:
    answers = list(job)
except KeyboardInterrupt:
    calls = reg.ledger.calls()
    left, statuses = job.left_undone, Counter(calls["status"])
    reg.close()
    print(json.dumps({"left": left, **statuses}), flush=True)
    sys.exit(130)
calls = reg.ledger.calls(content=True)
reg.close()
paid = Counter(calls.loc[calls["status"] == "ok", "prompt"])
print(
    json.dumps(
        {
            "right": [str(a) for a in answers] == [f"prompt {i}" for i in range(500)],
            "asked": Counter(a.asked for a in answers),
            "rows": len(paid),
            "paid_twice": [prompt for prompt, times in paid.items() if times > 1],
        }
    )
)
