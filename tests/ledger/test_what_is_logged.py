"""What a row of the ledger says, column by column, and what never gets into it."""

from __future__ import annotations

import hashlib
import json
import math
from datetime import date
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sekha_magics.core.content import Audio, Image, Message, Text
from sekha_magics.core.redact import Redactor
from sekha_magics.core.traces import Traces
from sekha_magics.core.types import Cost, Origin, Usage
from sekha_magics.core.wire import Secret
from sekha_magics.errors import InvalidInput, LedgerError
from sekha_magics.ledger.store import Ledger

from .events import CANDIDATES, REQUEST, SNAPSHOT, at, call, event


@pytest.fixture
def ledger(tmp_path: Path):
    ledger = Ledger(tmp_path / "logs" / "ledger.duckdb")
    yield ledger
    ledger.close()


@pytest.fixture(params=["queued", "folded"])
def settle(request: pytest.FixtureRequest):
    """A row reads the same before and after it was folded."""
    return (lambda ledger: ledger.flush()) if request.param == "folded" else (lambda ledger: None)


def only(frame: pd.DataFrame) -> dict:
    assert len(frame) == 1
    return frame.iloc[0].to_dict()


def missing(value: object) -> bool:
    return bool(pd.isna(value))


def test_a_decision_is_logged_with_every_column(ledger: Ledger, settle) -> None:
    origin = Origin("s", "compare", "a.ipynb", "cell-1", "talk", "exp", "B")
    one = event(origin=origin, second=0.25)
    ledger.append(one)
    settle(ledger)
    row = only(ledger.decisions())
    request = json.loads(row.pop("request"))
    assert row == {
        "decision_id": one.decision.decision_id,
        "ts": pd.Timestamp("2026-11-23T06:00:00.250000Z"),
        "session_id": "s",
        "notebook": "a.ipynb",
        "cell_id": "cell-1",
        "conversation": "talk",
        "source": "compare",
        "task": "chat_small",
        "policy": "priority",
        "requested_model": row["requested_model"],
        "preferred_model": "gpt",
        "require_vision": True,
        "image_count": 2,
        "est_input_tokens": 100,
        "est_output_tokens": 40,
        "max_cost_usd": Decimal("0.25"),
        "provider_id": "openai",
        "provider_type": "openai",
        "model_id": "gpt",
        "est_cost_usd": Decimal("3.75e-8"),
        "reason": "priority 1; only one eligible",
        "outcome": "ok",
        "experiment": "exp",
        "arm": "B",
        "snapshot_id": SNAPSHOT.snapshot_id,
    }
    assert missing(row["requested_model"])
    assert request["max_cost"] == "0.25" and request["images"] == [["png", 1234], ["jpeg", None]]
    assert "picture" not in json.dumps(request)


def test_candidates_keep_their_order_and_every_reason(ledger: Ledger, settle) -> None:
    ledger.append(event())
    settle(ledger)
    frame = ledger.candidates()
    assert list(frame["position"]) == [0, 1]
    assert list(frame["reasons"]) == [[], ["no_vision", "auth_failed"]]
    assert list(frame["est_cost_usd"]) == [Decimal("3.75e-8"), None]
    assert list(frame["eligible"]) == [True, False]
    assert frame["rank"].to_list() == [1, pd.NA]
    assert list(frame["priority"]) == [c.priority for c in CANDIDATES]


def test_a_call_is_logged_with_every_column(ledger: Ledger, settle) -> None:
    failed = {
        "status": "error",
        "error_type": "RateLimited",
        "error_message": "slow down",
        "http_status": 429,
        "usage": None,
        "cost": Cost(None, "unpriced"),
        "served_model": None,
        "ttft_ms": None,
        "finish_reason": None,
    }
    priced = {"attempt": 2, "cost": Cost(Decimal("0.5"), "computed", None, date(2026, 11, 1)), "simulated": True}
    one = event(calls=[failed, priced])
    ledger.append(one)
    settle(ledger)
    first, second = ledger.calls().to_dict("records")
    assert (first["status"], first["error_type"], first["error_message"]) == ("error", "RateLimited", "slow down")
    assert (first["http_status"], first["cost_usd"], first["cost_source"]) == (429, None, "unpriced")
    assert all(missing(first[c]) for c in ("input_tokens", "served_model", "ttft_ms", "finish_reason", "price_as_of"))
    assert second["price_as_of"] == pd.Timestamp(2026, 11, 1) and second["simulated"] and second["streamed"]
    assert [second[c] for c in ("input_tokens", "output_tokens", "cached_input_tokens", "reasoning_tokens")] == [
        100, 20, 30, 5,
    ]  # fmt: skip
    assert (second["served_model"], second["operation"], second["attempt"]) == ("gpt-2026", "chat", 2)
    assert (second["latency_ms"], second["ttft_ms"], second["finish_reason"]) == (1500.0, 250.5, "stop")
    assert second["ts"] == pd.Timestamp(at(1)) and str(second["ts"].tz) == "UTC"
    assert second["response_sha256"] == hashlib.sha256(b"A cat.").hexdigest()
    assert first["prompt_sha256"] == second["prompt_sha256"]


