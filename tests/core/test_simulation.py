"""What a provider may be made to pretend."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.simulation import LONGEST_SECONDS, Simulation
from sekha_magics.errors import InvalidInput

anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([])


@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(("down", "latency", "status", "probability", "retry_after", "cut", "seed"), anything),
    )
)
def test_whatever_is_given_is_a_sound_simulation_or_an_error_that_says_what_it_should_be(given: dict[str, Any]) -> None:
    try:
        simulation = Simulation(**given)
    except InvalidInput as error:
        assert error.message and len(str(error)) < 300
        return
    assert str(simulation)
    assert simulation.down or simulation.latency is not None or simulation.status or simulation.cut
    assert 0 < simulation.probability <= 1
    for seconds in (simulation.latency, simulation.retry_after):
        assert seconds is None or 0 <= seconds <= LONGEST_SECONDS


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "nothing to simulate"),
        ({"down": 1}, "True or False"),
        ({"latency": -1}, "0 to 3600"),
        ({"latency": math.nan}, "0 to 3600"),
        ({"latency": math.inf}, "0 to 3600"),
        ({"latency": "8s"}, "in seconds"),
        ({"latency": True}, "in seconds"),
        ({"status": 200}, "400 to 599"),
        ({"status": 429.0}, "400 to 599"),
        ({"status": 429, "probability": 0}, "above 0"),
        ({"status": 429, "probability": 1.5}, "above 0"),
        ({"cut": 0}, "1 or more"),
        ({"cut": 10**400}, "1 or more"),
        ({"down": True, "status": 500}, "answers nothing"),
        ({"down": True, "cut": 3}, "answers nothing"),
        ({"latency": 1, "probability": 0.5}, "`status`"),
        ({"status": 500, "retry_after": 1}, "429 or 503"),
        ({"status": 500, "cut": 3}, "no answer to cut"),
        ({"status": 500, "seed": 1}, "left to chance"),
    ],
)
def test_what_cannot_be_is_refused_in_words(given: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Simulation(**given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("simulation", "said"),
    [
        (Simulation(down=True), "down"),
        (Simulation(latency=0.5, down=True), "down, 0.5 s late"),
        (Simulation(status=429, probability=0.3, retry_after=2), "429 to 30% of attempts, retry after 2 s"),
        (Simulation(latency=8, cut=1), "8 s late, cut after 1 token"),
    ],
)
def test_it_says_itself_in_a_few_words(simulation: Simulation, said: str) -> None:
    assert str(simulation) == said
