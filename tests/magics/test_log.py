"""`%sekha log`: looking back, looking for, taking a copy, forgetting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, errors
from sekha_magics.ledger.pruning import Pruned
from sekha_magics.ledger.searching import PLACES
from sekha_magics.magics import options

from .conftest import Ran
from .test_completion import offered

Run = Callable[[str], Ran]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: Registry) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_text_is_found_with_the_words_around_it(run: Run) -> None:
    run("%sekha_chat -q tell me about cats <b>and dogs</b>")
    run("%sekha_chat -q something else")
    for line in ('search "Cats <B>"', "search cats <b>and", "search -n 5 'cats <b>'", "search cats --in prompt"):
        ran = run(f"%sekha log {line}")
        assert isinstance(ran.value, pd.DataFrame) and len(ran.value) == 1, line
        assert "1 decision with" in ran.stdout and "about cats <b>and dogs</b>" in ran.stdout
        assert "<b>" not in ran.value._repr_mimebundle_()["text/html"]
    assert len(run("%sekha log search cats --in notebook").value) == 0
    assert "it stands nowhere" in run("%sekha log search zebra").stdout


def test_what_is_shown_is_bounded_and_says_so(run: Run) -> None:
    for number in range(3):
        run(f"%sekha_chat -q the same {number}")
    ran = run("%sekha log search same -n 2 --since 1h")
    assert len(ran.value) == 2 and "3 decisions with 'same', the newest 2" in ran.stdout
    assert ran.value["decision_id"].str.len().eq(32).all()


def test_texts_that_are_not_kept_are_named(run: Run, parrot: Callable[..., Registry]) -> None:
    parrot(content="hash")
    run("%sekha_chat -q what was it")
    shown = run("%sekha log search what").stdout
    assert "The texts of 1 chat are not kept and could not be searched." in shown
    assert "it stands nowhere in what is kept" in shown


def test_a_copy_is_written_where_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    run("%sekha_chat -q one")
    assert run('%sekha log export "my calls.csv"').value == [str(tmp_path / "my calls.csv")]
    assert len(pd.read_csv(tmp_path / "my calls.csv")) == 1
    run("%sekha log export costs.parquet --table costs")
    assert "unpriced_calls" in pd.read_parquet(tmp_path / "costs.parquet").columns
    files = run("%sekha log export everything").value
    assert str(tmp_path / "everything" / "decisions.parquet") in files


def test_pruning_says_first_what_would_go(run: Run, registry: Registry) -> None:
    run("%sekha_chat -q recognisable words")
    limit = registry.budget.status()
    ran = run("%sekha log prune --older 0d")
    assert "1 of 1 decision would go" in ran.stdout and "Add --yes" in ran.stdout
    assert len(registry.ledger.decisions()) == 1
    ran = run("%sekha log prune --older 0d --yes")
    assert "1 of 1 decision pruned" in ran.stdout and "instead of" in ran.stdout
    assert ran.value.set_index("table").loc["decisions", "pruned"] == 1
    assert registry.ledger.decisions().empty
    assert not any(b"recognisable words" in file.read_bytes() for file in registry.ledger.path.parent.glob("*.*"))
    pd.testing.assert_frame_equal(registry.budget.status(), limit)


def test_this_session_goes_by_its_id(run: Run, registry: Registry) -> None:
    run("%sekha_chat -q one")
    assert "1 of 1 decision would go" in run(f"%sekha log prune --session {registry.session_id}").stdout


def test_answers_that_a_job_kept_go_too(run: Run, registry: Registry) -> None:
    registry.map(["recognisable prompt"]).to_frame()
    kept = registry.ledger.path.with_name("map.sqlite")
    assert b"recognisable prompt" in kept.read_bytes()
    assert isinstance(registry.ledger.prune(session=registry.session_id, dry_run=False), Pruned)
    assert not any(b"recognisable prompt" in file.read_bytes() for file in kept.parent.glob("*.*"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("search", "there is nothing to look for"),
        ("export", "where to?"),
        ("prune", "what shall go?"),
        ("prune --yes", "what shall go?"),
        ("prune --older soon", "--older 'soon'"),
        ("prune 90d", "'90d' is not understood"),
        ("tail --yes", "--yes goes with %sekha log prune, not with tail"),
        ("search x --table calls", "--table goes with %sekha log export"),
        ("serach x", "Did you mean search?"),
        ("search x --in promt", "Did you mean prompt?"),
        ("search x --sinc 1h", "Did you mean --since?"),
    ],
)
def test_a_mistake_is_a_usage_error(run: Run, line: str, message: str) -> None:
    error = run(f"%sekha log {line}").error
    assert type(error) is UsageError and message in str(error)


def test_what_the_ledger_does_not_know_is_an_error_with_a_hint(run: Run) -> None:
    run("%sekha_chat -q one")
    assert "Known are" in str(run("%sekha log export x.csv --table prompts").error)
    error = run("%sekha log prune --notebook nowhere.ipynb").error
    assert isinstance(error, errors.InvalidInput) and "no notebook 'nowhere.ipynb'" in str(error)


def test_words_options_and_values_complete(shell: InteractiveShell) -> None:
    assert "%sekha log search" in offered(shell, "%sekha log se|")
    assert {"%sekha log search --in", "%sekha log search --since"} <= set(offered(shell, "%sekha log search --|"))
    assert "%sekha log search x --in prompt" in offered(shell, "%sekha log search x --in p|")
    assert "%sekha log export x.csv --table daily_stats" in offered(shell, "%sekha log export x.csv --table da|")
    assert "%sekha log prune --older 90d" in offered(shell, "%sekha log prune --older 9|")


def test_the_places_offered_are_those_there_are() -> None:
    assert options.PLACES == PLACES
