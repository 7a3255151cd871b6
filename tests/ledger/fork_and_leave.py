"""A child appends to the ledger it inherited, during and after the life of its parent, which closes it and leaves."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

ledger = Ledger(Path(sys.argv[1]))
ledger.append(one := event())
print(one.decision.decision_id, flush=True)
from_parent, to_child = os.pipe()
if os.fork() == 0:
    os.close(to_child)
    for count in range(40):
        if count == 20:
            # Ends when nobody has the other end any more: the parent is gone.
            os.read(from_parent, 1)
        ledger.append(one := event())
        print(one.decision.decision_id, flush=True)
    ledger.close()
    print("done", flush=True)
    os._exit(0)
ledger.close()
os._exit(0)
