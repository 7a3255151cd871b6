"""A failure is recorded and raised again: readable in the file, equal to what was raised, and without a key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics import errors
from sekha_magics.cassette import RECORDED, Cassette, Choice, Fault, Recording
from sekha_magics.core.types import Candidate
from sekha_magics.errors import (
    AllProvidersFailed,
    BadRequest,
    BudgetExceeded,
    ConfigError,
    ConnectionFailed,
    NoEligibleModel,
    ProviderError,
    SekhaError,
    StreamInterrupted,
)
from sekha_magics.registry import Registry
from tests.registry.stages import PRICE, provider, registry

CLASSES = [
    kind for kind in map(vars(errors).get, errors.__all__) if isinstance(kind, type) and issubclass(kind, RECORDED)
]
KEY = "sk-recognisable-0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


@pytest.fixture
def stage(path: Path) -> Iterator[Registry]:
    """`a`, which is asked first and has a price, and `b`, recording."""
    first = provider("a", priority=1, replies=["one two three four"], pieces=4, model=PRICE)
    with registry(first, provider("b", priority=2), routing={"max_retries": 1}) as reg:
        reg.use_cassette(path, "record")
        yield reg


def raised(reg: Registry, question: str = "hi", **more: Any) -> SekhaError:
    with pytest.raises(SekhaError) as caught:
        reg.chat(question, **more)
    return caught.value


def without_latency(candidate: Candidate) -> list[object]:
    """All of it but what was measured; also the details of the reasons."""
    details = [getattr(reason, "detail", "") for reason in candidate.reasons]
    return [*candidate._replace(latency_p50_ms=None), details]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# --- one error and back ---------------------------------------------------------------------------

texts = st.text(max_size=20)


@given(
    kind=st.sampled_from(CLASSES),
    message=texts,
    hint=st.none() | texts,
    status=st.none() | st.integers(300, 599),
    pause=st.none() | st.floats(0, 1e6),
    partial=texts,
    refused=st.booleans(),
    usd=st.decimals("0", "1000", places=6),
)
def test_every_error_survives_the_file(
    kind: type[SekhaError], message: str, hint: str | None, status: int | None, pause: float | None, partial: str,
    refused: bool, usd: Decimal,
) -> None:  # fmt: skip
    more: dict[str, Any] = {}
    if issubclass(kind, ProviderError):
        more = {"provider_id": "p", "model_id": "m", "status": status, "retry_after": pause}
    if issubclass(kind, ConnectionFailed):
        more["refused"] = refused
    if issubclass(kind, StreamInterrupted):
        more["partial"] = partial
    if issubclass(kind, BudgetExceeded):
        more |= {"scope": "day", "spent": usd, "reserved": usd, "limit": usd}
    error = kind(message, hint=hint, **more)
    written = json.loads(json.dumps(Fault.of(error).to_json(str)))
    again = Fault.from_json(written).to_error()
    assert type(again) is kind and str(again) == str(error)
    assert {name: getattr(again, name) for name in more} == more


def test_an_error_of_a_plugin_is_kept_as_the_nearest_of_ours() -> None:
    class Sleepy(errors.ServerFailed):
        pass

    assert type(Fault.of(Sleepy("zzz", status=503)).to_error()) is errors.ServerFailed


@pytest.mark.parametrize(
    "wrong",
    [
        {"type": "SystemExit"},
        {"type": "ConfigError"},
        {"type": "InvalidInput"},
        {"type": 3},
        {"message": None},
        {"status": "429"},
        {"status": -1},
        {"retry_after": -1},
        {"retry_after": "soon"},
        {"retry_after": float("nan")},
        {"refused": "yes"},
        {"partial": 3},
        {"hint": []},
        {"type": "BudgetExceeded"},
        {"type": "BudgetExceeded", "budget": {"scope": "day", "spent": "1", "reserved": "1e999999999", "limit": "1"}},
        {"type": "BudgetExceeded", "budget": {"scope": "day", "spent": "1", "limit": "1"}},
        {"budget": {"scope": "day", "spent": "1", "reserved": "1", "limit": "1"}},
    ],
)
def test_a_damaged_error_is_named_by_its_line(path: Path, stage: Registry, wrong: dict[str, Any]) -> None:
    stage.simulate("a", status=400)
    raised(stage)
    header, line = lines(path)
    path.write_text("\n".join(json.dumps(v) for v in (header, {**line, "error": {**line["error"], **wrong}})))
    with pytest.raises(ConfigError, match="line 2 is damaged"):
        Cassette.open(path, "replay")


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": {}},
        {"attempts": [3]},
        {"attempts": [{}]},
        {"answer": {}},
        {"decision": {"providers": []}},
        {"decision": {"providers": {"a": {"breaker": "ajar"}}}},
        {"decision": {"providers": {"a": {"failures": -1}}}},
    ],
)
def test_what_stands_around_it_is_not_trusted_either(path: Path, stage: Registry, wrong: dict[str, Any]) -> None:
    stage.simulate("a", status=400)
    raised(stage)
    header, line = lines(path)
    if "decision" in wrong:
        wrong = {"decision": {**line["decision"], **wrong["decision"]}}
    path.write_text("\n".join(json.dumps(v) for v in (header, {**line, **wrong})))
    with pytest.raises(ConfigError, match="line 2 is damaged"):
        Cassette.open(path, "replay")


# --- whole requests -------------------------------------------------------------------------------


def test_a_request_that_nobody_answered_is_raised_again_with_all_its_attempts(path: Path, stage: Registry) -> None:
    stage.simulate("a", status=503, retry_after=0)
    stage.simulate("b", down=True)
    lived = raised(stage)
    with Registry.replaying(path) as again:
        error = raised(again)
        assert isinstance(error, AllProvidersFailed) and isinstance(lived, AllProvidersFailed)
        assert str(error) == str(lived)
        assert [str(e) for e in error.errors] == [str(e) for e in lived.errors]
        for was, now in zip(lived.calls, error.calls, strict=True):
            assert (now.provider_id, now.error_type, now.http_status, now.simulated, now.cost.usd) == (
                was.provider_id, was.error_type, was.http_status, was.simulated, was.cost.usd,
            )  # fmt: skip
        calls = again.ledger.calls().tail(3)
        assert set(calls["status"]) == {"replayed"} and calls["simulated"].all()
        assert calls["error_type"].tolist() == ["ServerFailed", "ServerFailed", "ConnectionFailed"]
        assert again.ledger.decisions()["outcome"].tolist()[-1] == "replayed"


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_that_broke_off_breaks_off_again_behind_the_same_text(
    path: Path, stage: Registry, streamed: bool
) -> None:
    stage.simulate("a", cut=2)
    lived = raised(stage)
    with Registry.replaying(path) as again:
        pieces: list[str] = []
        error = raised(again, **({"on_token": pieces.append} if streamed else {}))
        assert isinstance(error, StreamInterrupted)
        assert (error.partial, str(error)) == ("one two ", str(lived))
        assert not streamed or "".join(pieces) == error.partial
        (call,) = again.ledger.calls(content=True).tail(1).to_dict("records")
        assert call["response"] == "one two " and call["cost_usd"] > 0 and call["cost_source"] == "replayed"
        assert again.ledger.costs().iloc[-1]["cost_usd"] == 0


def test_a_refusal_of_the_request_itself_replays(path: Path, stage: Registry) -> None:
    stage.simulate("a", status=400)
    lived = raised(stage)
    with Registry.replaying(path) as again:
        error = raised(again)
        assert isinstance(error, BadRequest) and (str(error), error.status) == (str(lived), 400)


def test_the_attempts_before_an_answer_replay_with_it(path: Path, stage: Registry) -> None:
    stage.simulate("a", status=429, retry_after=0)
    lived = stage.chat("hi")
    with Registry.replaying(path) as again:
        reply = again.chat("hi")
        assert (reply.text, reply.notes, reply.cost.usd) == (lived.text, lived.notes, lived.cost.usd)
        assert [(c.attempt, c.provider_id, c.error_type) for c in reply.calls] == [
            (c.attempt, c.provider_id, c.error_type) for c in lived.calls
        ]
        assert sum(c.cost.usd or 0 for c in reply.calls) == lived.cost.usd


def test_how_the_providers_are_afterwards_replays_too(path: Path, stage: Registry) -> None:
    columns = ["provider_id", "state", "failures", "last_error"]
    stage.simulate("a", down=True)
    stage.chat("hi")
    lived, route = stage.health()[columns].to_dict("records"), stage.route("hi")
    blocked = stage.chat("again", preferred_model="a-model")
    stage.end_simulation()
    assert lived[0]["state"] == "open"
    with Registry.replaying(path) as again:
        again.simulate("a", down=True)
        again.chat("hi")
        assert str(again.health()[columns].to_dict("records")) == str(lived)
        assert list(map(without_latency, again.route("hi").candidates)) == list(map(without_latency, route.candidates))
        replayed = again.chat("again", preferred_model="a-model").decision.candidates
        assert list(map(without_latency, replayed)) == list(map(without_latency, blocked.decision.candidates))
        assert "breaker_open" in replayed[0].reasons
        again.end_simulation()
        assert set(again.health()["state"]) == {"closed"}


def test_a_refusal_of_a_breaker_or_a_budget_replays(path: Path) -> None:
    one = provider("a", priority=1, model=PRICE, replies=["one two three"])
    with registry(one, budget={"session": 0}) as reg:
        reg.use_cassette(path, "record")
        lived = raised(reg)
        assert isinstance(lived, BudgetExceeded)
    with Registry.replaying(path) as again:
        error = raised(again)
        assert isinstance(error, BudgetExceeded) and str(error) == str(lived)
        assert (error.scope, error.spent, error.reserved, error.limit) == (
            lived.scope, lived.spent, lived.reserved, lived.limit,
        )  # fmt: skip
    with registry(provider("a"), provider("b")) as reg:
        reg.use_cassette(path, "record")
        reg.simulate("a", down=True)
        reg.simulate("b", down=True)
        raised(reg)
        refused = raised(reg)
        assert isinstance(refused, NoEligibleModel) and "breaker_open" in str(refused)
    with Registry.replaying(path) as again:
        raised(again)
        error = raised(again)
        assert isinstance(error, NoEligibleModel) and str(error) == str(refused)
        assert [c.reasons for c in error.candidates] == [c.reasons for c in refused.candidates]


def test_vectors_that_never_came_replay(path: Path, stage: Registry) -> None:
    stage.simulate("a", down=True)
    stage.simulate("b", down=True)
    with pytest.raises(AllProvidersFailed) as lived:
        stage.embed(["x"])
    with Registry.replaying(path) as again, pytest.raises(AllProvidersFailed) as replayed:
        again.embed(["x"])
    assert str(replayed.value) == str(lived.value)
    assert [c.operation for c in replayed.value.calls] == ["embed"] * 2


def test_failed_rows_of_a_job_replay(path: Path, stage: Registry) -> None:
    stage.simulate("a", status=400)
    lived = [answer.error for answer in stage.map(["x", "y"])]
    with Registry.replaying(path) as again:
        assert [answer.error for answer in again.map(["x", "y"])] == lived
        assert all(error and error.startswith("BadRequest") for error in lived)


def test_the_same_failures_recorded_again_change_no_byte(path: Path, stage: Registry) -> None:
    def run() -> bytes:
        stage.use_cassette(path, "record")
        stage.simulate("a", status=503, retry_after=0)
        stage.chat("hi")
        stage.simulate("a", cut=2)
        raised(stage)
        stage.end_simulation()
        stage.reset()
        return path.read_bytes()

    assert run() == run()


def test_a_cassette_that_is_completed_by_turns_keeps_no_failure(path: Path, stage: Registry) -> None:
    stage.use_cassette(path, "auto")
    stage.simulate("a", status=400)
    raised(stage)
    stage.end_simulation()
    assert stage.chat("hi").text == "one two three four"
    with Registry.replaying(path) as again:
        assert again.chat("hi").text == "one two three four"


def test_no_key_is_in_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    talkative = provider("a", fail={"status": 500, "message": f"your key {KEY} is fine, we are not"})
    with Registry.from_dict({"llm_providers": [{**talkative, "api_key": "${MY_KEY}"}]}) as reg:
        reg.use_cassette(path, "record")
        raised(reg)
    assert KEY not in path.read_text("utf-8") and "is fine, we are not" in path.read_text("utf-8")


def test_a_failure_that_cannot_be_written_is_still_the_one_that_is_raised(path: Path, stage: Registry) -> None:
    path.mkdir()
    stage.simulate("a", status=400)
    with pytest.warns(UserWarning, match="not recorded"):
        assert isinstance(raised(stage), BadRequest)


def test_a_failure_without_an_attempt_cost_nothing() -> None:
    choice = Choice("chat_small", "priority", "", "", "", "none eligible")
    assert Recording.of_failure(choice, (), Fault("NoEligibleModel", "nobody")).cost.usd == 0
