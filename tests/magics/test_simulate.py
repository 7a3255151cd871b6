"""`%sekha simulate`: begun, listed and ended by a line, and never forgotten."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from IPython.core.completer import IPCompleter, provisionalcompleter
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, SekhaError, set_registry
from sekha_magics.display.money import exact
from tests.registry.stages import PRICE, provider, registry

from .conftest import Ran

Run = Callable[[str], Ran]


@pytest.fixture
def stage() -> Iterator[Registry]:
    first = provider("first", priority=1, replies=["one two three four"], pieces=4, model=PRICE)
    with registry(first, provider("second", priority=2)) as reg:
        set_registry(reg)
        yield reg
        set_registry(None)


def text(run: Run, line: str) -> str:
    ran = run(line)
    assert ran.error is None, ran.error
    return ran.stdout + ran.plain


def test_it_begins_is_listed_and_ends(run: Run, stage: Registry) -> None:
    assert "nothing is simulated" in text(run, "%sekha simulate")
    said = text(run, "%sekha simulate --provider first --latency 500ms --status 429:0.25 --retry-after 2s --seed 3")
    assert said == (
        "first is simulated until `%sekha simulate --off`: 0.5 s late, 429 to 25% of attempts, retry after 2 s\n"
    )
    (row,) = run("%sekha simulate").value.to_dict("records")
    shown = {name: value for name, value in row.items() if name != "cut"}
    assert shown == {
        "provider_id": "first",
        "down": False,
        "latency": 0.5,
        "status": 429,
        "probability": 0.25,
        "retry_after": 2.0,
        "seed": 3,
    }
    assert text(run, "%sekha simulate --off") == "first is itself again, as it was before the simulation\n"
    assert text(run, "%sekha simulate --off") == "nothing is simulated\n"


def test_off_ends_all_or_one(run: Run, stage: Registry) -> None:
    run("%sekha simulate --provider first --down")
    run("%sekha simulate --provider second --cut 3")
    assert text(run, "%sekha simulate --off --provider first").startswith("first is itself again")
    assert text(run, "%sekha simulate --provider first --off") == "first is not simulated\n"
    assert stage.simulations()["provider_id"].tolist() == ["second"]
    run("%sekha simulate --off")
    assert stage.simulations().empty


def test_nobody_forgets_it(run: Run, stage: Registry) -> None:
    run("%sekha simulate --provider first --down")
    for line in ("%sekha health", "%sekha health --probe"):
        assert "first is simulated: down; `%sekha simulate --off` ends it" in text(run, line)
    answer = run("%sekha_chat hello")
    assert "first is simulated: down" in answer.plain
    assert "first is not running; answered by second/second-model" in answer.plain
    run("%sekha simulate --off")
    assert "simulated" not in text(run, "%sekha health")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--provider first", "say what is to go wrong"),
        ("--down", "--down needs a provider: --provider PROVIDER. There are: first, second"),
        ("--provider frist --down", "Did you mean first?"),
        ("--provider first --lateny 8s", "Did you mean --latency?"),
        ("--provider first --latency 8", "with its unit"),
        ("--provider first --latency 8x", "with its unit"),
        ("--provider first --latency -8s", "with its unit"),
        ("--provider first --latency 99999m", "in seconds, 0 to 3600"),
        ("--provider first --latency ٨s", "with its unit"),
        ("--provider first --status 429:1.5", "above 0 and up to 1"),
        ("--provider first --status 429:0", "above 0 and up to 1"),
        ("--provider first --status 429:", "an HTTP status is expected"),
        ("--provider first --status 200", "400 to 599"),
        ("--provider first --status teapot", "an HTTP status is expected"),
        ("--provider first --cut 0", "above 0"),
        ("--provider first --cut -3", "above 0"),
        ("--provider first --down --cut 3", "answers nothing"),
        ("--provider first --status 500 --retry-after 1s", "429 or 503"),
        ("--provider first --down --seed 1", "left to chance"),
        ("--provider first --off --down", "--off ends a simulation"),
        ("--provider first --down nonsense", "'nonsense' is not understood here"),
        ("--provider '' --down", "empty"),
        ("--off --provider nobody", "There is no provider"),
    ],
)
def test_a_wrong_line_says_what_is_right_and_changes_nothing(run: Run, stage: Registry, line: str, said: str) -> None:
    error = run(f"%sekha simulate {line}").error
    assert isinstance(error, UsageError | SekhaError)
    assert said in str(error)
    assert stage.simulations().empty


def test_help_and_tab_know_it(shell: InteractiveShell, run: Run, stage: Registry) -> None:
    assert "--retry-after TIME" in text(run, "%sekha simulate --help")

    def offered(line: str) -> list[str]:
        completer: IPCompleter = shell.Completer
        with provisionalcompleter():
            return [c.text for c in completer.completions(line, len(line))]

    assert offered("%sekha simu") == ["simulate"]
    assert offered("%sekha simulate --provider ") == ["first", "second"]
    assert offered("%sekha simulate --provider s") == ["second"]
    assert offered("%sekha simulate --provider first --la") == ["--latency"]
    assert "429" in offered("%sekha simulate --provider first --status ")


def test_why_tells_every_attempt_and_what_it_cost(run: Run, stage: Registry) -> None:
    run("%sekha simulate --provider first --status 503 --retry-after 0s")
    run("%sekha_chat hello")
    told = run("%sekha_route --why").plain
    assert told.count("ServerFailed: first answered 503 (simulated)") == 3
    assert "the answer" in told and "4 attempts, answered by second/second-model, $0 in all" in told
    assert "took" not in told
    timed = run("%sekha_route --why --times").plain
    assert "pause before" in timed and "took" in timed and " s " in timed
    error = run("%sekha_route --times hello").error
    assert isinstance(error, UsageError) and "--why" in str(error)


def test_why_marks_an_estimate(run: Run, stage: Registry) -> None:
    run("%sekha simulate --provider first --cut 2")
    run("%sekha_chat hello")
    told = run("%sekha_route --why").plain
    assert "outcome: failed" in told and "~$" in told


def test_why_looks_the_same_when_replayed(run: Run, stage: Registry, tmp_path: Any) -> None:
    def told() -> list[str]:
        seen = []
        for line in ("--status 429 --retry-after 0s", "--cut 2", "--latency 1ms"):
            run(f"%sekha simulate --provider first {line}")
            run(f"%sekha_chat about {line.strip('-')}")
            seen.append(run("%sekha_route --why").plain)
        run("%sekha simulate --off")
        return seen

    run(f"%sekha cassette {tmp_path / 'a.jsonl'} --mode record")
    lived = told()
    run(f"%sekha cassette {tmp_path / 'a.jsonl'} --mode replay")
    assert told() == lived


@pytest.mark.parametrize("how", ["--latency 1ms", "--status 503", "--down"])
def test_an_output_carries_what_its_answer_cost_in_a_rehearsal_too(run: Run, stage: Registry, how: str) -> None:
    run(f"%sekha simulate --provider first {how}")
    (output,) = run("%%sekha_chat\nhello").outputs
    facts = output.metadata["sekha"]
    assert facts["simulated"] and facts["unpriced_calls"] == 0
    assert facts["priced_usd"] == facts["cost_usd"]
    logged = stage.ledger.charges()["cost_usd"].sum()
    assert exact(logged) == facts["priced_usd"]
