"""Appends events to the ledger given and says each one's id once `append` has returned. Ends when it is killed.

With `fold` as second argument a second thread folds without a pause, so that most moments are in the middle of a fold.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path

from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

ledger = Ledger(Path(sys.argv[1]))


def fold_always() -> None:
    while True:
        ledger.flush()


if sys.argv[2:] == ["fold"]:
    # The first takes as long as DuckDB takes to load.
    ledger.append(event(prompt="the same every time"))
    ledger.flush()
    threading.Thread(target=fold_always, daemon=True).start()
while True:
    one = event(prompt="the same every time")
    ledger.append(one)
    print(one.decision.decision_id, flush=True)
