"""What a provider may do wrong, as the loopback server plays it: one table for the tests and the benchmark."""

from __future__ import annotations

from typing import NamedTuple

from tests.upstream.answers import Answer

SIXTY = "".join(f"w{i:02} " for i in range(60))
"""Sixty tokens of four characters, as the server cuts them."""
WHOLE = Answer(text="whole")


class Fault(NamedTuple):
    """`once`: the next request alone is answered so. Otherwise each one is."""

    answer: Answer
    once: bool = False


def refused(status: int, code: str, **more: object) -> Answer:
    return Answer(status=status, code=code, message=f"{code} happened", **more)  # type: ignore[arg-type]


def limited(seconds: str) -> Answer:
    return refused(429, "rate_limit_exceeded", headers={"retry-after": seconds})


FAULTS = {
    "429 with Retry-After, once": Fault(limited("1"), once=True),
    "429 for ever": Fault(limited("0")),
    "429 with a wait too long": Fault(limited("31")),
    "500 once": Fault(refused(500, "server_error"), once=True),
    "503 for ever": Fault(refused(503, "server_error")),
    "502 for ever": Fault(refused(502, "server_error")),
    "504 for ever": Fault(refused(504, "server_error")),
    "529 for ever": Fault(refused(529, "overloaded_error")),
    "501, which will not pass": Fault(refused(501, "server_error")),
    "reset before headers": Fault(Answer(reset=True)),
    "reset before the first token": Fault(Answer(cut_after=0, cut="reset")),
    "silence": Fault(Answer(hang=True)),
    "slow first token": Fault(Answer(text="late", delay=5.0)),
    "cut after 40 of 60 tokens": Fault(Answer(text=SIXTY, cut_after=40)),
    "reset after 40 of 60 tokens": Fault(Answer(text=SIXTY, cut_after=40, cut="reset")),
    "an error event after 40 of 60 tokens": Fault(Answer(text=SIXTY, cut_after=40, stream_error="server_error")),
    "stall mid-stream": Fault(Answer(text=SIXTY, stall_after=30)),
    "one malformed event": Fault(Answer(frames=(b"data: {nonsense\n\n",))),
    "no [DONE]": Fault(Answer(text=SIXTY, end=False)),
    "clean end without finish reason": Fault(Answer(text=SIXTY, finish=None)),
    "no end at all": Fault(Answer(text=SIXTY, finish=None, end=False)),
    "200 with nothing": Fault(Answer(text="", finish=None, end=False, usage=None)),
    "context too long": Fault(refused(400, "context_length_exceeded")),
    "refusal by content policy": Fault(refused(400, "content_policy_violation")),
    "401": Fault(refused(401, "invalid_api_key")),
    "403": Fault(refused(403, "permission_error")),
    "quota": Fault(refused(429, "insufficient_quota")),
    "400": Fault(refused(400, "invalid_request_error")),
    "422": Fault(refused(422, "invalid_request_error")),
    "404": Fault(refused(404, "model_not_found")),
}

DOWN = refused(503, "server_error")
