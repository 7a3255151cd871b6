"""What the ledger costs: an event its caller, a question its asker, a fold the disk.

An event is timed beside a plain SQLite insert (WAL, one row, one text) of the bytes the ledger commits for it, in turns
in one run, with and without a fold under way; the ratio is what counts. Questions are timed over a ledger of as many
calls as asked for, opening included, in this process with DuckDB and pandas imported.

    python benchmarks/ledger.py [--events 2000] [--rows 100000] [--no-content]

The ledger of many rows is made of some real ones: their rows are multiplied by DuckDB, their texts by SQLite, since a
million appends would take minutes. A million rows with texts need 3 GB of disk, ten million without 8 GB.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sekha_magics.core.redact import Redactor
from sekha_magics.core.wire import Secret
from sekha_magics.ledger.store import Ledger
from tests.ledger.events import CANDIDATES, event

ROOT = Path(__file__).resolve().parent.parent
WORDS = "The quick brown fox jumps over the lazy dog. " * 20
SEEDS = 1000
SPREAD_DAYS = 90
KEYS = [Secret("sk-proj-0123456789abcdefghijkl"), Secret("sk-ant-0123456789abcdef"), Secret("AIza0123456789abcdef")]

BY_MODEL_AND_DAY = """
SELECT model_id, DATE '1970-01-01' + (epoch_us(ts) // 86400000000)::INTEGER AS day, count(*) AS calls,
       sum(cost_usd) AS usd, sum(input_tokens) AS tokens
FROM calls GROUP BY ALL ORDER BY ALL
"""
LAST_ROWS = "SELECT * FROM calls ORDER BY ts DESC LIMIT 100"

SEES = """
import sys
from pathlib import Path
from sekha_magics.ledger.store import Ledger
ledger = Ledger(Path(sys.argv[1]))
ledger.sql("SELECT 1")
print("ready", flush=True)
for line in sys.stdin:
    while not len(ledger.sql(f"SELECT 1 FROM decisions WHERE decision_id = '{line.strip()}'")):
        pass
    print("seen", flush=True)
"""


# --- an event -------------------------------------------------------------------------------------


def events(folder: Path, count: int) -> None:
    for content in ("full", "none"):
        for folding in (False, True):
            path = folder / f"{content}-{folding}" / "ledger.duckdb"
            ledger = Ledger(path, content=content, redact=Redactor(KEYS))
            body = "x" * committed(ledger, path)
            with closing(plain_file(path.with_name("plain.db"))) as plain, always_folding(ledger, folding):
                ours, theirs = take_turns(ledger, plain, body, count)
            ledger.close()
            when = "a fold under way" if folding else "no fold"
            print(
                f"event   content {content:<4}  {when:<17} p50 {median(ours):6.0f} us   p99 {p99(ours):7.0f} us   "
                f"plain insert of {len(body):>5} bytes p50 {median(theirs):5.0f} us   p99 {p99(theirs):7.0f} us   "
                f"ratio {median(ours) / median(theirs):.2f}, p99 {p99(ours) / p99(theirs):.2f}"
            )


def take_turns(ledger: Ledger, plain: sqlite3.Connection, body: str, count: int) -> tuple[list[float], list[float]]:
    """Microseconds of appends and of plain inserts. Who goes first changes, so that neither always finds the other's
    traces."""
    ours: list[float] = []
    theirs: list[float] = []

    def append() -> None:
        started = time.perf_counter_ns()
        ledger.append(one)
        ours.append((time.perf_counter_ns() - started) / 1000)

    def insert() -> None:
        started = time.perf_counter_ns()
        plain.execute("INSERT INTO plain (body) VALUES (?)", (body,))
        theirs.append((time.perf_counter_ns() - started) / 1000)

    for number in range(count):
        one = event(prompt=f"{number} {WORDS}", answer=f"{number} {WORDS}", second=number)
        for act in (append, insert) if number % 2 else (insert, append):
            act()
    return ours, theirs


def committed(ledger: Ledger, path: Path) -> int:
    """The bytes of all texts that one more event adds to the files beside the ledger."""

    def stand() -> int:
        total = 0
        for file in path.parent.glob("*.sqlite"):
            with closing(sqlite3.connect(file)) as connection:
                for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    for row in connection.execute(f'SELECT * FROM "{table}"'):
                        total += sum(len(value.encode()) for value in row if isinstance(value, str))
        return total

    # The first brings the snapshot with it, which the others share.
    ledger.append(event(prompt=f"a {WORDS}", answer=f"a {WORDS}"))
    before = stand()
    ledger.append(event(prompt=f"b {WORDS}", answer=f"b {WORDS}"))
    return stand() - before


def plain_file(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")
    connection.execute("CREATE TABLE plain (seq INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    return connection


@contextmanager
def always_folding(ledger: Ledger, folding: bool) -> Iterator[None]:
    """A thread that begins a fold whenever one has ended; it works next to the caller, as the ledger's own does."""
    ended = threading.Event()

    def work() -> None:
        while not ended.wait(0.02):
            ledger.flush()

    thread = threading.Thread(target=work)
    if folding:
        ledger.flush()
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if folding:
            thread.join()


def p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def seen(folder: Path) -> None:
    """How long until another process reads a row."""
    ledger = Ledger(folder / "seen" / "ledger.duckdb")
    ledger.append(event())
    ledger.flush()
    command = [sys.executable, "-c", SEES, str(ledger.path)]
    waits = []
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        reader.stdout.readline()
        for number in range(20):
            ledger.append(event(decision_id=f"seen-{number}"))
            started = time.perf_counter()
            reader.stdin.write(f"seen-{number}\n")
            reader.stdin.flush()
            reader.stdout.readline()
            waits.append((time.perf_counter() - started) * 1000)
        reader.stdin.close()
    ledger.close()
    print(f"seen    by a reader in another process after p50 {median(waits):.0f} ms, at most {max(waits):.0f} ms")


# --- many rows ------------------------------------------------------------------------------------


def many(folder: Path, rows: int, content: bool) -> None:
    path = folder / "many" / "ledger.duckdb"
    ledger = Ledger(path, content="full" if content else "none")
    seeds = min(rows, SEEDS)
    for number in range(seeds):
        named = {"provider_id": f"p{number % 4}", "model_id": f"model-{number % 8}"}
        ledger.append(
            event(prompt=f"{number} {WORDS}", answer=f"{number} {WORDS}", second=number * 60, calls=[named],
                  candidates=CANDIDATES)
        )  # fmt: skip
    ledger.flush()
    ledger.close()
    started = time.perf_counter()
    multiply(path, rows // seeds, content)
    took = time.perf_counter() - started
    texts = path.with_name("content.sqlite")
    print(
        f"many    {rows:,} calls {'with' if content else 'without'} content, made in {took:.0f} s: "
        f"ledger.duckdb {path.stat().st_size / 1e6:,.0f} MB"
        + (f", content.sqlite {texts.stat().st_size / 1e6:,.0f} MB" if content else "")
    )
    ask(path, "group by model and day", BY_MODEL_AND_DAY, 200)
    ask(path, "the last 100 rows", LAST_ROWS, 50)
    if content:
        reads_its_texts(path)
        search(path)
    verified(path)
    for added in (1, 500):
        times, busy = [], []
        for turn in range(3):
            with closing(Ledger(path)) as ledger:
                for number in range(added):
                    ledger.append(event(prompt=f"more {turn} {number}", second=10**7 + number))
                started, worked = time.perf_counter(), time.process_time()
                ledger.flush()
                times.append(time.perf_counter() - started)
                busy.append(time.process_time() - worked)
        print(
            f"fold    of {added:>3} events p50 {median(times):.2f} s, of processors' time {median(busy):.2f} s; "
            f"ledger.duckdb is then {path.stat().st_size / 1e6:,.0f} MB"
        )


def verified(path: Path) -> None:
    with closing(Ledger(path)) as ledger:
        started = time.perf_counter()
        found = ledger.verify()
        took = time.perf_counter() - started
    assert found.ok, str(found)
    print(f"verify  {took:.1f} s: {', '.join(f'{count:,} {name}' for name, count in found.counts.items())}")


def ask(path: Path, what: str, query: str, goal: int) -> None:
    times, busy = [], []
    for _ in range(7):
        started, worked = time.perf_counter(), time.process_time()
        ledger = Ledger(path)
        ledger.sql(query)
        times.append((time.perf_counter() - started) * 1000)
        busy.append((time.process_time() - worked) * 1000)
        ledger.close()
    print(
        f"ask     {what:<24} p50 {median(times):6.0f} ms, at most {max(times):6.0f} ms   (goal {goal} ms)   "
        f"of processors' time {median(busy):.0f} ms"
    )


def search(path: Path) -> None:
    """A word that stands once, beside one pass of SQLite's own LIKE over the same file."""
    with closing(Ledger(path)) as ledger:
        word = ledger.sql("SELECT call_id FROM calls ORDER BY ts DESC LIMIT 1").iloc[0, 0] + " is answered"
    ours, plain = [], []
    for _ in range(3):
        started = time.perf_counter()
        with closing(Ledger(path)) as ledger:
            assert len(ledger.search(word)) == 1
        ours.append(time.perf_counter() - started)
        started = time.perf_counter()
        with closing(sqlite3.connect(path.with_name("content.sqlite"))) as file:
            assert file.execute("SELECT count(*) FROM contents WHERE body LIKE ?", (f"%{word}%",)).fetchone() == (1,)
        plain.append(time.perf_counter() - started)
    print(
        f"search  a word that stands once p50 {median(ours):.2f} s, "
        f"plain LIKE over the same texts {median(plain):.2f} s, ratio {median(ours) / median(plain):.2f}"
    )


def multiply(path: Path, times: int, content: bool) -> None:
    """Every folded row `times` times, under other ids, other hashes and later times."""
    import duckdb

    ids = ("decision_id", "call_id")
    hashes = ("prompt_sha256", "response_sha256")
    minutes = SPREAD_DAYS * 24 * 60 // max(times, 1)
    with duckdb.connect(str(path)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        tables = connection.sql(
            "SELECT table_name, list(column_name) FROM duckdb_columns() WHERE NOT internal"
            " AND table_name IN (SELECT table_name FROM duckdb_tables()) GROUP BY ALL"
        ).fetchall()
        for table, columns in tables:
            if "decision_id" not in columns or times < 2:
                continue
            changed = [f"md5({name} || '/' || k) AS {name}" for name in ids if name in columns]
            changed += [
                f"CASE WHEN {name} IS NULL THEN NULL ELSE sha256({name} || '/' || k) END AS {name}"
                for name in hashes
                if name in columns and not content
            ]
            if table == "receipts":
                # One writer still, without a gap.
                changed.append(f"number + k * {SEEDS} AS number")
            if "ts" in columns:
                changed.append(f"ts + to_minutes(k * {minutes}) AS ts")
            connection.execute(
                f"INSERT INTO {table} BY NAME SELECT t.* REPLACE ({', '.join(changed)}) FROM {table} AS t, "
                f"(SELECT unnest(range(1, {times})) AS k)"
            )
        if content:
            write_texts(connection, path.with_name("content.sqlite"))
        connection.execute("CHECKPOINT")
    path.with_name("ledger.duckdb.wal").unlink(missing_ok=True)


def write_texts(connection, path: Path) -> None:
    """A prompt and an answer of its own for every call, in the file and by hash in the table."""
    connection.execute("CREATE TEMP TABLE texts (call_id VARCHAR, prompt VARCHAR, response VARCHAR)")
    calls = connection.cursor().execute("SELECT call_id FROM calls")
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute("PRAGMA synchronous=OFF")
        while part := calls.fetchmany(20_000):
            bodies, named = [], []
            for (call_id,) in part:
                message = json.dumps(
                    {"parts": [{"text": f"{call_id} asks {WORDS}"}], "role": "user"}, separators=(",", ":")
                )
                prompt = json.dumps([digest(message)])
                answer = f"{call_id} is answered {WORDS}"
                bodies += [(digest(body), body) for body in (message, prompt, answer)]
                named.append((call_id, digest(prompt), digest(answer)))
            file.execute("BEGIN")
            file.executemany("INSERT INTO contents (sha256, body) VALUES (?, ?) ON CONFLICT DO NOTHING", bodies)
            file.execute("COMMIT")
            columns = [list(column) for column in zip(*named, strict=True)]
            connection.execute("INSERT INTO texts SELECT unnest($1), unnest($2), unnest($3)", columns)
    connection.execute(
        "UPDATE calls SET prompt_sha256 = t.prompt, response_sha256 = t.response FROM texts AS t"
        " WHERE calls.call_id = t.call_id"
    )


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def reads_its_texts(path: Path) -> None:
    """That the texts made here are what the ledger reads is checked on the newest call, by its hashes."""
    with closing(Ledger(path)) as ledger:
        row = ledger.sql("SELECT call_id, response_sha256 FROM calls ORDER BY ts DESC LIMIT 1").iloc[0]
        assert row["response_sha256"] == digest(f"{row['call_id']} is answered {WORDS}")
    with closing(sqlite3.connect(path.with_name("content.sqlite"))) as file:
        assert file.execute("SELECT count(*) FROM contents WHERE sha256 = ?", (row["response_sha256"],)).fetchone()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--events", type=int, default=2000, help="to time one by one; 0 for none")
    parser.add_argument("--rows", type=int, default=100_000, help="of the ledger that is asked; 0 for none")
    parser.add_argument("--no-content", dest="content", action="store_false", help="without prompts and answers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if options.events:
            events(Path(name), options.events)
            seen(Path(name))
        if options.rows:
            many(Path(name), options.rows, options.content)


if __name__ == "__main__":
    main()
