"""Kernels write one ledger as fast as they can and are killed at random moments; nothing that was returned is missing.

Eight kernels append, one of them folds without a pause, two readers read, and a stranger holds the DuckDB file open
with nothing but DuckDB. Kernels are killed (`kill -9`, on Windows `TerminateProcess`), alternately at any moment and
while a fold is under way, and others begin in their place; at the end of a round all are killed. Checked are:

- `verify` finds nothing missing, doubled or changed
- every append that returned is there, once, with its call, its candidates and its text: at once for a reader of another
  process, and at the end of the round, before and after the last fold, by our reader and by plain DuckDB
- no read goes back behind an earlier one, and none has a hole
- the stranger meets no lock, and keeps what was opened

    python benchmarks/ledger_kill.py [--rounds 3] [--seconds 8] [--kernels 8] [--seed 0]

Twenty rounds are the long form, one of five seconds is a test. Ends with code 1 when something is wrong, and says what.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

LONG = 20
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

STRANGER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1], read_only=True)
count = "SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM calls), (SELECT count(*) FROM costs)"
first = connection.sql(count).fetchone()
print("open", flush=True)
sys.stdin.read()
assert connection.sql(count).fetchone() == first, "what was opened has changed"
again = duckdb.connect(sys.argv[1] + "", read_only=True)
print("kept", flush=True)
"""

# Ids of one writer are numbered from 0, so that a hole shows.
BY_WRITER = """
SELECT
    split_part(decision_id, '-', 1)::INTEGER AS writer,
    count(*) AS decisions,
    count(DISTINCT decision_id) AS different,
    1 + max(split_part(decision_id, '-', 2))::BIGINT AS numbered
FROM decisions
WHERE decision_id LIKE '%-%'
GROUP BY ALL
"""


class Wrong(Exception):
    """The ledger broke its promise."""


# --- what the processes do ------------------------------------------------------------------------


