"""`%sekha_route`, `--why` and `%sekha_cost`: what is decided, why, and what it came to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, errors
from sekha_magics.core.types import Decision
from sekha_magics.magics.cost import beginning

from .conftest import Ran
from .parrot import Parrot

Run = Callable[[str], Ran]


@pytest.fixture(autouse=True)
def _registry(registry: Registry) -> None:
    """Every test has the parrot."""


def test_route_shows_the_choice_and_every_candidate_and_sends_nothing(run: Run, shell: InteractiveShell) -> None:
    ran = run("%sekha_route --max-tokens 5 -q -f code why is the sky blue?")
    assert isinstance(ran.value, Decision) and ran.outputs == []
    ran = run("d = %sekha_route why is the sky blue?")
    assert "echo at cage" in ran.plain and "wrong_task" in ran.plain
    assert shell.user_ns["d"].model_id == "echo"
    assert Parrot.heard == []


def test_route_says_and_draws_between_what_the_cost_of_each_candidate_lies(
    run: Run, registry: Registry, parrot: Callable[..., Registry]
) -> None:
    dear = {"model_id": "dear", "tasks": ["chat_small"], "price": {"input": 10, "output": 20}}
    registry.register_provider({"id": "free", "type": "ollama", "models": [{"model_id": "f", "tasks": ["chat_small"]}]})
    registry.register_provider({"id": "shop", "type": "parrot", "models": [dear]})
    ran = run("%sekha_route --max-tokens 100 why is the sky blue?")
    head, _, *rows = ran.plain.splitlines()[3:]
    assert "low to high" in head
    priced = {name: " to $" in next(row for row in rows if name in row.split()) for name in ("echo", "dear", "f")}
    assert priced == {"echo": True, "dear": True, "f": False}
    html = ran.outputs[0].data["text/html"]
    assert html.count("<svg") == html.count("drawn on one scale") == sum(" to $" in row for row in rows)
    parrot(price=False)
    assert "low to high" not in run("%sekha_route hi").plain


def test_route_draws_its_decision_once(run: Run) -> None:
    ran = run("%sekha_route")
    assert len(ran.outputs) == 1
    assert ran.stdout == "Out[1]: "


def test_a_refused_route_says_why_for_each_candidate(run: Run) -> None:
    ran = run("%sekha_route --model nope hi")
    assert isinstance(ran.error, errors.NoEligibleModel)
    assert "not_pinned" in ran.error.message


def test_trying_out_an_emptied_conversation_does_not_empty_it(run: Run, registry: Registry) -> None:
    run("%sekha_chat -q -c trip one")
    run("%sekha_route -c trip --new two")
    assert len(registry.conversation("trip")) == 2


def test_why_explains_the_last_answer_with_its_reasons_and_calls(run: Run, shell: InteractiveShell) -> None:
    answered = run("%sekha_chat -q hello").value
    ran = run("%sekha_route --why")
    (output,) = ran.outputs
    assert ran.value.decision_id == answered.decision.decision_id
    assert ran.value.candidates == answered.decision.candidates
    assert [r.detail for c in ran.value.candidates for r in c.reasons] == [
        r.detail for c in answered.decision.candidates for r in c.reasons
    ]
    assert "outcome: ok" in ran.plain and "wrong_task" in ran.plain
    assert output.metadata["sekha"]["decision_id"] == answered.decision.decision_id


def test_why_explains_any_decision_by_the_beginning_of_its_id(run: Run) -> None:
    first = run("%sekha_chat -q one").value.decision
    run("%sekha_chat -q two")
    ran = run(f"%sekha_route --why {first.decision_id[:12]} -o found")
    assert ran.value.decision_id == first.decision_id


def test_why_tells_what_went_wrong(run: Run, parrot: Callable[..., Registry]) -> None:
    parrot(fail="BadRequest")
    run("%sekha_chat hello")
    ran = run("%sekha_route --why")
    assert "BadRequest on purpose" in ran.plain
    assert "\x1b" not in ran.plain
    assert "<script>" not in ran.outputs[0].data["text/html"]


def test_why_works_when_the_policy_is_no_longer_known(run: Run, registry: Registry) -> None:
    run("%sekha_chat -q -p cheapest hello")
    del registry.state.policies["cheapest"]
    ran = run("%sekha_route --why")
    assert ran.value.policy == "cheapest"
    assert "wrong_task" in ran.plain


def test_why_without_a_decision_says_so(run: Run) -> None:
    assert isinstance(run("%sekha_route --why").error, errors.LedgerError)
    assert isinstance(run("%sekha_route --why zzz").error, errors.LedgerError)
    assert type(run("%sekha_route --why a prompt").error) is UsageError


def test_cost_sums_this_session_exactly(run: Run) -> None:
    for _ in range(3):
        run("%sekha_chat -q one two three")
    ran = run("%sekha_cost")
    assert isinstance(ran.value, pd.DataFrame)
    (row,) = ran.value.to_dict("records")
    assert (row["model_id"], row["provider_id"], row["calls"]) == ("echo", "cage", 3)
    assert row["cost_usd"] == 3 * (3 * Decimal("1e-6") + 3 * Decimal("2e-6"))
    assert isinstance(row["cost_usd"], Decimal)
    assert "$0.000027 in this session" in ran.stdout


def test_cost_of_another_session_counts_only_when_asked_for(run: Run, parrot: Callable[..., Registry]) -> None:
    run("%sekha_chat -q one")
    parrot()
    assert len(run("%sekha_cost").value) == 0
    assert run("%sekha_cost --all").value["calls"].sum() == 1
    assert run("%sekha_cost --since 1h").value["calls"].sum() == 1
    assert len(run("%sekha_cost --since 2999-01-01").value) == 0


def test_an_unpriced_call_is_named_beside_the_sum(run: Run, parrot: Callable[..., Registry]) -> None:
    parrot(price=False)
    run("%sekha_chat -q one")
    run("%sekha_chat -q two")
    ran = run("%sekha_cost")
    assert "2 unpriced calls in this session" in ran.stdout
    assert "unpriced" in ran.stdout and "$0 " not in ran.stdout
    assert ran.value["cost_usd"].tolist() == [None]


@pytest.mark.parametrize(
    ("by", "columns"),
    [
        ("model", ["model_id", "provider_id"]),
        ("provider", ["provider_id"]),
        ("task", ["task"]),
        ("cell", ["notebook", "cell_id"]),
        ("notebook", ["notebook"]),
        ("conversation", ["conversation"]),
        ("day", ["day"]),
        ("session", ["session_id"]),
    ],
)
def test_cost_is_grouped_by_what_is_asked(run: Run, by: str, columns: list[str]) -> None:
    run("%sekha_chat -q -c trip one")
    run("%sekha_chat -q -c trip two")
    frame = run(f"%sekha_cost --by {by}").value
    assert list(frame.columns)[: len(columns)] == columns
    assert frame["calls"].tolist() == [2]


def test_what_is_made_from_the_costs_is_an_ordinary_frame(run: Run) -> None:
    run("%sekha_chat -q one")
    frame = run("%sekha_cost").value
    assert type(frame[["calls"]]) is type(frame.head()) is type(frame.copy()) is pd.DataFrame
    assert frame["calls"].sum() == 1


NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("1w", NOW - timedelta(days=7)),
        ("2026-11-01T10:00+02:00", datetime(2026, 11, 1, 8, tzinfo=UTC)),
        ("2026-11-01T10:00Z", datetime(2026, 11, 1, 10, tzinfo=UTC)),
    ],
)
def test_a_beginning_is_a_span_or_a_moment(text: str, moment: datetime) -> None:
    assert beginning(text, NOW) == moment


def test_days_begin_at_midnight_where_the_user_is() -> None:
    local = NOW.astimezone()
    today = beginning("today", NOW)
    assert today.tzinfo is UTC
    assert (today.astimezone().date(), today.astimezone().hour) == (local.date(), 0)
    assert beginning("yesterday", NOW) == today - timedelta(days=1)
    assert beginning(f"{local:%Y-%m-%d}", NOW) == today


@pytest.mark.parametrize(
    "text", ["soon", "7", "-7d", "2026-13-01", "0001-01-01", "9999999d", "'; DROP TABLE", "99999999999999h"]
)
def test_any_other_beginning_is_a_usage_error(text: str) -> None:
    with pytest.raises(UsageError):
        beginning(text, NOW)


def test_words_cost_does_not_know_are_a_usage_error(run: Run) -> None:
    assert type(run("%sekha_cost yesterday").error) is UsageError
    assert "model|provider"[:5] in run("%sekha_cost --help").stdout
    assert "--why" in run("%sekha_route --help").stdout
