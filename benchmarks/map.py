"""A thousand prompts against a provider that takes 200 ms each: `reg.map` beside plain asyncio with LiteLLM.

Both keep the same number of requests under way, in turns in one run, against one server; the ratio is what counts. The
job is as users run it: with the ledger, kept answers and a limit on its cost.

    python benchmarks/map.py [prompts] [concurrency] [turns]
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from loopback import openai_server

from sekha_magics.registry import Registry

SECONDS_EACH = 0.2


async def plain(url: str, prompts: list[str], concurrency: int) -> None:
    import litellm

    litellm.suppress_debug_info = True
    slots = asyncio.Semaphore(concurrency)

    async def one(prompt: str) -> str:
        async with slots:
            answer = await litellm.acompletion(
                model="openai/m",
                messages=[{"role": "user", "content": prompt}],
                api_base=url,
                api_key="loopback-key",
                max_retries=0,
                num_retries=0,
            )
            return str(answer.choices[0].message.content)

    assert await asyncio.gather(*map(one, prompts)) == prompts


def ours(url: str, prompts: list[str], concurrency: int) -> None:
    model = {"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, "price": {"input": 2, "output": 10}}
    provider = {"id": "up", "type": "openai", "base_url": url, "api_key": "loopback-key", "models": [model]}
    with Registry.from_dict({"llm_providers": [provider]}) as reg:
        job = reg.map(prompts, concurrency=concurrency, max_cost=1000)
        assert [str(answer) for answer in job] == prompts


def main(prompts: int, concurrency: int, turns: int) -> None:
    with openai_server(SECONDS_EACH) as url, tempfile.TemporaryDirectory() as home:
        os.environ["SEKHA_HOME"] = home
        # The import of LiteLLM is nobody's throughput.
        asyncio.run(plain(url, ["warm"], 1))
        ours(url, ["warm"], 1)
        ratios = []
        for turn in range(turns):
            texts = [f"turn {turn}, prompt {i}" for i in range(prompts)]
            started = time.perf_counter()
            asyncio.run(plain(url, texts, concurrency))
            between = time.perf_counter()
            ours(url, texts, concurrency)
            peer, own = between - started, time.perf_counter() - between
            ratios.append(peer / own)
            print(
                f"{prompts} prompts, {concurrency} at once: plain {prompts / peer:6.1f}/s   map {prompts / own:6.1f}/s"
                f"   ratio {ratios[-1]:.2f}",
                flush=True,
            )
        print(f"throughput beside plain asyncio, median of {turns}: {median(ratios):.2f}   (goal 0.90)")


if __name__ == "__main__":
    given = [int(word) for word in sys.argv[1:]]
    main(*given, *(1000, 8, 1)[len(given) :])