def test_a_refused_decision_names_no_provider(ledger: Ledger, settle) -> None:
    ledger.append(
        event(
            outcome="refused", calls=[], provider_id="", provider_type="", model_id="", estimated_cost=None,
            candidates=CANDIDATES[1:],
        )
    )  # fmt: skip
    settle(ledger)
    row = only(ledger.decisions())
    assert all(missing(row[c]) for c in ("provider_id", "provider_type", "model_id", "est_cost_usd"))
    assert missing(row["est_output_tokens"]) and len(ledger.candidates()) == 1 and ledger.calls().empty


def test_attempts_logged_on_the_way_belong_to_the_decision_logged_at_the_end(ledger: Ledger, settle) -> None:
    last = event(calls=[{"attempt": 2}])
    early = call(last.decision.decision_id, status="error", cost=Cost(Decimal(0), "computed"))
    on_the_way = event(calls=[], outcome=None, second=0)
    on_the_way = type(on_the_way)(at(0), last.decision, last.origin, None, (early,))
    ledger.append(on_the_way)
    assert ledger.decisions().empty and ledger.candidates().empty and len(ledger.calls()) == 1
    ledger.append(last)
    settle(ledger)
    assert len(ledger.decisions()) == 1
    assert list(ledger.calls()["attempt"]) == [1, 2]
    assert list(ledger.calls()["decision_id"]) == [last.decision.decision_id] * 2


def test_an_event_appended_twice_is_there_once(ledger: Ledger, settle) -> None:
    one = event()
    ledger.append(one)
    settle(ledger)
    ledger.append(one)
    assert (len(ledger.decisions()), len(ledger.candidates()), len(ledger.calls())) == (1, 2, 1)
    settle(ledger)
    assert (len(ledger.decisions()), len(ledger.candidates()), len(ledger.calls())) == (1, 2, 1)


money = st.decimals(min_value=0, max_value=999_999, places=12, allow_nan=False)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(amounts=st.lists(st.none() | money, min_size=1, max_size=8))
def test_money_is_kept_and_summed_to_the_last_digit(ledger: Ledger, amounts: list[Decimal | None]) -> None:
    one = event(calls=[{"attempt": n, "cost": Cost(usd, "computed")} for n, usd in enumerate(amounts)])
    ledger.append(one)
    frame = ledger.calls()
    stored = list(frame[frame["decision_id"] == one.decision.decision_id].sort_values("attempt")["cost_usd"])
    assert stored == amounts and all(type(usd) in (Decimal, type(None)) for usd in stored)
    known = [usd for usd in amounts if usd is not None]
    costs = ledger.costs().set_index("decision_id").loc[one.decision.decision_id]
    assert costs["cost_usd"] == (sum(known) if known else None)
    assert costs["unpriced_calls"] == len(amounts) - len(known)


@pytest.mark.parametrize("absurd", ["NaN", "Infinity", "1e30", "-1000000"])
def test_an_amount_no_bill_can_have_is_unknown_and_stops_no_fold(ledger: Ledger, absurd: str) -> None:
    ledger.append(event(calls=[{"cost": Cost(Decimal(absurd), "reported"), "latency_ms": math.nan}]))
    ledger.append(event(second=2, calls=[{"usage": Usage(10**30, 7), "latency_ms": math.inf}]))
    ledger.flush()
    first, second = ledger.calls().to_dict("records")
    assert first["cost_usd"] is None and missing(first["latency_ms"])
    assert second["cost_usd"] == Decimal("3.75e-8") and missing(second["input_tokens"]) and second["output_tokens"] == 7


def test_a_sum_over_a_frame_stays_decimal(ledger: Ledger) -> None:
    ledger.append(event(calls=[{"cost": Cost(Decimal("3.75e-8"), "computed"), "attempt": n} for n in range(3)]))
    assert ledger.calls()["cost_usd"].sum() == Decimal("1.125e-7")
    assert only(ledger.sql("SELECT sum(cost_usd) AS usd FROM calls"))["usd"] == Decimal("1.125e-7")


