"""Adds messages to the memory given, and says each one's id once `add` has returned: as many as asked for, or until it
is killed. A fold now and then is part of it."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from tests.memory.models import Models

folder, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
memory = Models({"m": 64, "n": 64}).memory(folder)
for number in itertools.count() if count == 0 else range(count):
    model = "n" if number % 5 == 4 else None
    print(memory.add(f"{name} says {number}", conversation=name, folder=f"/{name}", model=model), flush=True)
    if number % 20 == 19:
        memory.fold()
memory.close()
