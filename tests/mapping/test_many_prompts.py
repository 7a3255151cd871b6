"""A job as its user sees it: order, cost, limits, failures, what is kept and what is not."""

from __future__ import annotations

import json
import sqlite3
import tracemalloc
import warnings
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from itertools import islice

import pandas as pd
import pytest
from pydantic import BaseModel
from typing_extensions import TypedDict

from sekha_magics.errors import InvalidInput, NoEligibleModel
from sekha_magics.registry import Registry
from tests.registry.stages import PRICE, provider, registry
from tests.upstream.answers import Answer as Sent
from tests.upstream.server import Upstream


def at(upstream: Upstream, price=PRICE, **sections) -> Registry:
    """A registry with one provider, the loopback server."""
    return Registry.from_dict(
        {
            "llm_providers": [
                {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "loopback-key",
                 "models": [{"model_id": "m", "tasks": ["chat_small"], "context_window": 8192, **price}]}
            ],
            **sections,
        }
    )  # fmt: skip


# --- asking -------------------------------------------------------------------------------------


def test_answers_come_in_the_order_of_the_rows_whatever_is_ready_first(upstream):
    upstream.script(Sent(delay=0.3), Sent(delay=0.2))
    texts = [f"prompt {i}" for i in range(20)]
    with at(upstream) as reg:
        assert [str(answer) for answer in reg.map(texts)] == texts


def test_identical_rows_are_asked_and_paid_once(upstream):
    with at(upstream) as reg:
        frame = reg.map(["a", "b", "a", "a", "b"]).to_frame()
        calls = reg.ledger.calls()
    assert len(upstream.requests) == 2
    assert frame["answer"].tolist() == ["a", "b", "a", "a", "b"]
    assert frame["asked"].tolist() == ["now", "now", "same", "same", "same"]
    assert sum(frame["cost_usd"]) == sum(calls["cost_usd"]) > 0


@pytest.mark.parametrize("concurrency", [1, 3])
def test_no_more_are_under_way_than_asked_for(upstream, concurrency):
    upstream.default = Sent(delay=0.05)
    with at(upstream) as reg:
        assert all(answer.ok for answer in reg.map([str(i) for i in range(12)], concurrency=concurrency))
    assert upstream.most_at_once == concurrency


def test_reading_a_job_again_asks_nothing_again(upstream):
    with at(upstream) as reg:
        job = reg.map(["a", "b"], resume=False)
        assert [(str(x), str(y)) for x, y in zip(job, job, strict=True)] == [("a", "a"), ("b", "b")]
        assert len(job.to_frame()) == len(job) == 2
    assert len(upstream.requests) == 2


def test_leaving_the_loop_stops_asking_and_a_new_loop_goes_on(upstream):
    texts = [str(i) for i in range(40)]
    upstream.default = Sent(delay=0.02)
    with at(upstream) as reg:
        job = reg.map(texts, concurrency=2, resume=False)
        assert [str(a) for a in islice(job, 7)] == texts[:7]
        left = job.left_undone
        assert 0 < left <= 33
        assert job.left_undone == left
        assert [str(a) for a in job] == texts
        answered = reg.ledger.calls()
    assert (answered["status"] == "ok").sum() == 40


def test_nothing_is_sent_before_it_is_asked_for(upstream):
    with at(upstream) as reg:
        job = reg.map(["a"])
        assert len(job) == 1
        assert repr(job) == "<0 of 1 rows answered; $0>"
    assert upstream.requests == []


def test_no_rows_are_no_requests():
    with registry() as reg:
        job = reg.map([])
        assert list(job) == []
        assert job.quote.requests == 0
        assert job.to_frame().empty


def test_a_system_prompt_and_other_wishes_reach_the_model(upstream):
    with at(upstream) as reg:
        list(reg.map(["a"], system="Be brief.", temperature=0.5, max_tokens=7))
    (seen,) = upstream.requests
    assert seen.body["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (seen.body["temperature"], seen.body["max_tokens"]) == (0.5, 7)


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"concurrency": True}, {"concurrency": "8"}, {"max_cost": -1},
                                   {"conversation": "x"}, {"modle": "m"}])  # fmt: skip
def test_a_wrong_argument_is_named(wrong):
    with registry() as reg, pytest.raises(InvalidInput, match=next(iter(wrong))):
        reg.map(["a"], **wrong)


# --- failures -----------------------------------------------------------------------------------


