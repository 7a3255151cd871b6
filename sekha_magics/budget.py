"""`registry.budget`: what may be spent, and what is left of it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from . import whereabouts
from .core.budget import PERIODS, Line, from_pico, to_pico
from .errors import InvalidInput
from .purse import Purse

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Budget"]

_MOST = 100_000


class Budget:
    """Limits on what is spent. Amounts are `Decimal` USD; days and months are those of UTC."""

    def __init__(self, purse: Purse) -> None:
        self._purse = purse

    def lines(self) -> list[Line]:
        """Every limit of this registry and what counts towards it now. Raises `BudgetUnavailable`."""
        return self._purse.lines(whereabouts.notebook())

    @property
    def warn_at(self) -> Decimal:
        """From which fraction of a limit on there is a warning."""
        return self._purse.warn_at

    def status(self) -> pd.DataFrame:
        """One row per scope: its limit, what is spent, reserved and left, in USD; None where there is no limit."""
        import pandas as pd

        rows = [(line.limit.name, line.limit.usd, line.spent, line.reserved, line.left) for line in self.lines()]
        frame = pd.DataFrame(rows, columns=["scope", "limit", "spent", "reserved", "left"], dtype=object)
        return frame.astype({"scope": "str"})

    @property
    def limits(self) -> dict[str, Decimal]:
        """The limits in force by scope, in USD."""
        return {limit.name: limit.usd for limit in self._purse.limits if limit.usd is not None}

    @property
    def per_kernel(self) -> bool:
        """Whether they hold for this kernel alone, since the file system lets kernels share no file."""
        return self._purse.per_kernel

    def set(self, **limits: Decimal | str | float | None) -> None:
        """Set the limits of `session`, `notebook`, `day` or `month` for this registry, in USD; None lifts one."""
        if unknown := sorted(limits.keys() - set(PERIODS)):
            raise InvalidInput(f"{unknown[0]} is not a scope of a budget.", hint=f"Known are {', '.join(PERIODS)}.")
        self._purse.limit({period: None if usd is None else _usd(period, usd) for period, usd in limits.items()})

    def __repr__(self) -> str:
        told = ", ".join(f"{name} ${usd:f}" for name, usd in self.limits.items())
        return f"<Budget: {told or 'no limit'}>"


def _usd(period: str, value: Decimal | str | float) -> Decimal:
    try:
        # By way of its text: 0.1 means a tenth, not the binary fraction nearest to it.
        usd = Decimal(str(value).removeprefix("$")) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or not 0 <= usd <= _MOST or from_pico(to_pico(usd)) != usd:
        raise InvalidInput(
            f"{period} is {value!r:.80}.",
            hint=f"It is an amount in USD from 0 to {_MOST:,}, such as 0.50, or None for no limit.",
        )
    return usd
