"""Appends to a ledger on a disk that fills up (no file may grow beyond a limit), then has room again."""

from __future__ import annotations

import resource
import signal
import sys
import warnings
from pathlib import Path

from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(Path(sys.argv[1]))
ledger.append(event())
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
count = 1
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    while not ledger.unwritten:
        ledger.append(event(prompt=f"{count} " * 1000))
        count += 1
    for _ in range(20):
        ledger.append(event())
        count += 1
print("warned" if len([w for w in caught if "wait in memory" in str(w.message)]) == 1 else caught)
print("some wait" if ledger.unwritten > 1 else ledger.unwritten)
print("all seen" if len(ledger.decisions()) == count else len(ledger.decisions()))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
ledger.flush()
print(count)
