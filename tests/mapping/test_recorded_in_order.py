"""A job that a cassette records leaves its lines in the order of the rows, whichever answer came first."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from itertools import islice
from pathlib import Path

import pytest

from sekha_magics.registry import Registry
from tests.registry.stages import provider, registry
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .test_many_prompts import at

SCRIPT = Path(__file__).with_name("record_until_killed.py")
ROOT = Path(__file__).parents[2]
TEXTS = [f"prompt {n:02}" for n in range(30)]


def prompts(path: Path) -> list[str]:
    """The last words of each recorded request, in the order of the file."""
    lines = [json.loads(line) for line in path.read_bytes().splitlines()]
    return [line["request"]["messages"][-1]["text"] for line in lines if "request" in line]


def late_first(upstream: Upstream) -> None:
    """Of every eight answers the first comes last."""
    upstream.script(*[Answer(delay=0.2 if n % 8 == 0 else 0.0) for n in range(len(TEXTS))])


@pytest.fixture
def tape(tmp_path: Path) -> Path:
    return tmp_path / "tape.jsonl"


def test_lines_stand_in_the_order_of_the_rows_and_a_second_recording_is_the_same(
    tape: Path, upstream: Upstream
) -> None:
    contents = []
    for _ in range(2):
        late_first(upstream)
        with at(upstream, price={}) as reg:
            reg.use_cassette(tape, "record")
            assert [str(answer) for answer in reg.map(TEXTS, resume=False)] == TEXTS
        assert prompts(tape) == TEXTS
        contents.append(tape.read_bytes())
    assert contents[0] == contents[1]
    with Registry.replaying(tape) as again:
        assert [str(answer) for answer in again.map(TEXTS)] == TEXTS


def test_rows_that_fail_and_rows_that_are_the_same_keep_their_places(tape: Path, upstream: Upstream) -> None:
    texts = [*TEXTS[:10], TEXTS[3], *TEXTS[10:]]
    upstream.script(*[Answer(status=400) if n in (2, 7) else Answer(delay=0.2 * (n % 3 == 0)) for n in range(30)])
    with at(upstream, price={}) as reg:
        reg.use_cassette(tape, "record")
        lived = [answer.ok for answer in reg.map(texts, resume=False, concurrency=5)]
    # Two requests, one of which may have been that of the row that is there twice.
    assert lived.count(False) in (2, 3) and prompts(tape) == TEXTS
    with Registry.replaying(tape) as again:
        assert [answer.ok for answer in again.map(texts)] == lived


def test_what_others_record_meanwhile_stays_where_it_is_and_is_not_lost(tape: Path, upstream: Upstream) -> None:
    late_first(upstream)
    with at(upstream, price={}) as reg:
        reg.use_cassette(tape, "record")
        reg.chat("before")

        def aside() -> None:
            for n in range(5):
                reg.chat(f"aside {n}")

        thread = threading.Thread(target=aside)
        job = iter(reg.map(TEXTS, resume=False))
        next(job)
        thread.start()
        assert len(list(job)) == len(TEXTS) - 1
        thread.join()
        reg.chat("after")
    said = prompts(tape)
    assert [text for text in said if text in TEXTS] == TEXTS
    assert [text for text in said if text.startswith("aside")] == [f"aside {n}" for n in range(5)]
    assert said[0] == "before" and said[-1] == "after" and len(said) == len(TEXTS) + 7


def test_a_job_that_is_left_and_taken_up_again_is_in_order_as_a_whole(tape: Path, upstream: Upstream) -> None:
    late_first(upstream)
    with at(upstream, price={}) as reg:
        reg.use_cassette(tape, "record")
        job = reg.map(TEXTS, resume=False)
        rows = iter(job)
        assert len(list(islice(rows, 12))) == 12
        rows.close()  # type: ignore[attr-defined]
        begun = prompts(tape)
        assert begun == sorted(begun) and len(begun) >= 12
        assert all(answer.ok for answer in job)
    assert prompts(tape) == TEXTS


def test_two_jobs_at_once_are_each_in_order(tape: Path) -> None:
    with registry(provider("stage", delay=0.001)) as reg:
        reg.use_cassette(tape, "record")
        jobs = [reg.map([f"{name} {n:02}" for n in range(20)], resume=False) for name in "ab"]
        threads = [threading.Thread(target=lambda job=job: list(job)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for name in "ab":
        mine = [text for text in prompts(tape) if text.startswith(name)]
        assert mine == sorted(mine) and len(mine) == 20


def test_a_cassette_that_is_completed_appends_in_the_order_of_the_rows(tape: Path, upstream: Upstream) -> None:
    with at(upstream, price={}) as reg:
        reg.use_cassette(tape, "record")
        reg.chat(TEXTS[4])
        head = tape.read_bytes()
        late_first(upstream)
        reg.use_cassette(tape, "auto")
        assert [str(answer) for answer in reg.map(TEXTS, resume=False)] == TEXTS
    assert tape.read_bytes().startswith(head)
    assert prompts(tape) == [TEXTS[4], *TEXTS[:4], *TEXTS[5:]]


def test_a_job_that_is_killed_loses_no_line(tape: Path, upstream: Upstream) -> None:
    upstream.script(*[Answer(delay=0.1 if n % 8 == 0 else 0.0) for n in range(40)])
    upstream.default = Answer(hang=True)
    child = subprocess.Popen([sys.executable, str(SCRIPT), upstream.url("openai"), str(tape)], cwd=ROOT)
    upstream.wait_for(40 + 8)
    # The last of the forty are answered before eight others are under way, and recorded before their slots are free.
    child.kill()
    child.wait()
    said = prompts(tape)
    assert len(said) == 40 and len(set(said)) == 40
    with Registry.replaying(tape) as again:
        assert [str(answer) for answer in again.map(said)] == said


def test_a_folder_that_cannot_be_written_at_the_end_leaves_the_answers(tape: Path, upstream: Upstream) -> None:
    late_first(upstream)
    with at(upstream, price={}) as reg:
        reg.use_cassette(tape, "record")
        job = iter(reg.map(TEXTS, resume=False))
        next(job)
        tape.unlink()
        tape.mkdir()
        with pytest.warns(UserWarning, match="cassette|recorded"):
            assert len(list(job)) == len(TEXTS) - 1
