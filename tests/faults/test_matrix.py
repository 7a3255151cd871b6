"""What a provider may do wrong, and exactly how often each side is asked then."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pytest

from sekha_magics.errors import AllProvidersFailed, BadRequest, ContentRefused, ProviderTimeout, StreamInterrupted
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .faults import FAULTS, SIXTY, WHOLE, refused
from .pools import at, nobody, pool


@pytest.fixture
def other() -> Iterator[Upstream]:
    with Upstream() as server:
        server.default = WHOLE
        yield server


class Row(NamedTuple):
    """How often each of the two is asked when the first has that fault, and what the reply says of it."""

    first: int
    second: int
    note: str = ""


ROWS = {
    "429 with Retry-After, once": Row(2, 0),
    "429 for ever": Row(3, 1, "bad 429"),
    "429 with a wait too long": Row(1, 1, "bad 429"),
    "500 once": Row(2, 0),
    "503 for ever": Row(3, 1, "bad 503"),
    "502 for ever": Row(3, 1, "bad 502"),
    "504 for ever": Row(3, 1, "bad 504"),
    "529 for ever": Row(3, 1, "bad 529"),
    "501, which will not pass": Row(1, 1, "bad 501"),
    "reset before headers": Row(3, 1, "bad broke the connection"),
    "reset before the first token": Row(3, 1, "bad broke the connection"),
    "silence": Row(1, 1, "bad timed out"),
    "slow first token": Row(1, 1, "bad timed out"),
    "200 with nothing": Row(3, 1, "bad failed"),
    "one malformed event": Row(3, 1, "bad failed"),
    "no [DONE]": Row(1, 0),
    "401": Row(1, 1, "bad 401"),
    "403": Row(1, 1, "bad 403"),
    "quota": Row(1, 1, "bad 429"),
    "404": Row(1, 1, "bad 404"),
}


@pytest.mark.parametrize("fault", ROWS)
def test_whatever_the_first_provider_does_the_cell_has_its_answer(fault: str, upstream: Upstream, other: Upstream):
    row, (answer, once) = ROWS[fault], FAULTS[fault]
    if once:
        upstream.script(answer)
    else:
        upstream.default = answer
    with pool(at("bad", upstream, timeouts={"first_token": 0.4}), at("good", other, priority=2)) as reg:
        reply = reg.chat("x", stream=True)
        assert (len(upstream.requests), len(other.requests)) == (row.first, row.second)
        assert reply.provider_id == ("good" if row.second else "bad")
        assert len(reply.calls) == row.first + row.second
        logged = reg.ledger.calls().sort_values("attempt")
        assert logged["provider_id"].tolist() == ["bad"] * row.first + ["good"] * row.second
        assert logged["status"].tolist() == ["error"] * (len(logged) - 1) + ["ok"]
        assert reg.ledger.decisions()["outcome"].tolist() == ["ok"]
        if row.note:
            assert reply.notes[0] == f"{row.note}; answered by good/good-model"
        if answer.hang:
            assert all(seen.hung_up.wait(5) for seen in upstream.requests)


def test_a_mend_only_the_user_can_make_is_said_although_another_answered(upstream: Upstream, other: Upstream):
    upstream.script(refused(401, "invalid_api_key"))
    with pool(at("bad", upstream), at("good", other, priority=2)) as reg:
        assert any("bad" in note and "%sekha keys" in note for note in reg.chat("x").notes[1:])
        assert len(reg.chat("x").calls) == 1
    upstream.script(refused(429, "insufficient_quota"))
    with pool(at("bad", upstream), at("good", other, priority=2)) as reg:
        assert any("credit" in note for note in reg.chat("x").notes[1:])
        assert [str(r) for r in reg.route("x").candidates[0].reasons] == ["rate_limited"]


@pytest.mark.parametrize(
    "name",
    [
        "cut after 40 of 60 tokens",
        "reset after 40 of 60 tokens",
        "an error event after 40 of 60 tokens",
        "clean end without finish reason",
        "no end at all",
    ],
)
def test_a_stream_that_breaks_after_its_first_token_is_never_begun_again(
    name: str, upstream: Upstream, other: Upstream
):
    fault = upstream.default = FAULTS[name].answer
    with pool(at("bad", upstream), at("good", other, priority=2)) as reg:
        with pytest.raises(StreamInterrupted) as raised:
            reg.chat("x", stream=True)
        expected = SIXTY[: 4 * fault.cut_after] if fault.cut_after else SIXTY
        if fault.cut == "reset":
            # What was under way when the connection was reset is lost.
            expected = expected[: len(raised.value.partial)]
        assert raised.value.partial == expected != ""
        assert (len(upstream.requests), len(other.requests)) == (1, 0)
        assert reg.ledger.calls()["status"].tolist() == ["error"]
        assert reg.ledger.decisions()["outcome"].tolist() == ["failed"]


def test_a_stream_that_stalls_is_cut_and_its_connection_closed(upstream: Upstream, other: Upstream):
    upstream.default = FAULTS["stall mid-stream"].answer
    limits = {"idle": 0.3, "first_token": 10}
    with pool(at("bad", upstream, timeouts=limits), at("good", other, priority=2)) as reg:
        with pytest.raises(StreamInterrupted, match=r"fell silent for 0\.3 s") as raised:
            reg.chat("x", stream=True)
        assert raised.value.partial == SIXTY[:120]
        assert upstream.requests[0].hung_up.wait(5)
        assert (len(upstream.requests), len(other.requests)) == (1, 0)


def test_a_silent_provider_costs_its_whole_timeout_once(upstream: Upstream, other: Upstream):
    upstream.default = Answer(hang=True)
    with pool(at("bad", upstream, timeout=1), at("good", other, priority=2)) as reg:
        assert reg.chat("x").provider_id == "good"
        assert (len(upstream.requests), len(other.requests)) == (1, 1)


def test_only_a_larger_window_is_asked_after_one_that_was_too_small(upstream: Upstream, other: Upstream):
    upstream.default = FAULTS["context too long"].answer
    with Upstream() as same:
        with pool(
            at("bad", upstream), at("same", same, priority=2), at("good", other, priority=3, window=16384)
        ) as reg:
            assert reg.chat("x").provider_id == "good"
        assert (len(upstream.requests), len(same.requests), len(other.requests)) == (1, 0, 1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("refusal by content policy", ContentRefused),
        ("400", BadRequest),
        ("422", BadRequest),
    ],
)
def test_a_refusal_of_the_request_itself_ends_it(fault: str, error: type, upstream: Upstream, other: Upstream):
    upstream.default = FAULTS[fault].answer
    with pool(at("bad", upstream), at("good", other, priority=2)) as reg:
        for _ in range(4):
            with pytest.raises(error):
                reg.chat("x")
        assert (len(upstream.requests), len(other.requests)) == (4, 0)
        assert reg.health()["state"].tolist() == ["closed", "closed"]


def test_when_all_fail_each_attempt_is_told(upstream: Upstream, other: Upstream):
    upstream.default, other.default = refused(503, "server_error"), refused(500, "server_error")
    with pool(at("a", upstream), at("b", other, priority=2), max_retries=1) as reg:
        with pytest.raises(AllProvidersFailed, match="2 attempts") as raised:
            reg.chat("x")
        assert [call.http_status for call in raised.value.calls] == [503, 503, 500, 500]
        assert len(raised.value.errors) == 4
        assert reg.ledger.decisions()["outcome"].tolist() == ["failed"]


def test_the_only_provider_is_asked_again_when_it_does_not_begin(upstream: Upstream):
    upstream.script(Answer(hang=True))
    upstream.default = WHOLE
    with pool(at("only", upstream, timeouts={"first_token": 0.4})) as reg:
        assert reg.chat("x", stream=True).text == "whole"
        assert len(upstream.requests) == 2


def test_the_only_provider_that_is_silent_is_an_error_that_says_so(upstream: Upstream):
    upstream.default = Answer(hang=True)
    only = pool(at("bad", upstream, timeout=1), auto_fallback=False)
    with only as reg, pytest.raises(ProviderTimeout, match="not done within 1 s"):
        reg.chat("x", stream=True)


def test_nobody_listening_is_found_out_once_and_the_pauses_stand_in_the_reply(other: Upstream):
    with pool(at("gone", nobody(), type="ollama", api_key=None), at("good", other, priority=2)) as reg:
        first, second = reg.chat("x"), reg.chat("x")
        assert [call.status for call in first.calls] == ["error", "ok"]
        assert first.notes == (
            "gone is not running; answered by good/good-model",
            "gone: Start it with `ollama serve`, or correct base_url.",
        )
        assert len(second.calls) == 1
        assert reg.health().set_index("provider_id").loc["gone", "state"] == "open"


def test_the_wait_a_provider_asks_for_is_kept_and_told_only_in_the_metadata(upstream: Upstream):
    from sekha_magics.display.reply import mimebundle

    upstream.script(refused(429, "rate_limit_exceeded", headers={"retry-after": "0.25"}))
    with pool(at("busy", upstream)) as reg:
        reply = reg.chat("x")
        assert reply.waited_ms == 250
        assert reply.notes == ("busy 429; answered by busy/busy-model",)
        data, metadata = mimebundle(reply)
        assert metadata["sekha"]["waited_ms"] == 250
        assert "250" not in str(data)


def test_a_second_request_waits_for_the_only_provider_while_it_rests(upstream: Upstream):
    upstream.default = WHOLE
    upstream.script(*[refused(429, "rate_limit_exceeded", headers={"retry-after": "0.3"})])
    with pool(at("busy", upstream), max_retries=0) as reg:
        with pytest.raises(AllProvidersFailed):
            reg.chat("x")
        assert reg.health()["state"].tolist() == ["rate_limited"]
        reply = reg.chat("x")
        assert reply.text == "whole"
        assert reply.waited_ms > 0
        assert len(upstream.requests) == 2
