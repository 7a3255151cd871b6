"""Budgets over whole requests: never passed, by whatever number of kernels, and never in the way of what is free."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from sekha_magics import Registry
from sekha_magics.config.schema import BudgetConfig
from sekha_magics.core.budget import Line
from sekha_magics.core.provider_types import ProviderType
from sekha_magics.core.types import Candidate, Origin, Usage
from sekha_magics.core.wire import ChatCall, EmbedCall, Embedded, Finish, Probe
from sekha_magics.errors import (
    AllProvidersFailed,
    BudgetExceeded,
    BudgetUnavailable,
    ConfigError,
    InvalidInput,
    NoEligibleModel,
    ServerFailed,
)
from sekha_magics.providers.base import Provider
from sekha_magics.purse import Purse

from .spender import spenders
from .stages import PRICE, provider, registry

ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX signals")
# 100 characters are at most 58 tokens, and 100 more may be written: at 2 and 10 USD per million tokens.
MOST = Decimal("0.001116")


def status(reg: Registry) -> dict[str, tuple[Decimal | None, Decimal, Decimal, Decimal | None]]:
    return {row[0]: row[1:] for row in reg.budget.status().itertuples(index=False, name=None)}


def ask(reg: Registry, text: str = "word " * 20, **wishes: object):
    return reg.chat(text, max_tokens=100, **wishes)


def until_refused(reg: Registry) -> Decimal:
    spent = Decimal(0)
    while True:
        try:
            cost = ask(reg).cost.usd
        except BudgetExceeded:
            return spent
        assert cost is not None
        spent += cost


# --- one process ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:.*is spent")
def test_a_thousand_concurrent_calls_never_pass_a_limit_and_use_it_up() -> None:
    async def ask_all(reg: Registry):
        asked = [reg.achat("word " * 20, max_tokens=100) for _ in range(1000)]
        return await asyncio.gather(*asked, return_exceptions=True)

    with spenders(budget={"session": "0.2", "day": 5}) as reg:
        answers = asyncio.run(ask_all(reg))
        paid = [a.cost.usd for a in answers if not isinstance(a, BaseException)]
        refused = [a for a in answers if isinstance(a, BaseException)]
        assert paid and refused and all(isinstance(error, BudgetExceeded) for error in refused)
        rest = until_refused(reg)
        limit, spent, reserved, left = status(reg)["session"]
        assert spent == sum(paid, Decimal(0)) + rest
        assert limit == Decimal("0.2") >= spent > limit - MOST
        assert reserved == 0 and left == limit - spent
        decisions = reg.ledger.decisions()
        outcomes = decisions["outcome"].value_counts()
        assert outcomes["refused"] == len(refused) + 1
        assert decisions.loc[decisions["outcome"] == "refused", "model_id"].isna().all()
        # Nothing was sent for those refused.
        assert len(reg.ledger.calls()) == outcomes["ok"]


@pytest.mark.filterwarnings("ignore:.*is spent")
def test_threads_share_a_limit() -> None:
    with spenders(budget={"session": "0.02"}) as reg, ThreadPoolExecutor(8) as pool:
        spent = sum(pool.map(lambda _: until_refused(reg), range(8)), Decimal(0))
        assert status(reg)["session"][1] == spent <= Decimal("0.02")


def test_an_answer_cannot_be_longer_than_was_reserved_although_nobody_set_a_limit_to_it() -> None:
    with spenders(most=10**6) as free_to_spend, spenders(budget={"session": 1}, most=10**6) as limited:
        assert free_to_spend.chat("word " * 20).usage.output_tokens > 1024
        answer = limited.chat("word " * 20)
        assert answer.usage.output_tokens <= 1024
        assert answer.decision.candidates[0].planned_output_tokens == 1024


def test_several_answers_to_one_prompt_are_reserved_for() -> None:
    with spenders(budget={"session": MOST * 2}) as reg:
        with pytest.raises(BudgetExceeded, match=r"up to \$0.003116"):
            ask(reg, params={"n": 3})
        assert reg.ledger.decisions()["outcome"].tolist() == ["refused"]
        assert ask(reg).text


@pytest.mark.parametrize("setting", [{"status": 503}, {"status": "timeout"}])
def test_what_was_reserved_for_a_failure_that_nobody_bills_is_free_again(setting: dict[str, object]) -> None:
    failing = provider("stage", model=PRICE, fail=setting)
    with registry(failing, budget={"session": 1}) as reg:
        with pytest.raises((AllProvidersFailed, ServerFailed)):
            ask(reg)
        assert status(reg)["session"] == (1, 0, 0, 1)


def test_an_interrupted_answer_is_settled_at_what_the_ledger_says() -> None:
    with registry(provider("stage", model=PRICE, pieces=4, delay=0.01), budget={"session": 1}) as reg:

        async def leave_early() -> None:
            begun = asyncio.Event()
            asking = asyncio.create_task(reg.achat("word " * 80, on_token=lambda _: begun.set()))
            await begun.wait()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking

        asyncio.run(leave_early())
        calls = reg.ledger.calls()
        assert calls["status"].tolist() == ["interrupted"]
        assert status(reg)["session"][1:3] == (calls["cost_usd"][0], 0)
        assert calls["cost_usd"][0] > 0


def test_a_cheaper_model_answers_when_the_dearer_one_is_out_of_reach() -> None:
    dear = provider("dear", priority=1, model={"price": {"input": 2000, "output": 10000}})
    with registry(dear, provider("cheap", priority=2, model=PRICE), budget={"session": "0.01"}) as reg:
        reply = ask(reg)
        assert reply.provider_id == "cheap"
        assert [str(r) for r in reply.decision.candidates[0].reasons] == ["over_budget"]


def test_what_is_free_is_asked_and_counts_nothing_at_a_limit_of_zero() -> None:
    paid = provider("paid", priority=1, model=PRICE)
    free = {**provider("own", priority=2), "local": True}
    free["models"][0]["price"] = {"input": 0, "output": 0}
    with registry(paid, free, budget={"session": 0}) as reg:
        assert ask(reg).provider_id == "own"
        assert ask(reg, local_only=True).provider_id == "own"
        with pytest.raises(BudgetExceeded):
            ask(reg, model="paid-model")
        assert status(reg)["session"] == (0, 0, 0, 0)


def test_a_local_request_that_fails_is_not_sent_to_a_paid_model() -> None:
    own = {**provider("own", priority=1, fail={"status": 503}), "local": True}
    own["models"][0]["price"] = {"input": 0, "output": 0}
    with registry(own, {**provider("paid", priority=2, model=PRICE), "local": False}, budget={"session": 1}) as reg:
        with pytest.raises(AllProvidersFailed):
            ask(reg, local_only=True)
        assert set(reg.ledger.calls()["provider_id"]) == {"own"}
        assert status(reg)["session"][1] == 0


class Misshapen(Provider):
    """Bills for vectors that are too short."""

    traits = ProviderType("misshapen")

    async def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        yield Finish("stop")

    async def embed(self, call: EmbedCall) -> Embedded:
        return Embedded(np.ones((len(call.texts), 1), dtype=np.float32), Usage(40), call.model_id)

    async def probe(self) -> Probe:
        return Probe(True)


def test_what_a_failed_attempt_cost_counts_towards_the_limit_of_its_request() -> None:
    with registry(provider("right", priority=2, model=PRICE)) as reg:
        misshapen = provider("wrong", priority=1, model=PRICE)
        reg.register_provider({**misshapen, "type": "misshapen", "options": {}}, Misshapen)
        assert reg.embed("word " * 20, max_cost="0.0002").provider_id == "right"
        with pytest.raises(AllProvidersFailed, match=r"right/right-model: over_budget \(up to \$0.0001") as raised:
            reg.embed("word " * 20, max_cost="0.00015")
        assert [call.provider_id for call in raised.value.calls] == ["wrong"]
        assert reg.ledger.decisions()["outcome"].tolist() == ["ok", "failed"]
        assert len(reg.ledger.calls()) == 3


def test_one_warning_when_most_of_a_limit_is_spent() -> None:
    costly = provider("stage", model=PRICE, usage={"input": 0, "output": 100})
    with registry(costly, budget={"session": "0.01", "warn_at": 0.3}) as reg:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for _ in range(7):
                ask(reg)
        said = [str(w.message) for w in caught if "is spent" in str(w.message)]
        assert said == ["$0.003 of $0.01 for the session is spent; `%sekha budget` shows what is left."]


def test_without_a_limit_everything_is_counted_and_nothing_refused() -> None:
    with registry(provider("stage", model=PRICE, usage={"input": 0, "output": 100})) as reg:
        assert ask(reg).decision.snapshot.budget is None
        frame = reg.budget.status()
        assert frame["scope"].tolist() == ["session", "notebook", "day", "month"]
        assert frame["spent"].tolist() == [Decimal("0.001")] * 4
        assert frame["limit"].isna().all() and frame["left"].isna().all()
        reg.budget.set(day="0.0015")
        with pytest.raises(BudgetExceeded, match="day"):
            ask(reg)


def test_a_limit_is_raised_and_lifted_while_running() -> None:
    with registry(provider("stage", model=PRICE), budget={"session": 0}) as reg:
        with pytest.raises(BudgetExceeded):
            ask(reg)
        reg.budget.set(session=0.5)
        assert ask(reg).text and repr(reg.budget) == "<Budget: session $0.5>"
        reg.budget.set(session=None)
        assert ask(reg).decision.snapshot.budget is None and repr(reg.budget) == "<Budget: no limit>"


@pytest.mark.parametrize("value", ["much", "", -1, "nan", "inf", True, 100_001, "0.0000000000001", [1]])
def test_an_amount_that_is_none_is_refused(value: object) -> None:
    with registry(budget={"session": 1}) as reg:
        with pytest.raises(InvalidInput, match="session"):
            reg.budget.set(session=value)  # type: ignore[arg-type]
        assert status(reg)["session"][0] == 1


def test_an_unknown_scope_is_refused_by_name() -> None:
    with registry() as reg, pytest.raises(InvalidInput, match="week"):
        reg.budget.set(week=1)


def test_limits_on_one_provider_and_one_model() -> None:
    first, second = provider("first", priority=1, model=PRICE), provider("second", priority=2, model=PRICE)
    with registry(first, second, budget={"providers": {"first": {"session": "0.0013"}}}) as reg:
        assert [ask(reg).provider_id for _ in range(2)] == ["first", "second"]
        shown = status(reg)
        assert shown["session of first"][0] == Decimal("0.0013")
        assert 0 < shown["session of first"][1] < shown["session"][1]


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"session": -1}, "at least 0"),
        ({"day": "lots"}, "must be a number"),
        ({"day": True}, "must be a number"),
        ({"month": 1e6}, "at most"),
        ({"warn_at": 0}, "more than 0"),
        ({"warn_at": 80}, "at most 1"),
        ({"allow_unpriced": "perhaps"}, "true or false"),
        ({"dya": 1}, "did you mean `day`"),
        ({"providers": {"stagee": {"day": 1}}}, "did you mean `stage`"),
        ({"providers": {"stage": {"dya": 1}}}, "did you mean `day`"),
        ({"providers": {"stage": 1}}, "must be a section"),
        ({"models": {"stage/other": {"day": 1}}}, "is served by no provider"),
        ([1], "must be a section"),
    ],
)
def test_a_budget_that_cannot_be_obeyed_is_refused_when_it_is_loaded(budget: object, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        registry(provider("stage"), budget=budget)
    assert said in str(raised.value) and "budget" in str(raised.value)


# --- the file -------------------------------------------------------------------------------------


def test_with_a_limit_and_no_file_to_keep_it_nothing_is_sent(own_directories: Path, tmp_path: Path) -> None:
    (own_directories / "budgets.sqlite").mkdir(parents=True)
    stage = provider("stage", model=PRICE, cost="0.001")
    with registry(stage, budget={"session": 1}, ledger={"path": str(tmp_path / "ledger.duckdb")}) as reg:
        with pytest.raises(BudgetUnavailable, match=r"budgets\.sqlite"):
            ask(reg)
        with pytest.raises(BudgetUnavailable):
            reg.budget.status()
        assert reg.ledger.calls().empty
        reg.budget.set(session=None)
        with pytest.warns(UserWarning, match="could not be counted"):
            assert ask(reg).text


def test_registries_with_different_ledgers_share_the_day_and_not_the_session(tmp_path: Path) -> None:
    priced = provider("stage", model=PRICE, usage={"input": 0, "output": 100})
    limits = {"session": "0.0025", "day": "0.0042"}
    with (
        registry(priced, budget=limits, ledger={"path": str(tmp_path / "one" / "l.duckdb")}) as one,
        registry(priced, budget=limits, ledger={"path": str(tmp_path / "two" / "l.duckdb")}) as two,
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask(one)
            with pytest.raises(BudgetExceeded) as first:
                for _ in range(3):
                    ask(one)
            with pytest.raises(BudgetExceeded) as second:
                for _ in range(3):
                    ask(two)
        assert (first.value.scope, second.value.scope) == ("session", "day")
        assert status(one)["day"][1] == status(two)["day"][1] == Decimal("0.004")


def test_a_replayed_answer_counts_nothing(tmp_path: Path) -> None:
    priced = provider("stage", model=PRICE)
    with registry(priced, budget={"session": 1}) as reg:
        reg.use_cassette(tmp_path / "c.jsonl", "record")
        ask(reg)
        spent = status(reg)["session"][1]
        reg.use_cassette(tmp_path / "c.jsonl", "auto")
        assert ask(reg).replayed
        assert status(reg)["session"][1] == spent > 0


CANDIDATE = Candidate("p", "m", True, (), None, 1, 50)


def test_a_day_begins_with_an_empty_account_and_a_month_goes_on() -> None:
    now = datetime(2026, 11, 29, 23, 59, tzinfo=UTC)
    purse = Purse(BudgetConfig(day=Decimal(1), month=Decimal("2.5")), "s", clock=lambda: now)
    origin = Origin("s", notebook="n.ipynb")
    late = purse.reserve(origin, CANDIDATE, Decimal(1))
    assert not isinstance(late, Line)
    assert isinstance(purse.reserve(origin, CANDIDATE, Decimal("0.01")), Line)
    now = datetime(2026, 11, 30, 0, 0, tzinfo=UTC)
    today = purse.reserve(origin, CANDIDATE, Decimal(1))
    assert not isinstance(today, Line)
    # What was asked for yesterday is paid from yesterday's account.
    with pytest.warns(UserWarning, match=r"\$1 of \$1 for the day is spent"):
        purse.settle(late, Decimal(1))
    shown = {line.limit.name: line for line in purse.lines("n.ipynb")}
    assert (shown["day"].spent, shown["day"].reserved) == (0, 1)
    assert (shown["month"].spent, shown["month"].reserved, shown["month"].left) == (1, 1, Decimal("0.5"))
    full = purse.reserve(origin, CANDIDATE, Decimal("0.6"))
    assert isinstance(full, Line) and full.limit.name == "day"
    now = datetime(2026, 12, 1, tzinfo=UTC)
    assert not isinstance(purse.reserve(origin, CANDIDATE, Decimal(1)), Line)
    purse.close()


# --- several processes ----------------------------------------------------------------------------


@POSIX
def test_four_processes_of_which_one_is_killed_never_pass_the_days_limit(tmp_path: Path) -> None:
    limit = Decimal("0.4")
    processes = []
    for i in range(4):
        arguments = [str(i), "250", str(tmp_path / f"{i}" / "l.duckdb"), "5" if i == 0 else "0", str(limit)]
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.registry.spend_concurrently", *arguments],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
            )
        )  # fmt: skip
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [-9, 0, 0, 0], [said for _, said in ended]
    seen = sum((Decimal(out.split()[0]) for out, _ in ended[1:]), Decimal(0))
    assert sum(int(out.split()[1]) for out, _ in ended[1:]) > 0, "some were refused"
    with spenders(budget={"day": str(limit)}) as reg:
        _, spent, reserved, _ = status(reg)["day"]
        assert reserved == 0 and spent <= limit
        # The killed one paid for some answers, and may owe for those that were under way.
        assert seen < spent
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            until_refused(reg)
        assert limit - MOST < status(reg)["day"][1] <= limit


@POSIX
def test_a_forked_child_spends_from_the_same_accounts() -> None:
    body = """
        import os
        from decimal import Decimal
        from tests.registry.stages import PRICE, provider, registry
        reg = registry(provider("stage", model=PRICE, usage={"input": 0, "output": 100}), budget={"session": 1})
        reg.chat("hello", max_tokens=100)
        pid = os.fork()
        if pid == 0:
            ok = reg.chat("hello", max_tokens=100).text == "hello"
            os._exit(0 if ok else 1)
        assert os.waitpid(pid, 0)[1] == 0
        frame = reg.budget.status()
        assert frame["spent"][0] == Decimal("0.002") and frame["reserved"][0] == 0, frame
        reg.close()
        """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(body)], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_registries_that_spend_first_at_the_same_time_count_everything() -> None:
    made = [registry(provider("stage", model=PRICE, cost="0.001"), budget={"day": 1}) for _ in range(6)]
    begin = threading.Barrier(len(made))

    def spend(reg: Registry) -> None:
        begin.wait()
        ask(reg)

    with ThreadPoolExecutor(len(made)) as pool:
        list(pool.map(spend, made))
    assert status(made[0])["day"][1] == Decimal("0.006")
    for reg in made:
        reg.close()


def test_no_candidate_of_any_kind_is_still_no_eligible_model() -> None:
    with registry(provider("stage", model=PRICE), budget={"session": 0}) as reg:
        with pytest.raises(NoEligibleModel) as raised:
            ask(reg, task="vision")
        assert not isinstance(raised.value, BudgetExceeded)
