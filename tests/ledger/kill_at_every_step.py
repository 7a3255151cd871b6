"""Kills a fold at each of its steps, every time in a fresh copy of one ledger, and looks at what is left.

A step is a line of `sekha_magics/storage` that the fold reaches for the first time, or a file beside the ledger that it
opens, renames or removes: a child of this process folds, watched by `sys.settrace` and an audit hook, and kills itself
(`kill -9`) when it gets there. Steps between which nothing on the disk has changed count as one.
Says `N steps, whole after each`, or which one left what.

    python -m tests.ledger.kill_at_every_step FOLDER [first]

With `first` there is no DuckDB file yet: it is the fold that makes it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

# Imported here, for every child; used in none but children, since what DuckDB begins in a process a fork breaks.
import duckdb  # noqa: F401
import pandas  # noqa: F401
import pyarrow  # noqa: F401

import sekha_magics.storage
from sekha_magics.ledger.store import Ledger
from tests.ledger.events import event

STORAGE = str(Path(sekha_magics.storage.__file__).parent)
FOLDED, QUEUED = [f"folded-{n}" for n in range(4)], [f"queued-{n}" for n in range(4)]


def in_child(work: Callable[[], None]) -> int:
    """The status of a child that does `work`; negative when a signal ended it."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - a child must end here, whatever happened
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def append(ledger: Ledger, name: str) -> None:
    ledger.append(event(decision_id=name, calls=[{"call_id": name}], prompt=f"ask {name}", answer=f"say {name}"))


def make(path: Path, first: bool) -> None:
    ledger = Ledger(path)
    for name in FOLDED:
        append(ledger, name)
    if not first:
        ledger.flush()
    for name in QUEUED:
        append(ledger, name)


def fold(path: Path, stop_at: int | None, told: Path | None = None) -> None:
    """Fold, and die at step `stop_at`; without one, tell how many there are."""
    steps: list[tuple[str, str]] = []

    def step(name: str) -> None:
        nonlocal folding
        if len(steps) == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        # Looking is no step.
        folding = False
        steps.append((name, on_disk(path.parent) if told else ""))
        folding = True

    folding = True
    reached: set[tuple[str, int]] = set()

    def trace(frame: FrameType, happened: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.startswith(STORAGE):
            return None
        place = (Path(frame.f_code.co_filename).name, frame.f_lineno)
        if happened == "line" and place not in reached:
            reached.add(place)
            step(f"{place[0]}:{place[1]}")
        return trace

    ledger = Ledger(path)
    beside = str(path.parent)

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        # By its arguments: to kill is an event as well.
        if folding and arguments and str(arguments[0]).startswith(beside):
            step(f"{name} {arguments[0]}")

    sys.addaudithook(audit)
    sys.settrace(trace)
    try:
        ledger.flush()
    finally:
        sys.settrace(None)
        folding = False
    if told is not None:
        told.write_text(json.dumps(steps))


def on_disk(folder: Path) -> str:
    """A hash of every file and folder, without what only processes that live share."""
    state = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if not file.name.endswith(("-shm", ".lock")):
            content = file.read_bytes() if file.is_file() else b""
            state.update(f"{file.relative_to(folder)}\n".encode() + hashlib.sha256(content).digest())
    return state.hexdigest()


def look(path: Path, expected: list[str]) -> None:
    """Everything is there, once, before and after the next fold, and nothing of the killed one is left behind."""
    ledger = Ledger(path)
    for settle in (lambda: None, ledger.flush):
        settle()
        calls = ledger.calls(content=True)
        assert sorted(calls["call_id"]) == sorted(ledger.decisions()["decision_id"]) == sorted(expected), list(
            calls["call_id"]
        )
        for name, prompt, answer in zip(calls["call_id"], calls["prompt"], calls["response"], strict=True):
            assert (prompt, answer) == (f"ask {name}", f"say {name}"), (name, prompt, answer)
        assert len(ledger.candidates()) == 2 * len(expected)
        found = ledger.verify()
        assert found.ok, str(found)
    left = [file.name for file in path.parent.iterdir() if ".fold-" in file.name]
    assert not left, left
    append(ledger, "after")
    assert len(ledger.decisions()) == len(expected) + 1


def main(folder: Path, first: bool) -> int:
    pattern, told = folder / "pattern", folder / "steps.json"
    assert in_child(lambda: make(pattern / "ledger.duckdb", first)) == 0
    shutil.copytree(pattern, folder / "counted")
    assert in_child(lambda: fold(folder / "counted" / "ledger.duckdb", None, told)) == 0
    all_steps = json.loads(told.read_text())
    before = [None, *(disk for _, disk in all_steps)]
    steps = [(number, name) for number, (name, disk) in enumerate(all_steps) if disk != before[number]]
    for number, name in steps:
        path = folder / str(number) / "ledger.duckdb"
        shutil.copytree(pattern, path.parent)
        status = in_child(lambda path=path, number=number: fold(path, number))
        if status != -signal.SIGKILL:
            print(f"step {number} ({name}) was not reached: {status}")
            return 1
        if in_child(lambda path=path: look(path, FOLDED + QUEUED)):
            print(f"step {number} ({name}) left a ledger that is not whole")
            return 1
        shutil.rmtree(path.parent)
    print(f"{len(steps)} steps, whole after each; {len(all_steps)} lines and files")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:] == ["first"]))
