"""The breaker under every order of events, against a plain account of what was promised."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from sekha_magics.core.breaker import Breaker, BreakerRules, Permit

RULES = BreakerRules(failure_threshold=3, timeout_secs=60, success_threshold=2)


def failing(times: int, *, at: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(times):
        breaker, permit = breaker.admit(at, RULES)
        assert permit is not None
        breaker = breaker.failed(permit, at, RULES)
    return breaker


def test_it_opens_at_the_threshold_and_not_before():
    assert failing(2).state(0, RULES) == "closed"
    assert failing(3).state(0, RULES) == "open"
    assert failing(3).admit(59.9, RULES)[1] is None


def test_one_success_forgets_the_failures_before_it():
    breaker, permit = failing(2).admit(0, RULES)
    assert permit is not None
    assert breaker.succeeded(permit, RULES) == Breaker()


def test_half_open_admits_one_probe_and_closes_after_enough_successes():
    breaker = failing(3)
    assert breaker.state(60, RULES) == "half_open"
    for left in (1, 0):
        breaker, probe = breaker.admit(60, RULES)
        assert probe is not None
        assert probe.probe
        assert breaker.admit(61, RULES)[1] is None
        breaker = breaker.succeeded(probe, RULES)
        assert breaker.state(61, RULES) == ("half_open" if left else "closed")


def test_a_failed_probe_opens_it_for_the_whole_time_again():
    breaker, probe = failing(3).admit(60, RULES)
    assert probe is not None
    breaker = breaker.failed(probe, 70, RULES)
    assert (breaker.state(129, RULES), breaker.state(130, RULES)) == ("open", "half_open")
    assert breaker.failures == 4


def test_a_probe_that_says_nothing_makes_room_for_the_next():
    breaker, probe = failing(3).admit(60, RULES)
    assert probe is not None
    breaker = breaker.released(probe)
    assert breaker.state(60, RULES) == "half_open"
    assert breaker.admits(60, RULES)


def test_nobody_listening_opens_it_at_once():
    breaker, permit = Breaker().admit(5, RULES)
    assert permit is not None
    assert breaker.failed(permit, 5, RULES, refused=True).state(5, RULES) == "open"


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_what_was_under_way_when_it_opened_changes_nothing(outcome):
    opened = failing(3)
    late = Permit(0, probe=False)
    after = opened.succeeded(late, RULES) if outcome == "succeeded" else opened.failed(late, 9, RULES)
    assert after == opened


def test_a_reset_closes_it_and_a_probe_from_before_is_not_heard():
    breaker, probe = failing(3).admit(60, RULES)
    assert probe is not None
    fresh = breaker.reset()
    assert fresh.state(60, RULES) == "closed"
    assert fresh.failed(probe, 60, RULES, refused=True) == fresh


class AnyOrder(RuleBasedStateMachine):
    """Requests begin, end and overlap at any time."""

    under_way = Bundle("under_way")

    @initialize(
        failures=st.integers(1, 4), seconds=st.floats(0, 100), successes=st.integers(1, 3), start=st.floats(0, 1e6)
    )
    def begin(self, failures: int, seconds: float, successes: int, start: float) -> None:
        self.rules = BreakerRules(failures, seconds, successes)
        self.now = start
        self.breaker = Breaker()
        self.probes: list[Permit] = []
        self.in_a_row = 0
        self.opened_at: float | None = None
        self.answered = 0

    @rule(seconds=st.floats(0, 150))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(target=under_way)
    def ask(self):
        before = self.breaker
        self.breaker, permit = self.breaker.admit(self.now, self.rules)
        assert (permit is not None) == before.admits(self.now, self.rules)
        if permit is None:
            assert self.opened_at is not None
            assert self.probes or self.now < self.opened_at + self.rules.timeout_secs
            assert self.breaker == before
            return multiple()
        assert permit.probe == (self.opened_at is not None)
        if permit.probe:
            self.probes.append(permit)
        return permit

    @rule(permit=consumes(under_way), refused=st.booleans())
    def it_fails(self, permit: Permit, refused: bool) -> None:
        counts = self._ends(permit)
        self.breaker = self.breaker.failed(permit, self.now, self.rules, refused=refused)
        if counts:
            self.in_a_row += 1
            if refused or permit.probe or self.in_a_row >= self.rules.failure_threshold:
                self.opened_at, self.answered = self.now, 0

    @rule(permit=consumes(under_way))
    def it_is_answered(self, permit: Permit) -> None:
        counts = self._ends(permit)
        self.breaker = self.breaker.succeeded(permit, self.rules)
        if counts and self.opened_at is None:
            self.in_a_row = 0
        elif counts:
            self.answered += 1
            if self.answered >= self.rules.success_threshold:
                self.opened_at, self.in_a_row = None, 0

    @rule(permit=consumes(under_way))
    def it_says_nothing(self, permit: Permit) -> None:
        self._ends(permit)
        self.breaker = self.breaker.released(permit)

    @rule()
    def reset(self) -> None:
        self.breaker = self.breaker.reset()
        self.opened_at, self.in_a_row, self.answered, self.probes = None, 0, 0, []

    def _ends(self, permit: Permit) -> bool:
        """Whether what came of it is heard."""
        if permit in self.probes:
            self.probes.remove(permit)
        return permit.period == self.breaker.period

    @invariant()
    def as_promised(self) -> None:
        assert len(self.probes) <= 1
        state = self.breaker.state(self.now, self.rules)
        if self.opened_at is None:
            assert state == "closed"
            assert self.breaker.failures == self.in_a_row < self.rules.failure_threshold
        else:
            half = self.now >= self.opened_at + self.rules.timeout_secs
            assert state == ("half_open" if half else "open")
        assert self.breaker.failures == self.in_a_row


AnyOrder.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestAnyOrder = AnyOrder.TestCase