HARD = {
    "empty": "",
    "nul": "nul \0 inside",
    "surrogate": "half a pair \ud83d alone",
    "unicode": "🦜 emoji, ünïcode, 漢字",
    "signs": "{x} $5 %d \\ ' \" ;\n\r\t",
    "huge": "x" * 3_000_000,
}


@pytest.mark.parametrize("text", HARD.values(), ids=HARD.keys())
def test_any_text_comes_back_as_it_was_written(ledger: Ledger, settle, text: str) -> None:
    ledger.append(event(prompt=text, answer=text, reason=text, origin=Origin("s", conversation=text)))
    settle(ledger)
    row = only(ledger.calls(content=True))
    readable = text.replace("\ud83d", "\ufffd")
    assert (row["prompt"], row["response"]) == (readable, readable)
    assert (only(ledger.decisions())["reason"], only(ledger.decisions())["conversation"]) == (readable, readable)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text())
def test_any_generated_text_comes_back(ledger: Ledger, text: str) -> None:
    one = event(prompt=text, answer=text)
    ledger.append(one)
    row = ledger.calls(content=True).set_index("call_id").loc[one.calls[0].call_id]
    assert row["prompt"] == row["response"] == text


def test_a_prompt_of_several_messages_reads_with_roles_and_facts_of_images(ledger: Ledger) -> None:
    picture = Image("png", b"\x89PNG secret bytes", origin="plot.png")
    messages = (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Look: "), picture, Image("jpeg", url="https://example.org/a.jpg"), Audio("wav", b"la"))),
    )
    ledger.append(event(messages=messages))
    prompt = only(ledger.calls(content=True))["prompt"]
    assert prompt.startswith("system: Be brief.\n\nuser: Look: [image png, 17 bytes, sha256 ")
    assert "[image jpeg, https://example.org/a.jpg]" in prompt and "[audio wav, 2 bytes, sha256 " in prompt
    ledger.close()
    assert not any(b"secret bytes" in file.read_bytes() for file in ledger.path.parent.iterdir() if file.is_file())


def test_a_message_a_conversation_repeats_is_stored_once(ledger: Ledger) -> None:
    said = [Message("user", (Text(f"unmistakable {n} " * 50),)) for n in range(10)]
    for turn in range(1, 11):
        ledger.append(event(messages=tuple(said[:turn])))
    ledger.close()
    kept = (ledger.path.parent / "content.sqlite").read_bytes()
    assert kept.count(b"unmistakable 0 " * 50) == 1
    assert len(set(ledger.calls()["prompt_sha256"])) == 10


