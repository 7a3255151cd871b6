"""`%sekha whatif` and `%sekha_route --why --now`: what else could have been, as a table and as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pandas as pd
import pytest
from IPython.core.error import UsageError

from sekha_magics import Registry, set_registry

from ..registry.stages import provider, registry
from .conftest import Ran

Run = Callable[[str], Ran]


@pytest.fixture(autouse=True)
def reg() -> Iterator[Registry]:
    dear = provider("dear", priority=1, model={"price": {"input": 10, "output": 30}, "tasks": ["chat_small"]})
    cheap = provider("cheap", priority=2, model={"price": {"input": 1, "output": 3}, "tasks": ["chat_small"]})
    with registry(dear, cheap) as made:
        set_registry(made)
        yield made
        set_registry(None)


def test_the_moves_are_shown_and_the_value_has_every_request(run: Run) -> None:
    for question in ("one", "two", "three"):
        run(f"%sekha_chat {question}")
    ran = run("%sekha whatif --policy cheapest")
    assert isinstance(ran.value, pd.DataFrame)
    assert list(ran.value["model"]) == ["cheap-model"] * 3
    assert "3 requests of this session, policy cheapest: " in ran.stdout
    assert "3 would have moved" in ran.stdout
    assert "dear/dear-model" in ran.stdout
    assert "cheap/cheap-model" in ran.stdout
    assert ran.value["cost_then"].sum() > ran.value["cost_high"].sum() > ran.value["cost_low"].sum() > Decimal(0)


def test_without_a_change_nothing_moves(run: Run) -> None:
    run("%sekha_chat one")
    ran = run("%sekha whatif")
    assert "nothing changed" in ran.stdout
    assert "0 would have moved" in ran.stdout


def test_what_could_not_be_answered_is_said_below(run: Run) -> None:
    run("%sekha_chat one")
    ran = run("%sekha whatif --model elsewhere")
    assert "1 could not have been answered, and cost nothing here: elsewhere was not configured then" in ran.stdout
    assert "nobody" in ran.stdout


def test_no_requests_are_no_error(run: Run) -> None:
    assert "(no requests)" in run("%sekha whatif --local-only --since 1h").stdout
    assert "(no requests)" in run("%sekha whatif --all").stdout


@pytest.mark.parametrize("line", ["surplus", "--modell x", "--since nonsense", "--max-cost -1"])
def test_a_line_it_does_not_understand_is_an_error(run: Run, line: str) -> None:
    assert isinstance(run(f"%sekha whatif {line}").error, UsageError)


def test_names_that_are_markup_stay_text(run: Run) -> None:
    hostile = provider("evil", model={"model_id": "<img src=x onerror=alert(1)>", "tasks": ["chat_small"]})
    with registry(hostile) as made:
        set_registry(made)
        run("%sekha_chat one")
        page = run("%sekha whatif").value._repr_mimebundle_()["text/html"]
        assert "<img" not in page
        assert "&lt;img" in page


def test_why_now_says_that_nothing_changed_or_what_did(run: Run, reg: Registry) -> None:
    run("%sekha_chat one")
    again = run("%sekha_route --why --now").plain
    assert "today: dear/dear-model again" in again
    assert "nothing that matters here has changed" in again
    permit = reg.state.admit("dear")
    assert permit is not None
    from sekha_magics.errors import ConnectionFailed

    reg.state.settle("dear", permit, ConnectionFailed("nobody", refused=True))
    later = run("%sekha_route --why --now").plain
    assert "today: cheap/cheap-model" in later
    assert "the state of the providers" in later
    # The decision itself is shown as it was.
    assert "dear-model at dear" in later.split("today:")[0]


def test_now_alone_is_an_error_that_says_where_it_belongs(run: Run) -> None:
    ran = run("%sekha_route --now hello")
    assert isinstance(ran.error, UsageError)
    assert "--why --now" in str(ran.error)
