"""Appends events of one prompt, answer and snapshot to the ledger of the first argument until its input ends.

Every tenth is an hour younger than the others. Says "ready" after the first, and at the end the ids of the young."""

from __future__ import annotations

import sys
import threading
from itertools import count
from pathlib import Path

from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

ended = threading.Event()


def wait() -> None:
    sys.stdin.read()
    ended.set()


threading.Thread(target=wait, daemon=True).start()
ledger = Ledger(Path(sys.argv[1]))
young = []
for number in count():
    one = event(prompt="always the same", answer="as ever", second=3600 if number % 10 == 0 else 0)
    ledger.append(one)
    if number % 10 == 0:
        young.append(one.decision.decision_id)
    if number == 0:
        print("ready", flush=True)
    # Not as fast as it can: others need the processor too.
    if ended.wait(0.01):
        break
ledger.close()
print("\n".join(young))