def test_with_hashes_only_no_text_reaches_the_disk(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.duckdb", content="hash")
    full = Ledger(tmp_path / "full" / "l.duckdb")
    one = event(prompt="unmistakable question", answer="unmistakable answer")
    for each in (ledger, full):
        each.append(one)
        each.close()
    row, of_full = only(ledger.calls(content=True)), only(full.calls())
    assert row["prompt"] is None and row["response"] is None
    assert (row["prompt_sha256"], row["response_sha256"]) == (of_full["prompt_sha256"], of_full["response_sha256"])
    assert not any(b"unmistakable" in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_without_content_there_are_no_hashes_either(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "l.duckdb", content="none")
    ledger.append(event(prompt="unmistakable question", answer="unmistakable answer"))
    ledger.close()
    row = only(ledger.calls(content=True))
    assert all(missing(row[c]) for c in ("prompt", "response", "prompt_sha256", "response_sha256"))
    assert not any(b"unmistakable" in file.read_bytes() for file in tmp_path.iterdir() if file.is_file())


def test_a_key_reaches_no_file_wherever_it_stood(tmp_path: Path) -> None:
    key = 'sk-"unmistakable\\\u00e9-0123456789'
    ledger = Ledger(tmp_path / "l.duckdb", redact=Redactor([Secret(key)]))
    said = f"refused {key} !"
    ledger.append(
        event(
            prompt=said,
            answer=said,
            reason=said,
            origin=Origin(said, said, said, said, said, said, said),
            calls=[{"status": "error", "error_message": said, "error_type": said, "served_model": said}],
            snapshot=type(SNAPSHOT)(SNAPSHOT.catalogue, {"openai": type(SNAPSHOT.providers["attic"])(said)}),
            candidates=tuple(c._replace(model_id=said) for c in CANDIDATES),
        )
    )
    queued = ledger.calls(content=True)
    ledger.close()
    assert only(queued)["error_message"] == only(queued)["prompt"] == "refused *** !"
    assert only(ledger.decisions())["reason"] == "refused *** !"
    assert "refused *** !" in ledger.snapshot(only(ledger.decisions())["snapshot_id"]).providers["openai"].auth_failed
    for file in filter(Path.is_file, tmp_path.iterdir()):
        assert b"unmistakable" not in file.read_bytes(), file.name


def test_a_decision_is_found_by_the_beginning_of_its_id(ledger: Ledger, settle) -> None:
    first = event(decision_id="aaa111", second=1)
    ledger.append(first)
    ledger.append(event(decision_id="aaa222", second=2, origin=Origin("session-2")))
    ledger.append(event(decision_id="aaa", second=0))
    settle(ledger)
    logged = ledger.decision("aaa1")
    assert logged.decision["decision_id"] == "aaa111" and logged.decision["est_cost_usd"] == Decimal("3.75e-8")
    assert len(logged.candidates) == 2 and len(logged.calls) == 1
    assert logged.request == REQUEST
    assert ledger.decision("aaa").decision["decision_id"] == "aaa"
    assert ledger.decision().decision["decision_id"] == "aaa222"
    assert ledger.decision(session_id="session-1").decision["decision_id"] == "aaa111"
    with pytest.raises(LedgerError, match="Several"):
        ledger.decision("aa")
    with pytest.raises(LedgerError, match="No decision begins with 'zzz'"):
        ledger.decision("zzz")
    with pytest.raises(LedgerError, match="No decision was logged yet"):
        ledger.decision(session_id="session-3")


def test_a_snapshot_comes_back_equal_and_is_stored_once(ledger: Ledger, settle) -> None:
    for _ in range(5):
        ledger.append(event())
    settle(ledger)
    back = ledger.snapshot(SNAPSHOT.snapshot_id)
    assert back == SNAPSHOT and back.snapshot_id == SNAPSHOT.snapshot_id
    assert only(ledger.sql("SELECT count(*) AS n FROM snapshots"))["n"] == 2
    with pytest.raises(LedgerError, match="no snapshot"):
        ledger.snapshot("0" * 64)


@pytest.mark.parametrize("wrong", [None, "event", {"ts": 1}])
def test_what_is_no_event_is_refused(ledger: Ledger, wrong: object) -> None:
    with pytest.raises(InvalidInput):
        ledger.append(wrong)


def test_a_wrong_content_setting_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="everything"):
        Ledger(tmp_path / "l.duckdb", content="everything")


def test_an_empty_ledger_reads_as_empty_frames_with_all_columns(ledger: Ledger) -> None:
    assert ledger.decisions().empty and "snapshot_id" in ledger.decisions()
    assert ledger.calls(content=True).empty and "prompt" in ledger.calls(content=True)
    assert ledger.costs().empty and ledger.stats().empty and ledger.candidates().empty
    assert ledger.latencies() == []
    assert not ledger.path.exists() and not ledger.path.parent.exists()


def test_latencies_are_the_last_fifty_successes_oldest_first(ledger: Ledger, settle) -> None:
    for n in range(55):
        ledger.append(event(second=n, calls=[{"latency_ms": float(n)}]))
    ledger.append(event(second=99, calls=[{"status": "error"}, {"simulated": True}, {"status": "replayed"}]))
    ledger.append(event(second=99, calls=[{"model_id": "other", "latency_ms": 7.5}]))
    settle(ledger)
    assert ledger.latencies() == [("openai", "gpt", [float(n) for n in range(5, 55)]), ("openai", "other", [7.5])]


def test_a_text_that_was_forgotten_is_kept_again_when_any_kernel_says_it_again(tmp_path: Path) -> None:
    said = "the umbrella of the lighthouse keeper is green"
    one, two = Ledger(tmp_path / "ledger.duckdb"), Ledger(tmp_path / "ledger.duckdb")
    for n, ledger in enumerate((one, two)):
        ledger.append(event(decision_id=f"before {n}", prompt=said, second=n))
    assert one.forget(Traces([said])) > 0
    assert set(two.calls(content=True)["prompt"]) == {None}
    two.append(event(decision_id="after", prompt=said, second=5))
    assert one.calls(content=True)["prompt"].iloc[-1] == said
    assert one.verify().ok
