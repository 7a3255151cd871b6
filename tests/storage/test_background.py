"""The thread behind: it works when it is due, ends when it is told, and begins anew in a forked child."""

from __future__ import annotations

import os
import threading

import pytest

from sekha_magics.storage.background import BackgroundFold


class Work:
    """Counts its calls; says there is more to do until `enough` of them."""

    def __init__(self, enough: int = 1) -> None:
        self.calls, self.enough = 0, enough
        self.done = threading.Event()

    def __call__(self) -> bool:
        self.calls += 1
        if self.calls >= self.enough:
            self.done.set()
        return self.calls < self.enough


def test_it_works_when_there_is_much() -> None:
    work = Work()
    folding = BackgroundFold(work, rows=3, seconds=3600)
    folding.notice()
    folding.notice()
    assert not work.done.wait(0.1)
    folding.notice()
    assert work.done.wait(10)
    folding.close()


def test_it_works_when_it_is_old() -> None:
    work = Work()
    folding = BackgroundFold(work, rows=1000, seconds=0.05)
    folding.notice()
    assert work.done.wait(10)
    folding.close()


def test_it_comes_back_while_something_is_left() -> None:
    work = Work(enough=3)
    folding = BackgroundFold(work, rows=1, seconds=0.05)
    folding.notice()
    assert work.done.wait(10)
    folding.close()


def test_closing_works_once_more_and_a_notice_after_it_begins_anew() -> None:
    work = Work(enough=2)
    folding = BackgroundFold(work, seconds=3600)
    folding.close()
    assert work.calls == 0, "there was nothing to do"
    folding.notice()
    folding.close()
    assert work.calls == 1
    folding.notice()
    folding.close()
    assert work.calls == 2


def test_closing_leaves_no_thread_behind_that_could_wake_up_in_a_dead_interpreter() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> bool:
        begun.set()
        go_on.wait(30)
        return False

    before = set(threading.enumerate())
    folding = BackgroundFold(work, rows=1)
    folding.notice()
    assert begun.wait(10)
    (started,) = set(threading.enumerate()) - before
    threading.Timer(0.1, go_on.set).start()
    folding.close()
    assert not started.is_alive()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_begins_its_own() -> None:
    work = Work()
    folding = BackgroundFold(work, rows=1, seconds=3600)
    folding.notice()
    assert work.done.wait(10)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work.done.clear()
            folding.notice()
            code = 0 if work.done.wait(10) else 2
            folding.close()
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    folding.close()
