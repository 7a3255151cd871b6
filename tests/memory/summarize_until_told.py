"""Summarizes the conversation "diary" by day, with the server at the address given, until Ctrl-C."""

from __future__ import annotations

import sys

from tests.memory.asking import at

with at(sys.argv[1]) as reg:
    try:
        reg.memory.summarize("diary")
    except KeyboardInterrupt:
        print(len(reg.memory.summaries()), flush=True)
