"""What a registry tells of itself: models, health and earlier decisions; and rehearsals, which change what it tells."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from .. import frames
from ..core.simulation import Simulation
from ..experiments import looking_back
from ..probing import probe_all
from .held import Held

if TYPE_CHECKING:
    import pandas as pd

    from ..core.catalogue import Snapshot
    from ..experiments.today import Today
    from ..experiments.whatif import WhatIf

__all__ = ["Looking"]


class Looking(Held):
    """Nothing here sends a request, or spends."""

    def tasks(self) -> list[str]:
        """The tasks that somebody serves, in alphabetical order."""
        return sorted({task for entry in self.state.catalogue.entries for task in entry.tasks})

    def models(self) -> pd.DataFrame:
        """One row per model and provider; prices are `Decimal` USD per million tokens, None when unknown."""
        self._get_ready(None)
        return frames.models(self.state.catalogue)

    def health(self, probe: bool = False) -> pd.DataFrame:
        """One row per provider, as seen by this kernel.

        `probe` asks each now, all at once and for some seconds at most; nothing is spent. Where a person watches, a bar
        says how many have answered.
        """
        self._get_ready(None)
        return frames.health(self.state, probe_all(self.state) if probe else {})

    def snapshot(self) -> Snapshot:
        """All that a decision made here and now would depend on beside its request."""
        return self._engine().snapshot(self._origin("route", None))

    # --- decisions of before ---

    def whatif(self, *, since: datetime | None = None, everything: bool = False, progress: bool | None = None,
               **changes: Any) -> WhatIf:  # fmt: skip
        """What the logged requests would have cost under other wishes; nothing is sent, nothing priced again.

        `changes` are `policy`, `model`, `preferred_model`, `task`, `local_only`, `max_cost`, `max_tokens`,
        `context_size`, `require_vision`; without any, each decision is taken again as it was. Looked at are the
        requests of this session, or all `since` a moment (with a time zone), or `everything`. The result has
        `to_frame()`, `then`, `now` (USD: low, expected, high), `moved` and `impossible`.

        Raises `InvalidInput`.
        """
        checked = self._wishes(changes, remembering=False)
        return looking_back.whatif(self, changes, checked, since=since, everything=everything, progress=progress)

    def retake(self, decision_id: str | None = None) -> Today:
        """Take a logged decision again with what holds today: the last one, or that whose id begins so.

        Raises `LedgerError` when there is none.
        """
        self._get_ready(None)
        return looking_back.retake(self, decision_id)

    # --- how providers are ---

    def reset(self, provider_id: str | None = None) -> None:
        """Ask one provider, or all, again as if they had never failed: breakers closed, rests ended.

        Raises `InvalidInput` for a provider that is not configured.
        """
        self.state.reset(provider_id)

    def simulate(self, provider_id: str, *, down: bool = False, latency: float | None = None,
                 status: int | None = None, probability: float = 1.0, retry_after: float | None = None,
                 cut: int | None = None, seed: int | None = None) -> None:  # fmt: skip
        """Let a provider misbehave in this registry until `end_simulation`; in place of what was simulated before.

        `down` refuses connections. `latency` is in seconds before an answer begins. `status` is the HTTP status that a
        share `probability` of the attempts gets, with `retry_after` in seconds (429 and 503). `cut` breaks an answer
        off after so many tokens. `seed` makes the draws for `probability` the same in every run. Raises `InvalidInput`.
        """
        simulation = Simulation(
            down=down,
            latency=latency,
            status=status,
            probability=probability,
            retry_after=retry_after,
            cut=cut,
            seed=seed,
        )
        self.state.simulate(provider_id, simulation)

    def end_simulation(self, provider_id: str | None = None) -> None:
        """End that of one provider, or all. Breaker, rests and errors are again those from before it.

        Raises `InvalidInput` for a provider that is not configured.
        """
        for name in self.state.simulations() if provider_id is None else [provider_id]:
            self.state.simulate(name, None)

    def simulations(self) -> pd.DataFrame:
        """One row per provider that is simulated now, with the arguments of `simulate`."""
        return frames.simulations(self.state.simulations())