def test_a_row_that_fails_is_na_with_its_reason_and_the_others_are_answered(upstream):
    upstream.script(Sent(), Sent(status=400, code="bad_request", message="no such thing"))
    with at(upstream) as reg:
        frame = reg.map(["a", "b", None, "c"], concurrency=1).to_frame()
    assert frame["answer"].isna().tolist() == [False, True, True, False]
    assert "no such thing" in frame["error"][1]
    assert frame["error"][2] == "the prompt is missing"
    assert frame["error"].isna().tolist() == [True, False, False, True]


def test_a_failed_row_is_asked_again_by_the_next_run(upstream):
    upstream.script(Sent(), Sent(status=400, code="bad_request"))
    with at(upstream) as reg:
        assert [a.ok for a in reg.map(["a", "b"], concurrency=1)] == [True, False]
        assert [a.asked for a in reg.map(["a", "b"], concurrency=1)] == ["earlier", "now"]
    assert len(upstream.requests) == 3


def test_a_provider_that_asks_for_a_rest_gets_it_and_the_row_is_answered(upstream):
    upstream.script(Sent(status=429, code="rate_limit_exceeded", headers={"retry-after": "1"}))
    with at(upstream) as reg:
        assert [a.ok for a in reg.map(["a", "b", "c"])] == [True] * 3


def test_when_no_model_may_answer_at_all_the_job_raises_as_a_single_question_does():
    with registry() as reg:
        job = reg.map([str(i) for i in range(50)], model="nobody/nothing")
        with pytest.raises(NoEligibleModel):
            list(job)
        with pytest.raises(NoEligibleModel):
            job.to_frame()
        assert job.left_undone == 50


def test_a_prompt_too_long_for_every_model_is_the_failure_of_its_row():
    with registry() as reg:
        long, short = reg.map(["word " * 20_000, "short"])
    assert long.error is not None
    assert long.error.startswith("NoEligibleModel")
    assert short.ok


# --- money --------------------------------------------------------------------------------------

DEAR = {**PRICE, "max_output_tokens": 100}
USD_EACH = Decimal("0.001006")


@pytest.mark.parametrize("limit", ["0", "0.0005", "0.0011", "0.0031", "0.0105"])
def test_a_job_ends_before_it_could_cost_more_than_its_limit(limit):
    asked = []
    for concurrency in (1, 8):
        with registry(provider("a", model=DEAR, usage={"input": 3, "output": 100})) as reg:
            job = reg.map([f"{i}" for i in range(30)], max_cost=limit, concurrency=concurrency, resume=False)
            with pytest.warns(UserWarning, match="rows were not asked") as caught:
                answers = list(job)
            assert job.cost.usd <= Decimal(limit)
            assert job.cost.usd == sum(reg.ledger.calls()["cost_usd"].tail(sum(a.ok for a in answers)), Decimal(0))
        assert "max_cost" in str(caught[0].message)
        asked.append(sum(a.ok for a in answers))
        assert job.left_undone == 30 - asked[-1]
        assert all((a.error or "").startswith("not asked: ") for a in answers[asked[-1] :])
    # The bound of a request is a little more than its cost: what was left could not have paid for another.
    assert asked[0] == asked[1]
    assert Decimal(limit) - asked[0] * USD_EACH < USD_EACH + Decimal("0.00005")


def test_a_higher_limit_goes_on_where_the_lower_one_ended():
    with registry(provider("a", model=DEAR, usage={"input": 3, "output": 100})) as reg:
        texts = [str(i) for i in range(10)]
        with pytest.warns(UserWarning, match="rows were not asked"):
            list(reg.map(texts, max_cost="0.0045"))
        second = reg.map(texts, max_cost=1)
        assert [a.asked for a in second].count("earlier") == 4
        assert len(reg.ledger.calls()) == 10
        assert second.cost.usd == 6 * USD_EACH


