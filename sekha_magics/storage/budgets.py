"""What is spent and reserved, in one file for all kernels of a user. No limit is ever passed by a reservation.

Looking whether there is room and taking it are one transaction, whoever else asks at that moment. A reservation belongs
to a process; when that is gone, however it ended, the reservation is taken for spent, since its request may have been
answered and billed. Where the file system cannot carry such a file (many network ones), a warning says so, and each
kernel counts for itself.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import NamedTuple

from ..core.budget import Figures
from .forks import renew_in_child
from .liveness import Alive, is_alive
from .migrations import migrations
from .sqlite import Database, WalRefused, log_refused

__all__ = ["BudgetFile", "Demand", "Lease", "Refused", "Threshold"]


STEPS = migrations(Path(__file__).with_name("schemas") / "budgets")


class Demand(NamedTuple):
    """An account to reserve on, and the limit of it, if there is one."""

    account: str
    limit: int | None


class Threshold(NamedTuple):
    """A warning is due, once for each `limit` of an account, when `at` is spent."""

    account: str
    at: int
    limit: int


class Lease(NamedTuple):
    """`amount` reserved on `accounts`, until it is settled."""

    lease_id: str
    amount: int
    accounts: tuple[str, ...]


class Refused(NamedTuple):
    """`account` leaves no room; `figures` is what stood there."""

    account: str
    figures: Figures


class BudgetFile:
    """The file at `path`. Amounts are whole 1e-12 USD. Raises `sqlite3.Error` or `OSError` when it cannot be used."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._database = Database(path, STEPS)
        self._signs = path.with_name(path.name + ".kernels")
        self._lock = threading.Lock()
        self._sign: Alive | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._shared: bool | None = None
        renew_in_child(self)

    @property
    def per_kernel(self) -> bool:
        """Whether this kernel counts for itself, since it can share no file with the others. Never raises."""
        if self._folder is not None:
            return True
        if self._shared is None:
            self._shared = log_refused(self.path) is None
        return not self._shared

    def reserve(self, amount: int, demands: Sequence[Demand]) -> Lease | Refused:
        """Reserve `amount` on every account, or on none when one of them has no room for it."""
        accounts = tuple(demand.account for demand in demands)
        with self._write() as connection:
            # First, for it may change the figures.
            holder = self._holder(connection)
            figures = _figures(connection, accounts)
            for account, limit in demands:
                if not figures[account].admits(amount, limit):
                    return Refused(account, figures[account])
            lease = Lease(uuid.uuid4().hex, amount, accounts)
            connection.execute(
                "INSERT INTO leases (lease, holder, amount, accounts) VALUES (?, ?, ?, ?)",
                (lease.lease_id, holder, str(amount), json.dumps(accounts)),
            )
            _add(connection, figures, accounts, reserved=amount)
        return lease

    def settle(self, lease: Lease, cost: int, thresholds: Sequence[Threshold] = ()) -> list[Threshold]:
        """Put what it really cost in place of what was reserved. Gives the warnings that are due now.

        A lease nobody knows any more (the file was deleted meanwhile) is no reason not to count the cost.
        """
        with self._write() as connection:
            known = connection.execute("DELETE FROM leases WHERE lease = ?", (lease.lease_id,)).rowcount
            figures = _figures(connection, lease.accounts)
            _add(connection, figures, lease.accounts, spent=cost, reserved=-lease.amount if known else 0)
            due = [t for t in thresholds if t.account in figures and figures[t.account].spent + cost >= t.at]
            return [t for t in due if _first_time(connection, t)]

    def count(self, cost: int, accounts: Sequence[str]) -> None:
        """Add what was spent without a reservation."""
        with self._write() as connection:
            _add(connection, _figures(connection, accounts), accounts, spent=cost)

    def figures(self, accounts: Sequence[str]) -> Mapping[str, Figures]:
        """What each account holds; reading makes no file."""
        with self._read() as connection:
            return dict.fromkeys(accounts, Figures()) if connection is None else _figures(connection, accounts)

    def settle_the_dead(self) -> int:
        """Take for spent what processes that are gone had reserved, and say how many reservations that were."""
        if not self.path.exists():
            return 0
        with self._write() as connection:
            return self._settle_the_dead(connection)

    def close(self) -> None:
        """Let go of the file. The process stays known as alive while it has reservations."""
        with self._lock:
            if self._sign is not None:
                with self._write() as connection:
                    held = connection.execute(
                        "SELECT count(*) FROM leases WHERE holder = ?", (self._sign.path.name,)
                    ).fetchone()[0]
                    if not held:
                        self._sign.end()
                        self._sign = None
        self._database.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def renew_after_fork(self) -> None:
        self._lock = threading.Lock()
        if self._sign is not None:
            self._sign.forget()
            self._sign = None

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        self._make_sure()
        with self._database.write() as connection:
            yield connection

    @contextmanager
    def _read(self) -> Iterator[Connection | None]:
        if self._database.path.exists():
            self._make_sure()
        with self._database.read() as connection:
            yield connection

    def _make_sure(self) -> None:
        """Where kernels can share no file, this one counts for itself, in a file of its own on this machine."""
        try:
            self._database.connect()
        except WalRefused as error:
            if not self.path.parent.is_dir() or not os.access(self.path.parent, os.W_OK):
                raise
            self._folder = tempfile.TemporaryDirectory(prefix="sekha-budgets-", ignore_cleanup_errors=True)
            self._database = Database(Path(self._folder.name) / self.path.name, STEPS)
            self._signs = Path(self._folder.name) / "kernels"
            warnings.warn(
                f"Budgets hold for this kernel alone, and until it ends: {self.path.parent} cannot be shared ({error})."
                " Set SEKHA_HOME to a folder on a disk of this machine.",
                RuntimeWarning,
                stacklevel=2,
            )

    def _holder(self, connection: Connection) -> str:
        """This process' name in the file. Within a transaction, so that nobody meets a sign not locked yet."""
        with self._lock:
            if self._sign is None:
                self._settle_the_dead(connection)
                self._sign = Alive(self._signs / uuid.uuid4().hex)
            return self._sign.path.name

    def _settle_the_dead(self, connection: Connection) -> int:
        named = {row[0] for row in connection.execute("SELECT DISTINCT holder FROM leases")}
        signs = {path.name for path in self._signs.glob("*")} if self._signs.is_dir() else set()
        own = None if self._sign is None else self._sign.path.name
        settled = 0
        for holder in sorted((named | signs) - {own}):
            if is_alive(self._signs / holder):
                continue
            left = connection.execute("SELECT amount, accounts FROM leases WHERE holder = ?", (holder,)).fetchall()
            for amount, accounts in left:
                names = json.loads(accounts)
                _add(connection, _figures(connection, names), names, spent=int(amount), reserved=-int(amount))
            connection.execute("DELETE FROM leases WHERE holder = ?", (holder,))
            settled += len(left)
        return settled


def _figures(connection: Connection, accounts: Sequence[str]) -> dict[str, Figures]:
    marks = ", ".join("?" * len(accounts))
    found = connection.execute(
        f"SELECT account, spent, reserved FROM accounts WHERE account IN ({marks})", tuple(accounts)
    )
    held = {account: Figures(int(spent), int(reserved)) for account, spent, reserved in found}
    return {account: held.get(account, Figures()) for account in accounts}


def _add(
    connection: Connection, figures: Mapping[str, Figures], accounts: Iterable[str], spent: int = 0, reserved: int = 0
) -> None:
    connection.executemany(
        "INSERT INTO accounts (account, spent, reserved) VALUES (?, ?, ?)"
        " ON CONFLICT (account) DO UPDATE SET spent = excluded.spent, reserved = excluded.reserved",
        [(a, str(figures[a].spent + spent), str(figures[a].reserved + reserved)) for a in accounts],
    )


def _first_time(connection: Connection, threshold: Threshold) -> bool:
    added = connection.execute(
        "INSERT OR IGNORE INTO warned (account, budget) VALUES (?, ?)", (threshold.account, str(threshold.limit))
    ).rowcount
    return bool(added)
