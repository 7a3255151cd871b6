"""Several kernels and threads on one memory, deaths at any moment: nothing that was acknowledged is lost."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from .models import Models

ROOT = Path(__file__).parents[2]


def process(stack: ExitStack, script: str, *arguments: object) -> subprocess.Popen[str]:
    """A script of this folder in a process of its own, killed at the end at the latest."""
    command = [sys.executable, "-m", f"tests.memory.{script}", *map(str, arguments)]
    started = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    stack.enter_context(started)
    stack.callback(started.kill)
    return started


def test_four_kernels_add_while_two_search_and_two_are_killed(tmp_path: Path) -> None:
    with ExitStack() as stack:
        searching = [process(stack, "search_until_told", tmp_path) for _ in range(2)]
        doomed = [process(stack, "add_some", tmp_path, f"doomed{i}", 0) for i in range(2)]
        others = [process(stack, "add_some", tmp_path, f"other{i}", 60) for i in range(2)]
        acknowledged: set[str] = set()
        for number, one in enumerate(doomed):
            for _ in range(15 + 20 * number):
                acknowledged.add(one.stdout.readline().strip())
            one.kill()
            acknowledged |= set(one.stdout.read().split())
        for one in others:
            acknowledged |= set(one.stdout.read().split())
            assert one.wait() == 0
        for one in searching:
            one.stdin.close()
            said = one.stdout.read().split()
            assert one.wait() == 0, "a search failed, or lost what it had found"
            assert int(said[0]) > 0
    assert len(acknowledged) >= 170
    models = Models({"m": 64, "n": 64})
    memory = models.memory(tmp_path)
    kept = set(memory.messages()["message_id"])
    assert acknowledged <= kept
    # What the dead left without a vector is seen to by the next kernel.
    assert memory.flush() == 0
    assert set(memory.search("says", 10_000, "vector")["message_id"]) == kept
    assert set(memory.search("says", 10_000, "text")["message_id"]) == kept
    assert memory.fold()
    assert set(memory.search("says", 10_000, "vector")["message_id"]) == kept
    memory.close()


def test_threads_of_one_kernel_add_search_delete_and_fold_at_once(tmp_path: Path) -> None:
    models = Models({"m": 32})
    memory = models.memory(tmp_path)

    def work(number: int) -> list[str]:
        kept = []
        for turn in range(15):
            first, second = memory.add([f"{number} {turn} stays", f"{number} {turn} goes"], conversation=f"c{number}")
            kept.append(first)
            memory.search(f"{number} {turn}", 5)
            memory.delete(message=second)
            if turn % 5 == number % 5:
                memory.fold()
        return kept

    with ThreadPoolExecutor(6) as pool:
        kept = {message_id for ids in pool.map(work, range(6)) for message_id in ids}
    assert memory.flush() == 0
    assert set(memory.messages()["message_id"]) == kept
    assert set(memory.search("stays", 1000, "vector")["message_id"]) == kept
    assert memory.search("goes", 10, "text").empty
    embedded = [text for _, texts in models.asked for text in texts if text.endswith(" stays")]
    assert sorted(embedded) == sorted(set(embedded)), "a text was paid for twice"
    memory.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_adds_beside_its_parent(tmp_path: Path) -> None:
    memory = Models({"m": 32}).memory(tmp_path)
    memory.add("from the parent")
    memory.search("parent")

    def child() -> None:
        memory.add("from a child")
        memory.flush()
        assert len(memory.search("child", 10, "vector")) >= 1

    forked = multiprocessing.get_context("fork").Process(target=child)
    forked.start()
    forked.join(60)
    assert forked.exitcode == 0
    memory.add("from the parent again")
    assert memory.flush() == 0
    assert len(memory.search("from", 10, "vector")) == 3
    memory.close()
