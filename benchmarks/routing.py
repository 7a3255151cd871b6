"""What a decision costs, and what the engine adds to a call, beside what `litellm.Router` adds in the same run.

Calls are taken in turns (bare, Router, ours without the ledger, with it, and with a budget too), and the difference to
the bare call of the same turn is what counts: a shared machine is slow for all of them alike. Everything runs in one
asyncio loop. Breaker and retries are always in force; a budget reserves and settles in a file that kernels share.

    python benchmarks/routing.py [turns]
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent))
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from loopback import openai_server

from sekha_magics.ask import Wishes, prepare_chat
from sekha_magics.core.catalogue import Catalogue, Entry, Price, Rate, Snapshot
from sekha_magics.core.decide import decide
from sekha_magics.core.policies import BUILT_IN
from sekha_magics.core.types import Origin, Request, TokenEstimate
from sekha_magics.registry import Registry

TASKS = (("chat_small", "chat_smart"), ("chat_large",), ("embedding",), ("chat_small",))
MODELS = [f"model-{i}" for i in range(8)]
PRICE = {"input": 2.5, "output": 10}
PROMPT = [{"role": "user", "content": "What is the capital of France?"}]


def catalogue(providers: int, models: int) -> Catalogue:
    price = Price("table", Rate(Decimal("2.5")), Rate(Decimal("10")))
    return Catalogue(
        tuple(
            Entry(p * models + m, f"provider-{p}", "openai", f"model-{m}", TASKS[m % 4], p + 1, context_window=8192,
                  price=price)
            for p in range(providers)
            for m in range(models)
        )
    )  # fmt: skip


def decisions() -> None:
    request = Request(task="chat_small", input_tokens=TokenEstimate(10, 20, 40))
    for providers, models, goal in ((10, 100, 1000), (8, 1, 100)):
        snapshot = Snapshot(catalogue(providers, models))
        for name, policy in BUILT_IN.items():
            times = []
            for _ in range(300):
                started = time.perf_counter_ns()
                decide(request, snapshot, policy)
                times.append((time.perf_counter_ns() - started) / 1000)
            print(
                f"decide  {providers:>2} x {models:>3} {name:<9} p50 {median(times):8.1f} us   "
                f"p99 {quantiles(times, n=100)[98]:8.1f} us   (goal {goal} us)"
            )


async def added(url: str, turns: int) -> None:
    import litellm

    litellm.suppress_debug_info = True
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    deployment = {"api_base": url, "api_key": "loopback-key", "max_retries": 0}
    router = litellm.Router(
        model_list=[{"model_name": "group", "litellm_params": {"model": f"openai/{m}", **deployment}} for m in MODELS],
        num_retries=0,
    )
    configuration = {
        "llm_providers": [
            {"id": f"p{i}", "type": "openai", "base_url": url, "api_key": "loopback-key", "priority": i + 1,
             "models": [{"model_id": m, "tasks": ["chat_small"], "context_window": 8192, "price": PRICE}]}
            for i, m in enumerate(MODELS)
        ]
    }  # fmt: skip
    registry = Registry.from_dict(configuration)
    limited = Registry.from_dict({**configuration, "budget": {"session": 100, "day": 1000}})

    async def ours(registry: Registry, log: bool = True) -> None:
        origin = Origin(registry.session_id)
        ask = prepare_chat(PROMPT, Wishes.of({}, registry.state.policies), origin, stream=False, log=log)
        await registry._engine().chat(ask, lambda _: None)

    contenders: dict[str, Callable[[], Awaitable[object]]] = {
        "bare": lambda: litellm.acompletion(model="openai/model-0", messages=PROMPT, num_retries=0, **deployment),
        "litellm.Router": lambda: router.acompletion("group", PROMPT),
        "sekha, ledger off": lambda: ours(registry, log=False),
        "sekha, ledger on": lambda: ours(registry),
        "sekha, and a budget": lambda: ours(limited),
    }
    for call in contenders.values():
        for _ in range(20):
            await call()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for turn in range(turns):
        # Begin with another one each turn, so that no contender always follows the same neighbour.
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            started = time.perf_counter_ns()
            await contenders[name]()
            times[name].append((time.perf_counter_ns() - started) / 1e6)
    print(f"call    bare litellm.acompletion  p50 {median(times['bare']):.2f} ms over {turns} turns")
    router_adds = 0.0
    for name in names[1:]:
        differences = sorted(a - b for a, b in zip(times[name], times["bare"], strict=True))
        p50, p99 = median(differences), quantiles(differences, n=100)[98]
        router_adds = router_adds or p50
        print(f"adds    {name:<19} p50 {p50:+.3f} ms   p99 {p99:+.3f} ms   {p50 / router_adds:.2f} of the Router's")
    registry.close()
    limited.close()


def main() -> None:
    decisions()
    turns = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    with tempfile.TemporaryDirectory() as home, openai_server() as url:
        os.environ["SEKHA_HOME"] = home
        asyncio.run(added(url, turns))


if __name__ == "__main__":
    main()
