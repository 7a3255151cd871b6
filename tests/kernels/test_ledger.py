"""Two kernels on one ledger, a stranger who holds its file open, and folds in between: every row is seen, once."""

from __future__ import annotations

import threading
from pathlib import Path

import duckdb
import pytest

from .running import configured, run

pytestmark = pytest.mark.kernel

ASK = """
import sekha_magics as sekha
reg = sekha.get_registry()
for i in range(25):
    reg.chat(f"{name} {{i}}")
    if i % 10 == 9:
        reg.ledger.flush()
"""


def test_two_kernels_and_a_stranger_lose_nothing(tmp_path: Path, own_directories: Path):
    config = configured(tmp_path, {"id": "s", "type": "scripted", "models": [{"model_id": "m", "task": "chat_small"}]})
    run(
        ["%sekha_chat first", "import sekha_magics as s; s.get_registry().ledger.flush()"],
        tmp_path,
        SEKHA_CONFIG=config,
    )
    stranger = duckdb.connect(str(own_directories / "ledger.duckdb"), read_only=True)
    failures: list[Exception] = []

    def kernel(name: str) -> None:
        try:
            run([ASK.replace("{name}", name).replace("{{i}}", "{i}"), "%sekha_chat last of " + name], tmp_path,
                SEKHA_CONFIG=config)  # fmt: skip
        except Exception as error:  # noqa: BLE001 - a thread's failure is looked at below
            failures.append(error)

    threads = [threading.Thread(target=kernel, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert stranger.sql("SELECT count(*) FROM calls").fetchone() == (1,)
    stranger.close()
    outputs = run(
        ["import sekha_magics as sekha; calls = sekha.get_registry().ledger.calls(content=True)",
         "(len(calls), calls['call_id'].nunique(), sorted(calls['response'])[:3], sorted(calls['response'])[-2:])"],
        tmp_path, SEKHA_CONFIG=config,
    )  # fmt: skip
    expected = (53, 53, ["a 0", "a 1", "a 10"], ["last of a", "last of b"])
    assert outputs[1][0].data["text/plain"] == repr(expected)
    # Each kernel folds when it ends, so a plain DuckDB finds all rows in the documented tables.
    with duckdb.connect(str(own_directories / "ledger.duckdb"), read_only=True) as plain:
        assert plain.sql("SELECT count(*) FROM calls").fetchone() == (53,)
        assert plain.sql("SELECT count(*) FROM decisions").fetchone() == (53,)