def test_what_was_interrupted_counts_against_the_limit(upstream):
    # The pilot, and the first three side by side, in whatever order these arrive.
    upstream.script(*[Sent()] * 8)
    upstream.default = Sent(hang=True)
    with at(upstream, price={"price": {"input": 2, "output": 10}, "max_output_tokens": 100}) as reg:
        # A request may cost 0.001 and a little; what it does cost is a tenth of that.
        job = reg.map([str(i) for i in range(60)], max_cost="0.005", concurrency=3, resume=False)
        loop = iter(job)
        assert [str(next(loop)) for _ in range(6)] == list("012345")
        upstream.wait_for(11)
        loop.close()
        upstream.default = Sent()
        with pytest.warns(UserWarning, match="rows were not asked"):
            answers = list(job)
        calls = reg.ledger.calls()
    assert (calls["status"] == "interrupted").sum() == 3
    assert job.cost.usd + 3 * Decimal("0.001") <= Decimal("0.005") < job.cost.usd + 4 * Decimal("0.00105")
    assert 8 < sum(a.ok for a in answers) < 60


def test_a_model_without_a_price_is_not_asked_under_a_limit(upstream):
    with at(upstream, price={}) as reg:
        job = reg.map(["x"], max_cost=1)
        with pytest.raises(NoEligibleModel):
            list(job)
        assert upstream.requests == []
        assert str(reg.map(["x"]).quote).endswith("unpriced")


def test_the_quote_asks_five_whose_answers_are_kept():
    with registry(provider("a", model=DEAR, usage={"input": 3, "output": 50})) as reg:
        job = reg.map([*(f"number {i}" for i in range(20)), "number 0"])
        quote = job.quote
        assert len(reg.ledger.calls()) == 5
        assert (quote.rows, quote.requests, quote.earlier, quote.model_id) == (21, 20, 0, "a-model")
        assert job.to_frame()["answer"].notna().all()
        assert len(reg.ledger.calls()) == 20
        assert quote.low <= quote.expected <= quote.high
        assert job.cost.usd == 20 * Decimal("0.000506")
        assert abs(quote.expected - job.cost.usd) < job.cost.usd / 100
        assert "about $0.0101" in str(quote)


def test_a_sum_with_unpriced_answers_says_so(upstream):
    with at(upstream, price={}) as reg:
        job = reg.map(["x", "y"])
        assert job.to_frame()["cost_usd"].tolist() == [None, None]
        assert str(job.cost) == "2 unpriced calls"


# --- shapes -------------------------------------------------------------------------------------


class Mood(Enum):
    good = "good"
    bad = "bad"


class Label(BaseModel):
    mood: Mood
    stars: int


@dataclass
class Plain:
    mood: str
    stars: int


class Typed(TypedDict):
    mood: str
    stars: int


JSON_SCHEMA = {"type": "object", "properties": {"mood": {"type": "string"}, "stars": {"type": "integer"}}}


@pytest.mark.parametrize("schema", [Label, Plain, Typed, JSON_SCHEMA])
def test_fields_of_a_schema_become_columns(schema):
    said = {"x": '{"mood": "good", "stars": 5}', "y": '{"mood": "bad", "stars": 1}', "z": "I would rather not"}
    with registry(provider("a", replies=said)) as reg:
        for asked in ("now", "earlier"):
            frame = reg.map(["x", "y", "z"], schema=schema).to_frame()
            assert frame["mood"].tolist()[:2] == ["good", "bad"]
            assert frame["stars"].tolist()[:2] == [5, 1]
            assert (frame["mood"].dtype, frame["stars"].dtype) == ("string", "Int64")
            assert frame.loc[2, ["mood", "stars"]].isna().all()
            assert "does not follow the schema" in frame["error"][2]
            assert frame["asked"].tolist() == [asked, asked, "now"]


def test_a_schema_of_a_single_value_is_one_column_of_its_type():
    with registry(provider("a", replies={"x": "1.5", "y": "2"})) as reg:
        frame = reg.map(pd.Series(["x", "y"], index=[7, 9]), schema=float).to_frame()
    assert frame["answer"].to_dict() == {7: 1.5, 9: 2.0}
    assert frame["answer"].dtype == "Float64"


# --- what is kept -------------------------------------------------------------------------------


def test_a_second_run_pays_for_nothing_and_other_wishes_are_another_job(upstream):
    with at(upstream) as reg:
        list(reg.map(["a", "b"]))
        again = reg.map(["b", "a", "c"])
        assert [a.asked for a in again] == ["earlier", "earlier", "now"]
        assert again.quote.earlier == 2
        assert str(reg.map(["a", "b"]).quote) == "2 rows, 2 distinct, 2 answered earlier; nothing to ask"
        assert [a.asked for a in reg.map(["a"], temperature=1)] == ["now"]
        assert [a.asked for a in reg.map(["a"], template="{{ text }}")] == ["now"]
        assert [a.asked for a in reg.map(["a"], fresh=True)] == ["now"]
        assert [a.asked for a in reg.map(["a"], resume=False)] == ["now"]
    with at(upstream) as other:
        (kept,) = other.map(["a"])
    assert (kept.asked, kept.model_id, kept.cost.usd, kept.usage.output_tokens) == ("earlier", "m", kept.cost.usd, 7)
    assert kept.cost.usd > 0