def write(path: Path, writer: int, folding: bool) -> None:
    """Append until killed. One byte goes into a file of this writer's for each append that returned."""
    from sekha_magics.ledger.store import Ledger
    from tests.ledger.events import event

    ledger = Ledger(path)
    acknowledged = os.open(_returned(path, writer), os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def fold_always() -> None:
        while True:
            ledger.flush()
            time.sleep(0.01)

    if folding:
        threading.Thread(target=fold_always, daemon=True).start()
    number = 0
    while True:
        name = f"{writer}-{number:09}"
        text = f"question {number} of writer {writer} " + "word " * 40
        ledger.append(event(decision_id=name, calls=[{"call_id": name}], prompt=text, answer=f"answer to {text}"))
        os.write(acknowledged, b".")
        number += 1


def read(path: Path) -> None:
    """Read until the input ends; each read shows what was acknowledged before it began, and what was read before."""
    from sekha_magics.ledger.store import Ledger

    ledger = Ledger(path)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    seen: dict[int, int] = {}
    reads, slowest = 0, 0.0
    # The first read imports what the others find there.
    by_writer(ledger)
    print("ready", flush=True)
    while not ended.is_set():
        before = acknowledged(path)
        started = time.perf_counter()
        now = by_writer(ledger)
        slowest = max(slowest, time.perf_counter() - started)
        for least, what in ((before, "was acknowledged"), (seen, "was read before")):
            for writer, count in least.items():
                if now.get(writer, 0) < count:
                    raise Wrong(f"writer {writer}: {count} {what}, {now.get(writer, 0)} are read")
        seen = now
        reads += 1
    print(f"{reads} {slowest}", flush=True)
    # Without the fold at the end of a process: it is the others that are watched.
    os._exit(0)


def by_writer(ledger) -> dict[int, int]:
    """How many decisions there are of each writer. Raises `Wrong` for one that is there twice, and for a hole."""
    found = {}
    for row in ledger.sql(BY_WRITER).itertuples(index=False):
        if not row.decisions == row.different == row.numbered:
            raise Wrong(f"writer {row.writer}: {row.decisions} rows, {row.different} ids, up to number {row.numbered}")
        found[int(row.writer)] = int(row.decisions)
    return found


def acknowledged(path: Path) -> dict[int, int]:
    """By writer, how many appends have returned."""
    return {int(file.suffix[1:]): file.stat().st_size for file in path.parent.parent.glob("returned.*")}


def _returned(path: Path, writer: int) -> Path:
    return path.parent.parent / f"returned.{writer}"


# --- a round --------------------------------------------------------------------------------------


class Round(NamedTuple):
    rows: int
    kills: int
    in_a_fold: int
    reads: int
    slowest: float


@contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


class Kernels:
    """The kernels of a round, one of which folds all the time."""

    def __init__(self, path: Path, count: int, chance: random.Random) -> None:
        self.path, self.chance, self.begun = path, chance, 0
        self.running = [self._begin(folding=place == 0) for place in range(count)]

    def _begin(self, *, folding: bool) -> subprocess.Popen[bytes]:
        role = "fold" if folding else "write"
        self.begun += 1
        return subprocess.Popen([sys.executable, __file__, role, str(self.path), str(self.begun)], cwd=ROOT)

    def kill_one(self, *, in_a_fold: bool) -> bool:
        """Kill one at random and begin another in its place. Gives whether a fold was under way."""
        place = self.chance.randrange(len(self.running))
        if in_a_fold:
            # The one that folds all the time; the copy beside the file says that somebody does.
            place = 0
            deadline = time.monotonic() + 5
            while not self._folding() and time.monotonic() < deadline:
                time.sleep(0.002)
            time.sleep(self.chance.choice((0, 0.005, 0.02, 0.05)))
        folding = self._folding()
        self.running[place].kill()
        self.running[place].wait()
        self.running[place] = self._begin(folding=place == 0)
        return folding

    def kill_all(self) -> None:
        for kernel in self.running:
            kernel.kill()
        for kernel in self.running:
            kernel.wait()

    def failed(self) -> list[int]:
        """Exit codes of kernels that ended although nobody killed them."""
        return [code for code in (kernel.poll() for kernel in self.running) if code is not None]

    def _folding(self) -> bool:
        return any(self.path.parent.glob("*.fold-*"))


def one_round(folder: Path, kernels: int, seconds: float, chance: random.Random) -> Round:
    from sekha_magics.ledger.store import Ledger
    from tests.ledger.events import event

    path = folder / "logs" / "ledger.duckdb"
    begun = Ledger(path)
    begun.append(event(decision_id="first"))
    begun.close()
    with running("-c", STRANGER, path) as stranger, running(__file__, "read", path) as one, running(
        __file__, "read", path
    ) as two:  # fmt: skip
        if stranger.stdout.readline() != "open\n":
            raise Wrong("the stranger cannot open the file")
        for reader in (one, two):
            if reader.stdout.readline() != "ready\n":
                raise Wrong("a reader cannot read")
        writers = Kernels(path, kernels, chance)
        kills = in_a_fold = 0
        try:
            # As long as it takes the last of them to begin.
            end = time.monotonic() + 60
            while len(acknowledged(path)) < kernels and time.monotonic() < end:
                time.sleep(0.05)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(chance.uniform(0, 0.8))
                if codes := writers.failed():
                    raise Wrong(f"a kernel ended by itself: {codes}")
                in_a_fold += writers.kill_one(in_a_fold=kills % 2 == 0)
                kills += 1
        finally:
            writers.kill_all()
        reads, slowest = 0, 0.0
        for reader in (one, two):
            said, _ = reader.communicate()
            if reader.returncode:
                raise Wrong("a reader failed; it says above what it saw")
            count, longest = said.split()
            reads, slowest = reads + int(count), max(slowest, float(longest))
        said, _ = stranger.communicate()
        if said != "kept\n":
            raise Wrong("the stranger was disturbed")
    return Round(check(path), kills + kernels, in_a_fold, reads, slowest)


def check(path: Path) -> int:
    """Everything is there, once, also after a fold. Gives how many decisions that are."""
    import duckdb

    from sekha_magics.ledger.store import Ledger

    ledger = Ledger(path)
    found = by_writer(ledger)
    for writer, returned in acknowledged(path).items():
        # One more may be there: that of an append whose kernel died before it returned.
        if not returned <= found.get(writer, 0) <= returned + 1:
            raise Wrong(f"writer {writer}: {returned} appends returned, {found.get(writer, 0)} are in the ledger")
    ledger.flush()
    if by_writer(ledger) != found:
        raise Wrong("the last fold changed what is there")
    calls = ledger.calls(content=True)
    calls = calls[calls["decision_id"] != "first"]
    count = sum(found.values())
    if not len(calls) == calls["call_id"].nunique() == count:
        raise Wrong(f"{count} decisions, {len(calls)} calls, {calls['call_id'].nunique()} of them different")
    for call_id, prompt, answer in zip(calls["call_id"], calls["prompt"], calls["response"], strict=True):
        writer, number = call_id.split("-")
        if prompt is None or not prompt.startswith(f"question {int(number)} of writer {writer} "):
            raise Wrong(f"the prompt of {call_id} is {prompt!r:.60}")
        if answer != f"answer to {prompt}":
            raise Wrong(f"the answer of {call_id} is {answer!r:.60}")
    with duckdb.connect(str(path), read_only=True) as plain:
        tables = plain.sql(
            "SELECT (SELECT count(*) FROM decisions), (SELECT count(DISTINCT decision_id) FROM decisions),"
            " (SELECT count(*) FROM candidates), (SELECT count(*) FROM calls), (SELECT count(*) FROM costs)"
        ).fetchone()
    if tables != (count + 1, count + 1, 2 * count + 2, count + 1, count + 1):
        raise Wrong(f"plain DuckDB finds {tables} for {count + 1} decisions")
    if not (verified := ledger.verify()).ok:
        raise Wrong(str(verified))
    ledger.close()
    if left := [file.name for file in path.parent.glob("*.fold-*")]:
        raise Wrong(f"copies of killed folds were left: {left}")
    return count


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=3, help="20 are the long form")
    parser.add_argument("--seconds", type=float, default=8, help="of each round")
    parser.add_argument("--kernels", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    rounds = []
    for number in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            try:
                done = one_round(Path(folder), options.kernels, options.seconds, chance)
            except Wrong as wrong:
                print(f"round {number}: WRONG: {wrong}", flush=True)
                return 1
        rounds.append(done)
        print(
            f"round {number:>2}: {done.rows:>6} events, {done.kills} kills, {done.in_a_fold} of them in a fold, "
            f"{done.reads} reads, the slowest {done.slowest:.2f} s: nothing missing, nothing twice",
            flush=True,
        )
    events, kills, in_a_fold, reads = (sum(column) for column in list(zip(*rounds, strict=True))[:4])
    print(f"{len(rounds)} rounds: {events} events, {kills} kills, {in_a_fold} of them in a fold, {reads} reads:")
    print("every append that returned is there, once, and no read went backwards")
    return 0 if len(rounds) < LONG else at_every_step()


def at_every_step() -> int:
    """The long form also kills the first fold of a ledger, and a later one, at each of their steps."""
    for first in ([], ["first"]):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "tests.ledger.kill_at_every_step", folder, *first]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        print(f"{'the first' if first else 'a later'} fold, killed at each step: {done.stdout.strip()}{done.stderr}")
        if done.returncode:
            return 1
    return 0


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["write" | "fold" as role, path, number]:
            write(Path(path), int(number), role == "fold")
        case ["read", path]:
            read(Path(path))
        case _:
            sys.exit(main())
