"""A correction follows what was seen, and never makes a range narrower."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.catalogue import Catalogue, Entry, Price, Rate, Snapshot
from sekha_magics.core.decide import decide
from sekha_magics.core.learning import AnswerLength, Correction, corrected, correction, length
from sekha_magics.core.policies import BUILT_IN
from sekha_magics.core.spread import spread
from sekha_magics.core.types import Request, TokenEstimate
from sekha_magics.habits import Habits, Observed
from sekha_magics.ledger.rows import request_from_json

estimates = st.tuples(*[st.integers(0, 100_000)] * 3).map(lambda t: TokenEstimate(*sorted(t)))
ratios = st.lists(st.floats(0, 1e6, allow_nan=False), max_size=60)


@given(ratios, estimates)
def test_a_corrected_range_holds_the_old_one_and_what_is_expected(seen, estimate):
    learned = correction(seen)
    if len(seen) < 3:
        assert learned is None
        return
    assert learned is not None
    now = corrected(estimate, learned)
    assert 0 <= now.low <= now.expected <= now.high
    assert now.low <= estimate.low
    assert now.high >= estimate.high


@given(st.integers(50, 10_000), st.lists(st.floats(0.2, 7.9), min_size=3, max_size=50))
def test_every_count_that_was_seen_lies_in_the_range_of_the_same_prompt(expected, seen):
    learned = correction(seen)
    assert learned is not None
    now = corrected(TokenEstimate(expected, expected, expected), learned)
    assert all(now.low <= expected * ratio <= now.high for ratio in seen)


@given(st.lists(st.integers(1, 5_000), min_size=3, max_size=60))
def test_the_length_of_an_answer_is_the_median_between_the_extremes(seen):
    usual = length(seen)
    assert usual is not None
    assert min(seen) == usual.low <= usual.expected <= usual.high == max(seen)


calls = st.lists(
    st.builds(Observed, st.just("a"), st.sampled_from("mn"), st.just("chat_small"), st.none() | st.integers(0, 500),
              st.integers(0, 500), st.none() | st.integers(0, 500)),
    max_size=90,
)  # fmt: skip


@given(calls, calls)
def test_what_is_read_later_of_earlier_sessions_counts_as_if_it_had_been_seen_before(earlier, now):
    seen_in_order, read_late = Habits(), Habits()
    for observed in (*earlier, *now):
        seen_in_order.seen(observed)
    for observed in now:
        read_late.seen(observed)
    read_late.seen_before(earlier)
    assert (read_late.corrections, read_late.lengths) == (seen_in_order.corrections, seen_in_order.lengths)


PRICED = Price("config", Rate(Decimal(1)), Rate(Decimal(10)))
ENTRY = Entry(0, "a", "openai", "gpt-4o", ("chat_small",), price=PRICED, family="gpt-4o")
REQUEST = Request(input_tokens=TokenEstimate(10, 100, 200), counted=(("gpt-4o", TokenEstimate(80, 90, 110)),))


def test_a_decision_goes_by_the_familys_count_its_correction_and_the_usual_length_of_an_answer():
    snapshot = Snapshot(
        Catalogue((ENTRY,)),
        corrections={("a", "gpt-4o"): Correction(1.0, 1.4, 1.5, 9)},
        lengths={("a", "gpt-4o", "chat_small"): AnswerLength(20, 50, 3_000, 9)},
    )
    decision = decide(REQUEST, snapshot, BUILT_IN["priority"])
    (candidate,) = decision.candidates
    assert candidate.input_tokens == TokenEstimate(80, 126, 149)
    assert (candidate.planned_output_tokens, candidate.expected_output_tokens) == (1024, 50)
    assert decision.estimated_cost == Decimal(126 + 50 * 10) / 1_000_000
    assert spread(decision, candidate) == (
        Decimal(80 + 200) / 1_000_000, decision.estimated_cost, Decimal(149 + 30_000) / 1_000_000
    )  # fmt: skip
    again = Snapshot.from_json(snapshot.to_json(), snapshot.catalogue)
    assert again == snapshot
    assert decide(REQUEST, again, BUILT_IN["priority"]).candidates == decision.candidates


def test_an_answer_that_is_cut_is_not_expected_to_be_longer():
    lengths = {("a", "gpt-4o", "chat_small"): AnswerLength(20, 5_000, 6_000, 9)}
    snapshot = Snapshot(Catalogue((ENTRY,)), lengths=lengths)
    for limited in ({"max_tokens": 300}, {"max_cost": Decimal(1)}):
        request = Request(input_tokens=REQUEST.input_tokens, **limited)
        (candidate,) = decide(request, snapshot, BUILT_IN["priority"]).candidates
        assert candidate.expected_output_tokens == candidate.planned_output_tokens
    assert decide(REQUEST, snapshot, BUILT_IN["priority"]).candidates[0].expected_output_tokens == 5_000


def test_a_request_that_an_older_version_logged_can_still_be_decided():
    text = '{"images": [], "input_tokens": [1, 2, 3], "max_cost": null, "operation": "chat"}'
    assert request_from_json(text) == Request(input_tokens=TokenEstimate(1, 2, 3))