@pytest.mark.parametrize("content", ["none", "hash"])
def test_where_no_text_may_be_kept_nothing_is(own_directories, content):
    with registry(provider("a"), ledger={"content": content}) as reg:
        for _ in range(2):
            assert [a.asked for a in reg.map(["a"])] == ["now"]
    assert not (own_directories / "map.sqlite").exists()


def test_a_job_without_a_log_leaves_nothing_behind(own_directories):
    with registry() as reg:
        list(reg.map(["a"], log=False))
        assert reg.ledger.calls().empty
    assert not (own_directories / "map.sqlite").exists()


def test_the_file_holds_no_prompt_is_private_and_forgets_after_thirty_days(own_directories):
    with registry(provider("a", replies=["fine"])) as reg:
        list(reg.map(["my secret prompt"]))
        path = own_directories / "map.sqlite"
        assert b"my secret prompt" not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0 or path.drive
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE answers SET answered_at = '2020-01-01T00:00:00+00:00'")
        connection.close()
        assert [a.asked for a in reg.map(["my secret prompt"])] == ["now"]


@pytest.mark.parametrize("damage", [b"this is no database" * 100, None])
def test_a_file_that_cannot_be_used_costs_no_answer(own_directories, damage):
    path = own_directories / "map.sqlite"
    own_directories.mkdir(exist_ok=True)
    path.mkdir() if damage is None else path.write_bytes(damage)
    with registry() as reg, pytest.warns(UserWarning, match=r"map\.sqlite"):
        assert [str(a) for a in reg.map(["a", "b"])] == ["a", "b"]


def test_an_answer_that_cannot_be_read_is_asked_again(own_directories):
    with registry() as reg:
        list(reg.map(["1"], schema=int))
        with sqlite3.connect(own_directories / "map.sqlite") as connection:
            body = json.loads(connection.execute("SELECT body FROM answers").fetchone()[0])
            connection.execute("UPDATE answers SET body = ?", (json.dumps({**body, "text": "one"}),))
        connection.close()
        assert [(a.asked, a.parsed) for a in reg.map(["1"], schema=int)] == [("now", 1)]


def test_a_recorded_job_replays_without_a_provider(tmp_path, upstream):
    tape, texts = tmp_path / "tape.jsonl", [f"prompt {i}" for i in range(12)]
    with at(upstream) as reg:
        reg.use_cassette(tape, "record")
        first = reg.map(texts, max_cost=1).to_frame()
    seen = len(upstream.requests)
    with Registry.replaying(tape) as reg:
        again = reg.map(texts, max_cost=1).to_frame()
        missing = list(reg.map(["never recorded"]))
        outcomes = reg.ledger.decisions()["outcome"].tolist()
    assert len(upstream.requests) == seen == 12
    assert again["answer"].tolist() == first["answer"].tolist() == texts
    assert again["cost_usd"].tolist() == first["cost_usd"].tolist()
    assert (missing[0].error or "").startswith("CassetteMiss")
    assert outcomes.count("replayed") == 12


# --- size and show ------------------------------------------------------------------------------


def test_ten_thousand_prompts_take_little_memory():
    texts = [f"prompt number {i}" for i in range(10_000)]
    with registry() as reg:
        list(reg.map(texts[:100], log=False))
        tracemalloc.start()
        try:
            job = reg.map(texts, log=False)
            assert sum(answer.ok for answer in job) == 10_000
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 10_000 * 8_000


def test_a_bar_is_drawn_only_when_somebody_watches(capsys):
    with registry() as reg:
        list(reg.map(["a", "b"], resume=False))
        assert capsys.readouterr() == ("", "")
        list(reg.map(["a", "b"], resume=False, progress=True))
        out, err = capsys.readouterr()
    assert "2 rows, 2 distinct" in out
    assert "2/2" in err


def test_a_finished_job_warns_of_nothing():
    with registry() as reg, warnings.catch_warnings():
        warnings.simplefilter("error")
        list(reg.map(["a", None]))
