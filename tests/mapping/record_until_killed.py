"""Records a job of sixty prompts into a cassette: `python record_until_killed.py URL CASSETTE`."""

import sys

from sekha_magics.registry import Registry

provider = {"id": "up", "type": "openai", "base_url": sys.argv[1], "api_key": "loopback-key",
            "models": [{"model_id": "m", "tasks": ["chat_small"], "context_window": 8192}]}  # fmt: skip
with Registry.from_dict({"llm_providers": [provider]}) as registry:
    registry.use_cassette(sys.argv[2], "record")
    for _ in registry.map([f"prompt {n}" for n in range(60)], resume=False, concurrency=8):
        pass
