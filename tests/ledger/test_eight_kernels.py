"""The benchmark of kernels that are killed, in its short form."""

from __future__ import annotations

import subprocess
import sys

from .test_many_at_once import ROOT


def test_of_eight_kernels_that_are_killed_nothing_is_missing_and_nothing_twice() -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / "ledger_kill.py"), "--rounds", "1", "--seconds", "5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every append that returned is there, once, and no read went backwards" in done.stdout
