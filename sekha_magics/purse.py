"""The money of requests: before any can be spent it is reserved, and afterwards what it really was is counted.

The limits are the registry's own; what counts towards those of a day, a month or a notebook is one file for all kernels
of a user, wherever their ledgers are.
"""

from __future__ import annotations

import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .core.budget import PERIODS, Budget, Figures, Limit, Line, Moment, from_pico, to_pico, warning_at
from .core.catalogue import Price
from .core.pricing import most, total
from .core.refusal import exceeded, over_budget
from .core.types import Call, Candidate, Decision, Origin
from .errors import BudgetExceeded, BudgetUnavailable
from .storage.budgets import BudgetFile, Demand, Lease, Refused, Threshold
from .storage.forks import renew_in_child
from .storage.paths import data_path

if TYPE_CHECKING:
    from .config.schema import BudgetConfig

__all__ = ["NoRoom", "Purse", "Spending"]

_FILE_NAME = "budgets.sqlite"
_CANNOT = (sqlite3.Error, OSError)


class NoRoom(Exception):
    """A budget has no room for this candidate; the next one may be cheaper."""


class Reserved(NamedTuple):
    """`lease` is None where nothing had to be reserved. `limits` are by the accounts the cost counts towards."""

    lease: Lease | None
    limits: Mapping[str, Limit]


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Purse:
    """The limits of one registry, and the file of what is spent and reserved. May be used from any thread."""

    def __init__(self, config: BudgetConfig, session_id: str, *, clock: Callable[[], datetime] = _utc_now) -> None:
        self._session_id = session_id
        self._clock = clock
        self._warn_at, self._allow_unpriced = config.warn_at, config.allow_unpriced
        self._limits = tuple(_limits(config))
        self._file: BudgetFile | None = None
        self._lock = threading.Lock()
        renew_in_child(self)

    @property
    def warn_at(self) -> Decimal:
        return self._warn_at

    @property
    def limits(self) -> tuple[Limit, ...]:
        return self._limits

    @property
    def per_kernel(self) -> bool:
        """Whether the limits hold for this kernel alone: where SQLite can have no log, kernels share no file."""
        return self._opened().per_kernel

    def limit(self, new: Mapping[str, Decimal | None]) -> None:
        """Replace the limits on everything of those periods, in USD; None lifts one."""
        with self._lock:
            self._limits = tuple(
                limit._replace(usd=new[limit.period])
                if limit.period in new and not (limit.provider or limit.model)
                else limit
                for limit in self._limits
            )

    def lines(self, notebook: str | None) -> list[Line]:
        """Every limit and what counts towards it now. Raises `BudgetUnavailable`."""
        with _usable(data_path()):
            self._opened().settle_the_dead()
            return self._lines(self._limits, Moment.of(self._clock(), self._session_id, notebook))

    def standing(self, origin: Origin) -> Budget | None:
        """What a decision has to know; None while no limit is in force. Raises `BudgetUnavailable`."""
        limits = tuple(limit for limit in self._limits if limit.usd is not None)
        if not limits:
            return None
        with _usable(data_path()):
            return Budget(tuple(self._lines(limits, self._moment(origin))), self._allow_unpriced)

    def spending(self, origin: Origin, decision: Decision, answers: int = 1) -> Spending:
        """The money of one request, of which each attempt asks for so many `answers`."""
        return Spending(self, origin, decision, answers)

    def reserve(self, origin: Origin, candidate: Candidate, usd: Decimal | None) -> Reserved | Line:
        """Reserve `usd`, or give the line that has no room for it. Raises `BudgetUnavailable`.

        What costs nothing and what has no price reserves nothing; without a limit nothing needs to be reserved.
        """
        moment = self._moment(origin)
        names = (candidate.provider_id, candidate.model_id)
        limits = {limit.account(moment): limit for limit in self._limits if limit.concerns(*names)}
        if not usd or all(limit.usd is None for limit in limits.values()):
            return Reserved(None, limits)
        demands = [Demand(a, None if limit.usd is None else to_pico(limit.usd)) for a, limit in limits.items()]
        with _usable(data_path()):
            lease = self._opened().reserve(to_pico(usd), demands)
        if isinstance(lease, Refused):
            return _line(limits[lease.account], lease.figures)
        return Reserved(lease, limits)

    def settle(self, reserved: Reserved, usd: Decimal) -> None:
        """Count what was spent. Never raises for the disk's sake: the answer is there, and is not lost for that; what
        cannot be settled stays reserved."""
        lease, limits = reserved
        if lease is None and not usd:
            return
        try:
            if lease is None:
                self._opened().count(to_pico(usd), tuple(limits))
                return
            due = self._opened().settle(lease, to_pico(usd), self._thresholds(limits))
            spent = self._opened().figures([threshold.account for threshold in due])
        except _CANNOT as error:
            warnings.warn(f"${usd:f} could not be counted towards the budgets: {error}", stacklevel=2)
            return
        for threshold in due:
            line = _line(limits[threshold.account], spent[threshold.account])
            warnings.warn(
                f"${line.spent:f} of ${line.limit.usd:f} for the {line.limit.name} is spent; "
                "`%sekha budget` shows what is left.",
                stacklevel=2,
            )

    def _thresholds(self, limits: Mapping[str, Limit]) -> list[Threshold]:
        picos = [(account, to_pico(limit.usd)) for account, limit in limits.items() if limit.usd]
        return [Threshold(account, warning_at(pico, self._warn_at), pico) for account, pico in picos]

    def close(self) -> None:
        with self._lock:
            file, self._file = self._file, None
        if file is not None:
            file.close()

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()

    def _opened(self) -> BudgetFile:
        with self._lock:
            if self._file is None:
                self._file = BudgetFile(data_path() / _FILE_NAME)
            return self._file

    def _moment(self, origin: Origin) -> Moment:
        return Moment.of(self._clock(), origin.session_id, origin.notebook)

    def _lines(self, limits: Sequence[Limit], moment: Moment) -> list[Line]:
        accounts = [limit.account(moment) for limit in limits]
        figures = self._opened().figures(accounts)
        return [_line(limit, figures[account]) for limit, account in zip(limits, accounts, strict=True)]


