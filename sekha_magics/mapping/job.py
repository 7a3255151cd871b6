"""Many prompts as one job: quoted, asked, looped over, and turned into a DataFrame.

Nothing is sent before the first answer, the quote or the frame is asked for. What was answered stays with the job:
reading it twice asks nothing twice, and a loop that was left goes on where it stopped.
"""

from __future__ import annotations

import queue
import threading
import warnings
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from .. import whereabouts
from ..ask import Ask, with_messages
from ..cassette import Order, render
from ..core.types import Cost, TokenEstimate
from ..display.money import format_usd
from ..engine import Engine
from ..errors import NoEligibleModel
from ..loop import Emit, spawn
from .answers import Answer, Observed, Quote, Spent, quoted
from .asking import Asking, Pending
from .columns import frame
from .kept import Kept

if TYPE_CHECKING:
    import pandas as pd

    from ..core.catalogue import Entry

__all__ = ["Job"]

_PILOT = 5
# Waiting in slices keeps Ctrl-C alive where a lock cannot be interrupted (Windows).
_SLICE_SECONDS = 0.2


class _Bar(Protocol):
    def update(self, n: float = 1) -> Any: ...
    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None: ...


class Job:
    """The answers to many prompts: iterate over it, or take `.to_frame()`.

    Iterating yields an `Answer` per row, in order, as soon as it is there. Leaving the loop, or Ctrl-C, cancels what is
    under way and keeps what is done.
    """

    def __init__(
        self,
        engine: Engine,
        base: Ask,
        keys: list[str | None],
        problems: dict[int, str],
        pending: dict[str, Pending],
        index: Any,
        concurrency: int,
        kept: Kept | None,
        fresh: bool,
        progress: bool | None,
    ) -> None:
        self._base, self._keys, self._problems, self._index = base, keys, problems, index
        self._kept, self._progress = kept, progress
        self._results = self._earlier(pending, kept) if kept is not None and not fresh else {}
        self._pending = {key: item for key, item in pending.items() if key not in self._results}
        self._requests = len(pending)
        # All that have to be asked, whatever of it is answered by now.
        self._to_ask = dict(self._pending)
        self._pilot = tuple(self._pending)[:_PILOT]
        self._asking = Asking(engine, base, concurrency, base.wishes.max_cost)
        self._quote: Quote | None = None
        self._driver: Generator[None] | None = None
        self._complete = False
        self._order: Order | None = None
        # Protects the driver, which two loops may drive.
        self._lock = threading.RLock()

    def _earlier(self, pending: dict[str, Pending], kept: Kept) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        for key, answer in kept.answers().items():
            if key not in pending:
                continue
            if self._base.parse is None:
                found[key] = answer
                continue
            from jsonschema import ValidationError

            try:
                found[key] = replace(answer, parsed=self._base.parse(answer.text or ""))
            except (ValueError, ValidationError):
                # Read by another version of what the schema stands for: asked again.
                continue
        return found

    # --- what users see ---

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[Answer]:
        seen: set[str] = set()
        try:
            # Not before the pilot is whole: when nobody may answer it, there is an error and no answer.
            while self._quote is None and not self._complete:
                self._advance()
            for number, key in enumerate(self._keys):
                while key is not None and key not in self._results and not self._complete:
                    self._advance()
                yield self._answer(number, seen)
            while not self._complete:
                self._advance()
        except BaseException:
            self._leave()
            raise

    def to_frame(self) -> pd.DataFrame:
        """Ask what is still to be asked, and give one row per prompt.

        Columns: `answer`, or one for each field of the schema; `error` (why there is no answer), `provider_id`,
        `model_id`, `cost_usd` (Decimal), `input_tokens`, `output_tokens`, `asked` (`now`, `earlier`, `same` as a row
        before, `no`). The index is that of the prompts.
        """
        return frame(list(self), self._base.wishes.schema, self._index)

    @property
    def quote(self) -> Quote:
        """What the whole job will cost. Asks the first five prompts, whose answers are kept; waits for them."""
        while self._quote is None and not self._complete:
            self._advance()
        if self._quote is None:
            self._quote = self._quoted()
        return self._quote

    @property
    def cost(self) -> Spent:
        """What this job has spent so far.

        Answers of earlier runs are not in it. What interrupted requests may have been billed is in the ledger alone.
        """
        return self._asking.spent

    @property
    def left_undone(self) -> int:
        """How many rows have a prompt and were not asked yet."""
        return sum(key is not None and key not in self._results for key in self._keys)

    @property
    def stopped(self) -> str | None:
        """Why the job ended before its end, if it did."""
        return self._asking.stopped

    def __repr__(self) -> str:
        done = sum(key in self._results for key in self._keys if key is not None)
        return f"<{done:,} of {len(self):,} rows answered; {self.cost}>"

    # --- answers by row ---

    def _answer(self, number: int, seen: set[str]) -> Answer:
        key = self._keys[number]
        if key is None:
            return Answer(error=self._problems[number], asked="no")
        answer = self._results.get(key)
        if answer is None:
            return Answer(error=f"not asked: {self.stopped}", asked="no")
        if key in seen:
            cost = Cost(Decimal(0), answer.cost.source) if answer.cost else None
            return replace(answer, asked="same", cost=cost)
        seen.add(key)
        return answer

    # --- driving ---

    def _advance(self) -> None:
        with self._lock:
            if self._complete:
                return
            if self._driver is None:
                self._driver = self._drive()
            try:
                next(self._driver)
            except StopIteration:
                self._driver, self._complete = None, True
                self._say_what_is_left()
            except BaseException:
                self._driver = None
                raise

    def _leave(self) -> None:
        with self._lock:
            if self._driver is not None:
                self._driver.close()
                self._driver = None

    def _drive(self) -> Generator[None]:
        """Each step waits until something is new: first the pilot and its quote, then all the rest."""
        order = self._recorded_in_order()
        try:
            with self._bar() as bar:
                yield from self._ask([self._pending[key] for key in self._pilot if key not in self._results], bar)
                self._raise_if_nobody_may_answer()
                self._quote = self._quote or self._quoted()
                if bar is not None:
                    _say(str(self._quote))
                yield
                if not self._asking.stopped:
                    yield from self._ask([i for key, i in self._pending.items() if key not in self._results], bar)
        finally:
            if self._kept is not None:
                self._kept.close()
            _settle(order)

    def _recorded_in_order(self) -> Order | None:
        """What lets a cassette that records hold the answers in the order of the rows; None where none records."""
        cassette = self._asking.engine.cassette
        if cassette is None or cassette.mode not in ("record", "auto"):
            return None
        if self._order is None:
            messages = (item.messages for item in self._to_ask.values())
            self._order = cassette.order(render("chat", each, self._base.options).key for each in messages)
        return self._order

    def _ask(self, pending: list[Pending], bar: _Bar | None) -> Generator[None]:
        if not pending:
            return
        inbox: queue.SimpleQueue[bool] = queue.SimpleQueue()

        def finished(key: str, answer: Answer) -> None:
            # Kept before it counts as done: whoever saw an answer will not pay for it again.
            if self._kept is not None and answer.ok:
                self._kept.put(key, answer)
            self._results[key] = answer
            inbox.put(True)

        async def work(_emit: Emit) -> None:
            await self._asking.run(pending, finished)

        running = spawn(work, _nobody_listens)
        running.future.add_done_callback(lambda _: inbox.put(False))
        try:
            while _next(inbox):
                if bar is not None:
                    # Drawn with the next update that is due, not with each answer.
                    bar.set_postfix_str(str(self.cost), refresh=False)
                    bar.update()
                yield
        finally:
            try:
                running.cancel()
            finally:
                running.cancel()
        running.result()

    def _raise_if_nobody_may_answer(self) -> None:
        """When no model may answer any of the pilot, for reasons that are not its prompts', so it is for all others."""
        refused = self._asking.refused
        if refused is None or any(self._results[key].ok for key in self._pilot if key in self._results):
            return
        why = {str(reason) for candidate in refused.candidates for reason in candidate.reasons}
        errors = [self._results[key].error or "" for key in self._pilot if key in self._results]
        if "context_window" not in why and all(e.startswith(type(refused).__name__) for e in errors):
            for key in self._pilot:
                self._results.pop(key, None)
            raise refused

    def _quoted(self) -> Quote:
        done = {key: self._results[key] for key in self._pilot if key in self._results}
        provider_id, model_id, planned = self._expected_model([a for a in done.values() if a.ok])
        amounts = None
        if provider_id:
            entry = self._asking.engine.state.entry(provider_id, model_id)
            pilot = [
                Observed(self._counted(key, entry), a.usage, a.cost.usd if a.cost else None)
                for key, a in done.items()
                if a.ok and a.usage
            ]
            rest = (self._counted(key, entry) for key in self._to_ask if key not in done)
            amounts = quoted(entry.price, pilot, rest, planned)
        low, expected, high = amounts or (None, None, None)
        earlier = self._requests - len(self._to_ask)
        return Quote(len(self), self._requests, earlier, provider_id, model_id, low, expected, high)

    def _counted(self, key: str, entry: Entry) -> TokenEstimate:
        return with_messages(self._base, self._to_ask[key].messages).request.tokens(entry.family)

    def _expected_model(self, answers: list[Answer]) -> tuple[str, str, int]:
        """Who answers, and how long an answer is planned for, in tokens; nobody where nobody may."""
        try:
            chosen = self._asking.decision(self._base).ranked[0]
        except NoEligibleModel:
            return "", "", 0
        if not answers:
            return chosen.provider_id, chosen.model_id, chosen.planned_output_tokens
        return answers[0].provider_id or "", answers[0].model_id or "", chosen.planned_output_tokens

    def _say_what_is_left(self) -> None:
        if self.stopped and self.left_undone:
            limit = self._asking.limit
            hint = f" Give a higher max_cost than {format_usd(limit)} to go on." if limit is not None else ""
            warnings.warn(
                f"{self.left_undone:,} of {len(self):,} rows were not asked: {self.stopped}.{hint}", stacklevel=4
            )

    def _bar(self) -> AbstractContextManager[_Bar | None]:
        watched = whereabouts.is_person() if self._progress is None else self._progress
        if not watched or not self._pending:
            return nullcontext(None)
        from tqdm.auto import tqdm

        done = sum(key in self._results for key in self._pending)
        bar: AbstractContextManager[_Bar] = tqdm(total=len(self._pending), initial=done, unit="prompt")
        return bar


def _settle(order: Order | None) -> None:
    try:
        if order is not None:
            order.settle()
    except OSError as error:
        warnings.warn(f"The cassette holds the answers in the order they came: {error}", stacklevel=2)


def _say(line: str) -> None:
    from tqdm.auto import tqdm

    tqdm.write(line)


def _nobody_listens(_piece: str) -> None:
    return None


def _next(inbox: queue.SimpleQueue[bool]) -> bool:
    while True:
        try:
            return inbox.get(timeout=_SLICE_SECONDS)
        except queue.Empty:
            continue
