"""A fold that is killed, whatever it was doing: every row is there once afterwards, and the next fold takes all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .test_many_at_once import ROOT


@pytest.mark.skipif(not hasattr(os, "fork"), reason="every step is reached in a fork of one process")
@pytest.mark.parametrize("which", [[], ["first"]], ids=["a later fold", "the first fold"])
def test_a_fold_killed_at_every_step_loses_and_doubles_nothing(tmp_path: Path, which: list[str]) -> None:
    command = [sys.executable, "-m", "tests.ledger.kill_at_every_step", str(tmp_path), *which]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    steps = int(done.stdout.split()[0])
    assert steps >= 7 and "steps, whole after each" in done.stdout
