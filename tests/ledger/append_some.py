"""Appends as many events as the second argument says to the ledger of the first, and says their ids. No close.

With a third argument it then waits to be killed."""

from __future__ import annotations

import sys
from pathlib import Path

from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

ledger = Ledger(Path(sys.argv[1]))
for second in range(int(sys.argv[2])):
    one = event(second=second)
    ledger.append(one)
    print(one.decision.decision_id, flush=True)
if sys.argv[3:]:
    sys.stdin.read()
