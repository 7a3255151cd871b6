"""The file of budgets: no reservation passes a limit, nothing counted is lost, and the dead pay what they reserved."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from sekha_magics.core.budget import Figures
from sekha_magics.storage.budgets import BudgetFile, Demand, Lease, Refused, Threshold

POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
LIMITS = {"a": 100, "b": 60, "c": None}


@pytest.fixture
def file(tmp_path: Path):
    file = BudgetFile(tmp_path / "new" / "budgets.sqlite")
    yield file
    file.close()


def reserve(file: BudgetFile, amount: int, limit: int | None = 100, account: str = "a") -> Lease:
    lease = file.reserve(amount, [Demand(account, limit)])
    assert isinstance(lease, Lease)
    return lease


class Kernels(RuleBasedStateMachine):
    """Kernels that reserve, settle, count and die, beside a model of what the accounts must hold."""

    leases = Bundle("leases")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "budgets.sqlite"
        self.kernels = [BudgetFile(self.path), BudgetFile(self.path)]
        self.spent, self.reserved = dict.fromkeys(LIMITS, 0), dict.fromkeys(LIMITS, 0)
        self.unlimited = dict.fromkeys(LIMITS, 0)
        self.open: dict[str, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            for kernel in self.kernels:
                kernel.close()
                kernel.renew_after_fork()
            self.folder.cleanup()

    @rule(
        target=leases,
        kernel=st.integers(0, 1),
        amount=st.integers(0, 40),
        accounts=st.lists(st.sampled_from(sorted(LIMITS)), min_size=1, unique=True),
    )
    def reserve(self, kernel: int, amount: int, accounts: list[str]) -> Lease | None:
        answer = self.kernels[kernel].reserve(amount, [Demand(a, LIMITS[a]) for a in accounts])
        full = [
            a for a in accounts
            if amount and LIMITS[a] is not None and self.spent[a] + self.reserved[a] + amount > LIMITS[a]
        ]  # fmt: skip
        if full:
            assert isinstance(answer, Refused)
            assert (answer.account, answer.figures) == (full[0], Figures(self.spent[full[0]], self.reserved[full[0]]))
            return None
        assert isinstance(answer, Lease)
        self.open[answer.lease_id] = kernel
        for a in accounts:
            self.reserved[a] += amount
        return answer

    @rule(lease=consumes(leases), share=st.integers(0, 100), kernel=st.integers(0, 1))
    def settle(self, lease: Lease | None, share: int, kernel: int) -> None:
        if lease is None or self.open.pop(lease.lease_id, None) is None:
            return
        cost = lease.amount * share // 100
        self.kernels[kernel].settle(lease, cost)
        for a in lease.accounts:
            self.reserved[a] -= lease.amount
            self.spent[a] += cost

    @rule(cost=st.integers(0, 3), account=st.sampled_from(sorted(LIMITS)))
    def count(self, cost: int, account: str) -> None:
        self.kernels[0].count(cost, [account])
        self.spent[account] += cost
        self.unlimited[account] += cost

    @rule(kernel=st.integers(0, 1), leases=st.just(None))
    def die(self, kernel: int, leases: None) -> None:
        # What the end of a process does to its sign of life, and to nothing else.
        self.kernels[kernel].renew_after_fork()
        self.kernels[kernel] = BudgetFile(self.path)
        dead = {lease for lease, owner in self.open.items() if owner == kernel}
        before = {a: self.kernels[1 - kernel].figures([a])[a] for a in LIMITS}
        settled = self.kernels[1 - kernel].settle_the_dead()
        assert settled == len(dead)
        for a in LIMITS:
            after = self.kernels[1 - kernel].figures([a])[a]
            assert sum(after) == sum(before[a]), "what was reserved is taken for spent"
            self.spent[a], self.reserved[a] = after
        for lease in dead:
            del self.open[lease]

    @invariant()
    def the_file_holds_what_was_done(self) -> None:
        if hasattr(self, "kernels"):
            held = self.kernels[0].figures(sorted(LIMITS))
            assert held == {a: Figures(self.spent[a], self.reserved[a]) for a in LIMITS}

    @invariant()
    def no_reservation_passed_a_limit(self) -> None:
        if hasattr(self, "kernels"):
            for a, limit in LIMITS.items():
                assert limit is None or self.spent[a] + self.reserved[a] - self.unlimited[a] <= limit


Kernels.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestKernels = Kernels.TestCase


def test_reading_makes_no_file(file: BudgetFile) -> None:
    assert file.figures(["a"]) == {"a": Figures()} and file.settle_the_dead() == 0
    assert not file.path.parent.exists()


def test_all_accounts_are_reserved_on_or_none(file: BudgetFile) -> None:
    refused = file.reserve(10, [Demand("a", 100), Demand("b", 9)])
    assert refused == Refused("b", Figures(0, 0))
    assert file.figures(["a", "b"]) == {"a": Figures(), "b": Figures()}


def test_more_than_was_reserved_is_counted_too(file: BudgetFile) -> None:
    file.settle(reserve(file, 10), 15)
    assert file.figures(["a"])["a"] == Figures(15, 0)


def test_amounts_beyond_sixty_four_bits_stay_exact(file: BudgetFile) -> None:
    huge = 10**30 + 1
    file.settle(reserve(file, huge, None), huge)
    assert file.figures(["a"])["a"] == Figures(huge, 0)


def test_a_warning_is_due_once_for_each_limit_of_an_account(file: BudgetFile) -> None:
    low, high = Threshold("a", 80, 100), Threshold("a", 160, 200)
    assert file.settle(reserve(file, 79), 79, [low]) == []
    assert file.settle(reserve(file, 1), 1, [low]) == [low]
    assert BudgetFile(file.path).settle(reserve(file, 5), 5, [low]) == []
    assert file.settle(reserve(file, 90, 200), 90, [high]) == [high]


def test_a_cost_is_counted_although_somebody_deleted_the_file(file: BudgetFile) -> None:
    lease = reserve(file, 10)
    for path in file.path.parent.glob("budgets.sqlite*"):
        if path.is_file():
            path.unlink()
    file.settle(lease, 7)
    assert file.figures(["a"])["a"] == Figures(7, 0)


def test_many_that_use_the_file_first_at_the_same_time_share_one(tmp_path: Path) -> None:
    files = [BudgetFile(tmp_path / "budgets.sqlite") for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda file: file.reserve(10, [Demand("a", 100)]), files))
    assert sum(isinstance(answer, Lease) for answer in answers) == 10
    assert files[0].figures(["a"])["a"] == Figures(0, 100)
    for file in files:
        file.close()
    assert BudgetFile(tmp_path / "budgets.sqlite").settle_the_dead() == 0, "this process is alive, closed or not"


def test_a_kernel_that_ends_tidily_leaves_no_sign(file: BudgetFile) -> None:
    file.settle(reserve(file, 10), 10)
    file.close()
    assert list(file.path.parent.glob("budgets.sqlite.kernels/*")) == []


HOLD = """
import sys
from pathlib import Path
from sekha_magics.storage.budgets import BudgetFile, Demand
file = BudgetFile(Path(sys.argv[1]))
file.reserve(30, [Demand("a", 100)])
print("held", flush=True)
sys.stdin.read()
"""


def test_what_a_killed_process_reserved_is_taken_for_spent_and_not_before(file: BudgetFile) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(file.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert file.settle_the_dead() == 0 and file.figures(["a"])["a"] == Figures(0, 30)
    finally:
        process.kill()
        process.communicate()
    # The first reservation of a kernel settles what others left behind.
    reserve(file, 5)
    assert file.figures(["a"])["a"] == Figures(30, 5)
    assert file.settle_the_dead() == 0


@POSIX
def test_a_child_reserves_for_itself_and_its_parent_stays_alive(file: BudgetFile) -> None:
    own = reserve(file, 10)
    pid = os.fork()
    if pid == 0:
        reserve(file, 20)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert file.settle_the_dead() == 1, "the child's, not the parent's"
    assert file.figures(["a"])["a"] == Figures(20, 10)
    file.settle(own, 3)
    assert file.figures(["a"])["a"] == Figures(23, 0)
