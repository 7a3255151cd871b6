"""The graph of the `vss` extension: as good as exact search where it answers, and no harm where it cannot."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WITHOUT = """
import sys, warnings
sys.modules["duckdb_extension_vss"] = None
from pathlib import Path
from tests.memory.models import Models

memory = Models({"m": 16}).memory(Path(sys.argv[1]), index="hnsw", graph_from=10)
memory.add([f"text {i}" for i in range(50)])
memory.flush()
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    for _ in range(3):
        assert len(memory.search("text", 10, "vector")) == 10
print(len(told), told[0].message, memory.stats()["detail"].iloc[-1])
memory.close()
"""


def run(*command: object) -> str:
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_recall_and_counts_while_others_add_and_delete(tmp_path: Path) -> None:
    # In another process, since what is wrong with the extension ends the process it happens in.
    pytest.importorskip("duckdb_extension_vss")
    assert run("-m", "tests.memory.search_with_hnsw", tmp_path).splitlines()[-1] == "done"


def test_without_the_extension_search_is_exact_and_that_is_said_once(tmp_path: Path) -> None:
    said = run("-c", WITHOUT, tmp_path)
    assert said.startswith("1 memory.index is hnsw")
    assert "sekha-magics[vss]" in said
    assert "searched exactly" in said
