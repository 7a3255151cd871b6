"""Asks many times at once within a budget, in a process of its own: SEED CALLS LEDGER DIE_AT(0: never) DAY_LIMIT.

It waits for a line, and prints what was spent and how many requests were refused.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from sekha_magics.errors import BudgetExceeded
from tests.registry.spender import spenders

seed, calls, ledger, die_at, limit = sys.argv[1:]


async def ask_all() -> None:
    with spenders(budget={"day": limit, "warn_at": 1}, ledger=ledger, seed=int(seed), die_at=int(die_at)) as registry:
        print("ready", flush=True)
        sys.stdin.readline()
        asked = [registry.achat("word " * 20, max_tokens=100, log=False) for _ in range(int(calls))]
        answers = await asyncio.gather(*asked, return_exceptions=True)
    unexpected = [a for a in answers if isinstance(a, BaseException) and not isinstance(a, BudgetExceeded)]
    assert not unexpected, unexpected[0]
    paid = [a.cost.usd for a in answers if not isinstance(a, BaseException)]
    print(sum(paid, Decimal(0)), len(answers) - len(paid))


asyncio.run(ask_all())
