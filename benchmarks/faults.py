"""What a user gets when a provider misbehaves: `litellm.Router` beside ours, each against the same loopback server.

The lines are those of the fault matrix in `tests/faults/`. Each side has a provider that misbehaves and a second one
that is well, the same retries, limits on time and rest of a failing provider, and is judged by one rule:

- passes: the right answer, or the error that the fault calls for, without a needless request and in time. A stream that
  broke calls for an error, or for one whole answer; a refusal of the request itself for that refusal, since it would be
  refused elsewhere for the same reason.
- partial: right in the end, with requests nobody needed, too late, with another error than the provider gave, with an
  end that the provider did not give, or with the rest of an answer from another model.
- fails: an error although the second provider was well, a wrong answer taken for success, or no end at all.

    python benchmarks/faults.py
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")

from sekha_magics.errors import BadRequest, ContentRefused, StreamInterrupted
from sekha_magics.failover import Patience
from tests.faults.faults import DOWN, FAULTS, SIXTY, WHOLE
from tests.faults.pools import at, nobody, pool
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

RETRIES, FAILURES, REST, LIMIT = 2, 3, 5.0, 1.0
"""Further attempts, failures until a provider is left alone, seconds it is left alone, seconds of silence allowed."""
IN_TIME = 6.0
"""Seconds for a request that fails at once: both pause between attempts, the Router for 4.5 s in all."""
END = 40.0
"""Seconds after which a line is broken off."""
OUTAGE, PACE = 20, 0.5
"""Requests one after another while a provider is down for a shortened minute, and the seconds between two."""

Verdict = Literal["passes", "partial", "fails"]
Wanted = Literal["answer", "cut", "refusal"]


class Line(NamedTuple):
    """`needed` is how many requests to the first provider may make sense: one that is silent costs its limit once."""

    fault: str
    wanted: Wanted
    needed: int


ONE_REQUEST = (
    Line("429 with Retry-After, once", "answer", 2),
    Line("429 for ever", "answer", 1 + RETRIES),
    Line("500 once", "answer", 2),
    Line("503 for ever", "answer", 1 + RETRIES),
    Line("reset before headers", "answer", 1 + RETRIES),
    Line("silence", "answer", 1),
    Line("slow first token", "answer", 1),
    Line("cut after 40 of 60 tokens", "cut", 1),
    Line("stall mid-stream", "cut", 1),
    Line("one malformed event", "answer", 1 + RETRIES),
    Line("no [DONE]", "answer", 1),
    Line("clean end without finish reason", "cut", 1),
    Line("200 with nothing", "answer", 1 + RETRIES),
    Line("context too long", "answer", 1),
    Line("refusal by content policy", "refusal", 1),
    Line("401", "answer", 1),
    Line("quota", "answer", 1),
    Line("400", "refusal", 1),
    Line("404", "answer", 1),
)


class Reply(NamedTuple):
    text: str
    finish: str | None


class Refused(Exception):
    """The request itself was refused, as either side says it."""


class Broken(Exception):
    """A stream broke off, as either side says it."""


class Side(Protocol):
    """One of the two. `ask` raises `Refused`, `Broken`, or what it raises else."""

    async def ask(self) -> Reply: ...

    def close(self) -> None: ...


class Ours:
    """Providers in one registry: those of `bad` come first, those of `good` after them."""

    def __init__(self, bad: list[str], good: list[str]) -> None:
        limits: dict[str, Any] = {"timeouts": {"first_token": LIMIT, "idle": LIMIT, "total": 60}}
        rules = {"failure_threshold": FAILURES, "timeout_secs": REST, "success_threshold": 1}
        first = [at(f"first{i}", url, **limits) for i, url in enumerate(bad)]
        second = [at(f"second{i}", url, priority=2, window=16384, **limits) for i, url in enumerate(good)]
        self._registry = pool(*first, *second, patience=Patience(), circuit_breaker=rules, max_retries=RETRIES)

    async def ask(self) -> Reply:
        try:
            reply = await self._registry.achat("x", stream=True)
        except (BadRequest, ContentRefused) as error:
            raise Refused from error
        except StreamInterrupted as error:
            raise Broken from error
        return Reply(reply.text, reply.finish_reason)

    def close(self) -> None:
        self._registry.close()


class Router:
    """Two model groups and fallbacks from one to the other, as its documentation has it for a preferred provider."""

    def __init__(self, bad: list[str], good: list[str]) -> None:
        import litellm

        def deployments(group: str, urls: list[str]) -> list[dict[str, Any]]:
            return [
                {
                    "model_name": group,
                    "litellm_params": {
                        "model": f"openai/{group}{i}", "api_base": url, "api_key": "loopback-key", "max_retries": 0,
                    },
                }
                for i, url in enumerate(urls)
            ]  # fmt: skip

        fallbacks = [{"first": ["second"]}]
        self._litellm = litellm
        self._router = litellm.Router(
            model_list=[*deployments("first", bad), *deployments("second", good)],
            num_retries=RETRIES,
            allowed_fails=FAILURES - 1,
            cooldown_time=REST,
            timeout=LIMIT,
            stream_timeout=LIMIT,
            fallbacks=fallbacks,
            context_window_fallbacks=fallbacks,
        )

    async def ask(self) -> Reply:
        text, finish, began = "", None, False
        try:
            stream = await self._router.acompletion("first", [{"role": "user", "content": "x"}], stream=True)
            async for chunk in stream:
                for choice in chunk.choices:
                    text += choice.delta.content or ""
                    finish = choice.finish_reason or finish
                began = bool(text)
        except self._litellm.BadRequestError as error:
            raise Refused from error
        except Exception as error:
            if began:
                raise Broken from error
            raise
        return Reply(text, finish)

    def close(self) -> None:
        self._router.reset()


SIDES: dict[str, Callable[[list[str], list[str]], Side]] = {"ours": Ours, "Router": Router}


class Result(NamedTuple):
    verdict: Verdict
    requests: str
    seconds: float
    why: str


# --- one request ------------------------------------------------------------------------------------


async def one_request(line: Line, side: str) -> Result:
    fault = FAULTS[line.fault]
    with Upstream() as first, Upstream() as second:
        if fault.once:
            first.script(fault.answer)
            first.default = WHOLE
        else:
            first.default = fault.answer
        second.default = WHOLE
        asked, seconds = await within_limit(
            SIDES[side]([first.url("openai")], [second.url("openai")]), lambda this: this.ask()
        )
        sent = len(first.requests), len(second.requests)
    verdict, why = judge(line, asked, sent, seconds)
    return Result(verdict, f"{sent[0]} + {sent[1]}", seconds, why)


def judge(
    line: Line, asked: Reply | BaseException | None, sent: tuple[int, int], seconds: float
) -> tuple[Verdict, str]:
    """The rule, the same for both. `asked` is None for what did not end."""
    if asked is None:
        return "fails", f"no end after {END:g} s"
    wrong = _wrong(line, asked)
    if wrong is not None:
        return wrong
    if sent[0] > line.needed or sent[1] > 1:
        needed = max(sent[0] - line.needed, 0) + max(sent[1] - 1, 0)
        return "partial", f"{needed} needless requests"
    if seconds > IN_TIME:
        return "partial", f"not within {IN_TIME:g} s"
    return "passes", _right(asked)


def _wrong(line: Line, asked: Reply | BaseException) -> tuple[Verdict, str] | None:
    if isinstance(asked, Reply):
        if line.wanted == "refusal":
            return "partial", "asked the second provider what the first refused"
        if asked.text == SIXTY and line.wanted == "cut":
            return "partial", f"says the end was {asked.finish!r}, which nobody said"
        if asked.text in (WHOLE.text, SIXTY):
            return None
        if asked.text.endswith(str(WHOLE.text)) and line.wanted == "cut":
            return "partial", f"{len(asked.text) // 4} tokens, spliced from the answers of two models"
        return "fails", f"took {len(asked.text) // 4} of 60 tokens for an answer" if asked.text else "an empty answer"
    if line.wanted == "answer":
        return "fails", f"{_name(asked)} although the second provider was well"
    called_for = Broken if line.wanted == "cut" else Refused
    return None if isinstance(asked, called_for) else ("partial", f"says {_name(asked)}")


def _right(asked: Reply | BaseException) -> str:
    if isinstance(asked, Reply):
        return "the whole answer"
    return "says what was refused" if isinstance(asked, Refused) else "says where it broke off"


def _name(error: BaseException) -> str:
    return type(error.__cause__ if isinstance(error, (Broken, Refused)) and error.__cause__ else error).__name__


# --- many requests ----------------------------------------------------------------------------------


async def outage(side: str) -> Result:
    """Down for a shortened minute while twenty requests come."""
    with Upstream() as first, Upstream() as second:
        first.default, second.default = DOWN, WHOLE

        async def twenty(this: Side) -> Counter[str]:
            outcomes: Counter[str] = Counter()
            for _ in range(OUTAGE):
                outcomes[await _outcome(this)] += 1
                await asyncio.sleep(PACE)
            return outcomes

        outcomes, seconds = await within_limit(SIDES[side]([first.url("openai")], [second.url("openai")]), twenty)
        needed = FAILURES * (1 + RETRIES) + int(seconds / REST)
        return _many(outcomes, OUTAGE, len(first.requests), len(second.requests), needed, seconds)


async def half_dead(side: str) -> Result:
    """Three of six are dead, two hundred requests, eight at a time."""
    with Upstream() as down, Upstream() as reset, Upstream() as well:
        down.default, reset.default, well.default = DOWN, Answer(reset=True), WHOLE
        dead = [down.url("openai"), reset.url("openai"), nobody()]
        gate = asyncio.Semaphore(8)

        async def ask(this: Side) -> str:
            async with gate:
                return await _outcome(this)

        async def two_hundred(this: Side) -> Counter[str]:
            return Counter(await asyncio.gather(*(ask(this) for _ in range(200))))

        this = SIDES[side](dead, [well.url("openai")] * 3)
        outcomes, seconds = await within_limit(this, two_hundred)
        wasted = len(down.requests) + len(reset.requests)
        # Eight at a time: those under way when a provider is left alone are tried to their end.
        needed = 2 * ((FAILURES + 7) * (1 + RETRIES) + int(seconds / REST))
        return _many(outcomes, 200, wasted, len(well.requests), needed, seconds)


async def half_open(side: str) -> Result:
    """Fifty at once when the rest of a provider that is still down has passed."""
    with Upstream() as first, Upstream() as second:
        first.default, second.default = DOWN, WHOLE
        before = [0, 0]

        async def fifty(this: Side) -> Counter[str]:
            for _ in range(FAILURES):
                await _outcome(this)
            await asyncio.sleep(REST + 0.1)
            before[:] = len(first.requests), len(second.requests)
            return Counter(await asyncio.gather(*(_outcome(this) for _ in range(50))))

        outcomes, seconds = await within_limit(SIDES[side]([first.url("openai")], [second.url("openai")]), fifty)
        sent = len(first.requests) - before[0], len(second.requests) - before[1]
        return _many(outcomes, 50, *sent, 1, seconds)


def _many(outcomes: Any, of: int, first: int, second: int, needed: int, seconds: float) -> Result:
    sent = f"{first} + {second}"
    if not isinstance(outcomes, Counter):
        return Result("fails", sent, seconds, f"no end after {END:g} s")
    if outcomes["right"] < of:
        others = ", ".join(f"{count} {name}" for name, count in outcomes.most_common() if name != "right")
        return Result("fails", sent, seconds, f"{of - outcomes['right']} of {of} failed ({others})")
    if first > needed or second > of:
        return Result("partial", sent, seconds, f"all answered; {first - needed} needless requests")
    return Result("passes", sent, seconds, "all answered")


async def _outcome(this: Side) -> str:
    try:
        reply = await this.ask()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is counted by its name
        return _name(error)
    return "right" if reply.text == WHOLE.text else "a wrong answer"


MANY_REQUESTS = {
    f"down for a minute, {OUTAGE} requests": outage,
    "half dead pool, 200 requests": half_dead,
    "50 at half-open": half_open,
}


# --- all of it --------------------------------------------------------------------------------------


async def within_limit(this: Side, ask: Callable[[Side], Awaitable[Any]]) -> tuple[Any, float]:
    """What came of it, an error included, and the seconds it took; None for what did not end."""
    started = time.perf_counter()
    task = asyncio.ensure_future(ask(this))
    # Not asyncio.timeout: what swallows its cancellation would never give control back.
    done, _ = await asyncio.wait({task}, timeout=END)
    seconds = time.perf_counter() - started
    if not done:
        task.cancel()
        await asyncio.wait({task}, timeout=2)
        came: Any = None
    else:
        came = task.exception() or task.result()
    this.close()
    return came, seconds


def quiet() -> None:
    import litellm

    litellm.suppress_debug_info = True
    for name in ("LiteLLM", "LiteLLM Router", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    warnings.simplefilter("ignore")


async def main() -> None:
    from importlib.metadata import version

    print(f"litellm {version('litellm')}, Python {sys.version.split()[0]}")
    print(
        f"both: 2 providers, {RETRIES} retries, {LIMIT:g} s to the first token and between two, at rest for {REST:g} s "
        f"after {FAILURES} failures, streams\n"
        f"Router: two groups, num_retries={RETRIES}, allowed_fails={FAILURES - 1}, cooldown_time={REST:g}, "
        f"timeout=stream_timeout={LIMIT:g}, fallbacks and context_window_fallbacks from the first group to the second\n"
        f"requests: to the misbehaving + to the other; passes, partial and fails as at the top of this file\n"
    )
    print(f"{'fault':<34}{'side':<8}{'verdict':<9}{'requests':>10}{'seconds':>9}  why")
    sums: dict[str, Counter[str]] = {side: Counter() for side in SIDES}
    lines: dict[str, Callable[[str], Awaitable[Result]]] = {
        line.fault: partial(one_request, line) for line in ONE_REQUEST
    }
    for side in SIDES:
        # What a first request needs on a cold machine is no fault of a provider.
        await one_request(Line("no [DONE]", "answer", 1), side)
    for name, run in (lines | MANY_REQUESTS).items():
        for side in SIDES:
            result = await run(side)
            sums[side][result.verdict] += 1
            print(
                f"{name:<34}{side:<8}{result.verdict:<9}{result.requests:>10}{result.seconds:>9.2f}  {result.why}",
                flush=True,
            )
    print()
    for side, sum_ in sums.items():
        print(f"{side:<8}" + "   ".join(f"{verdict} {sum_[verdict]:>2}" for verdict in ("passes", "partial", "fails")))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["SEKHA_HOME"] = home
        quiet()
        asyncio.run(main())