class Spending:
    """The money of one request: each attempt reserves the most it can cost, and settles what it did cost.

    `kept_out` are the candidates there was no room for when their turn came, with what they may cost and the limit.
    """

    def __init__(self, purse: Purse, origin: Origin, decision: Decision, answers: int) -> None:
        self.decision = decision
        self.kept_out: list[tuple[Candidate, Decimal, Line]] = []
        self.answers = answers
        self._purse, self._origin = purse, origin
        limits = (decision.request.max_cost, decision.snapshot.catalogue.rules.max_cost_per_request)
        self._most = min((usd for usd in limits if usd is not None), default=None)

    @contextmanager
    def on(self, candidate: Candidate, price: Price | None, calls: Sequence[Call]) -> Iterator[None]:
        """One attempt, whose call is added to `calls` by the time the block ends, however it ends.

        Raises `NoRoom` before anything is sent.
        """
        usd = most(self.decision.request, candidate, price, self.answers)
        reserved = self._reserve(candidate, usd, calls)
        before = len(calls)
        try:
            yield
        finally:
            # An attempt that left no record may have been billed for all of it.
            made = [call.cost.usd for call in calls[before:]]
            self._purse.settle(reserved, total(made)[0] if len(calls) > before else usd or Decimal(0))

    def told(self) -> list[str]:
        """A line for each that was kept out."""
        return [f"  {c.name}: over_budget ({over_budget(usd, line).detail})" for c, usd, line in self.kept_out]

    def refusal(self) -> BudgetExceeded:
        """The refusal of a request that a budget had room for when it was decided, and none any more."""
        reasons = {candidate.name: over_budget(usd, line) for candidate, usd, line in self.kept_out}
        candidates = tuple(
            c._replace(eligible=False, rank=None, reasons=(reasons[c.name],)) if c.name in reasons else c
            for c in self.decision.candidates
        )
        refused = replace(
            self.decision,
            provider_id="",
            provider_type="",
            model_id="",
            estimated_cost=None,
            reason="none eligible",
            candidates=candidates,
        )
        return exceeded(refused, *self.kept_out[0])

    def _reserve(self, candidate: Candidate, usd: Decimal | None, calls: Sequence[Call]) -> Reserved:
        spent = total([call.cost.usd for call in calls])[0]
        room: Reserved | Line
        if self._most is not None and usd and spent and spent + usd > self._most:
            # The first attempt is judged by the decision; those after a paid failure share what it left.
            room = Line(Limit("request", self._most), spent, Decimal(0))
        else:
            room = self._purse.reserve(self._origin, candidate, usd)
        if isinstance(room, Line):
            self.kept_out.append((candidate, usd or Decimal(0), room))
            raise NoRoom
        return room


@contextmanager
def _usable(folder: Path) -> Iterator[None]:
    try:
        yield
    except _CANNOT as error:
        raise BudgetUnavailable(
            f"What is left of the budgets is not known, since {folder / _FILE_NAME} cannot be used: {error}"
        ) from error


def _limits(config: BudgetConfig) -> Iterator[Limit]:
    for period in PERIODS:
        yield Limit(period, getattr(config, period))
    for section, by_name in (("provider", config.providers), ("model", config.models)):
        for name, limits in by_name.items():
            for period in PERIODS:
                if (usd := getattr(limits, period)) is not None:
                    yield Limit(period, usd, **{section: name})


def _line(limit: Limit, figures: Figures) -> Line:
    return Line(limit, from_pico(figures.spent), from_pico(figures.reserved))
