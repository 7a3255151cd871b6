"""The ledger's views as DataFrames, each with the dtypes of its columns, also when it is empty.

Times are UTC, days datetime64, money exact decimals, names of few values (models, tasks, outcomes) categoricals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["VIEWS", "Views"]

# Every view that users are told of, in the order of the reference.
VIEWS = (
    "costs",
    "charges",
    "spending",
    "sessions",
    "conversation_costs",
    "provider_stats",
    "daily_stats",
    "failures",
    "fallbacks",
    "rejections",
    "estimates",
)


class Views(ABC):
    """One method for each view; `sql` reaches them by the view's name."""

    @abstractmethod
    def _frame(self, query: str) -> pd.DataFrame: ...

    def costs(self) -> pd.DataFrame:
        """One row per decision with what its calls cost, oldest first. `cost_usd` leaves out `unpriced_calls` calls."""
        return self._frame("SELECT * FROM costs ORDER BY ts, decision_id")

    def charges(self) -> pd.DataFrame:
        """One row per call with where it came from and what it spent, oldest first."""
        return self._frame("SELECT * FROM charges ORDER BY ts, attempt, call_id")

    def spending(self) -> pd.DataFrame:
        """Calls, tokens and money by day, provider, model and task."""
        return self._frame("SELECT * FROM spending ORDER BY day, provider_id, model_id, task")

    def sessions(self) -> pd.DataFrame:
        """One row per session with what it asked and spent, the newest first."""
        return self._frame("SELECT * FROM sessions ORDER BY started DESC, session_id")

    def conversation_costs(self) -> pd.DataFrame:
        """One row per named conversation of a session, the newest first."""
        return self._frame("SELECT * FROM conversation_costs ORDER BY started DESC, session_id, conversation")

    def stats(self) -> pd.DataFrame:
        """The view `provider_stats`: one row per provider and model; replayed and simulated calls are left out."""
        return self._frame("SELECT * FROM provider_stats ORDER BY provider_id, model_id")

    def daily_stats(self) -> pd.DataFrame:
        """Speed and error rate per day, provider and model, oldest first."""
        return self._frame("SELECT * FROM daily_stats ORDER BY day, provider_id, model_id")

    def failures(self) -> pd.DataFrame:
        """One row per call that failed, oldest first, and whether another attempt saved its request."""
        return self._frame("SELECT * FROM failures ORDER BY ts, attempt, call_id")

    def fallbacks(self) -> pd.DataFrame:
        """One row per request that another model answered than was chosen, oldest first."""
        return self._frame("SELECT * FROM fallbacks ORDER BY ts, decision_id")

    def rejections(self) -> pd.DataFrame:
        """One row per candidate that could not be chosen and reason why, oldest first."""
        return self._frame("SELECT * FROM rejections ORDER BY ts, decision_id, provider_id, model_id, reason")

    def estimates(self) -> pd.DataFrame:
        """One row per request that the chosen model answered: what was expected of it, and what came."""
        return self._frame("SELECT * FROM estimates ORDER BY ts, decision_id")
