"""Reads, and tries to write, a ledger in a folder this process may only read; root gives up its rights first."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import duckdb  # noqa: F401 - before the rights are gone, for wherever these are installed
import pandas  # noqa: F401
import pyarrow  # noqa: F401

from sekha_magics.errors import LedgerError
from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

if os.getuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
ledger = Ledger(Path(sys.argv[1]))
frame = ledger.calls(content=True)
print(len(frame), "with text" if set(frame["prompt"]) == {"What is in the picture?"} else frame)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    ledger.append(event())
print("warned" if len(caught) == 1 else caught)
print(len(ledger.decisions()))
try:
    ledger.flush()
except LedgerError as error:
    print("cannot be written" if "cannot be written" in str(error) else error)
os._exit(0)
