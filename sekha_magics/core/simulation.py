"""What a provider is made to pretend in a rehearsal: values, checked once, with no time, chance or network in them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import InvalidInput

__all__ = ["LONGEST_SECONDS", "Simulation"]

LONGEST_SECONDS = 3600.0

# Only these two statuses say how long to wait.
_WITH_RETRY_AFTER = (429, 503)


@dataclass(frozen=True, slots=True)
class Simulation:
    """One provider's misbehaviour; its text says it in a few words that are the same in every run.

    `down` refuses connections, `latency` is in seconds before anything else happens, `status` is answered to a share
    `probability` of the requests, with `retry_after` in seconds, and `cut` breaks an answer off behind so many pieces.
    `seed` makes the draws for `probability` the same in every run. Raises `InvalidInput` for what cannot be.
    """

    down: bool = False
    latency: float | None = None
    status: int | None = None
    probability: float = 1.0
    retry_after: float | None = None
    cut: int | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.down, bool):
            raise InvalidInput(f"down is {self.down!r:.80}.", hint="It is True or False.")
        for name in ("latency", "retry_after"):
            _check_seconds(name, getattr(self, name))
        _check_whole("status", self.status, 400, 599, "an HTTP status from 400 to 599")
        _check_whole("cut", self.cut, 1, 10**9, "a number of tokens, 1 or more")
        _check_whole("seed", self.seed, -(2**63), 2**63, "a whole number")
        if not _is_number(self.probability) or not 0 < self.probability <= 1:
            raise InvalidInput(
                f"probability is {self.probability!r:.80}.", hint="It is a share above 0 and up to 1, such as 0.3."
            )
        self._check_together()

    def _check_together(self) -> None:
        if not self.down and self.latency is None and self.status is None and self.cut is None:
            raise InvalidInput(
                "There is nothing to simulate.", hint="Say at least one of down, latency, status and cut."
            )
        if self.down and (self.status is not None or self.cut is not None):
            raise InvalidInput("A provider that is down answers nothing: neither a status nor a cut answer.")
        if self.probability < 1 and self.status is None:
            raise InvalidInput("probability is the share of requests that get `status`, and there is none.")
        if self.retry_after is not None and self.status not in _WITH_RETRY_AFTER:
            raise InvalidInput("retry_after goes with status 429 or 503.")
        if self.cut is not None and self.status is not None and self.probability == 1:
            raise InvalidInput(
                f"Every request gets {self.status}, so there is no answer to cut.",
                hint="Give the status a probability, such as 0.3.",
            )
        if self.seed is not None and self.probability == 1:
            raise InvalidInput("Nothing is left to chance, so a seed changes nothing.", hint="Leave it out.")

    @property
    def always_fails(self) -> bool:
        """Whether no request ever reaches the provider."""
        return self.down or (self.status is not None and self.probability == 1)

    def __str__(self) -> str:
        said = ["down"] if self.down else []
        if self.latency is not None:
            said.append(f"{self.latency:g} s late")
        if self.status is not None:
            share = "" if self.probability == 1 else f" to {self.probability * 100:g}% of attempts"
            pause = "" if self.retry_after is None else f", retry after {self.retry_after:g} s"
            said.append(f"{self.status}{share}{pause}")
        if self.cut is not None:
            said.append(f"cut after {self.cut} token{'s' if self.cut > 1 else ''}")
        return ", ".join(said)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _check_seconds(name: str, value: object) -> None:
    if value is not None and (not _is_number(value) or not 0 <= value <= LONGEST_SECONDS):  # type: ignore[operator]
        raise InvalidInput(f"{name} is {value!r:.80}.", hint=f"It is in seconds, 0 to {LONGEST_SECONDS:g}.")


def _check_whole(name: str, value: object, least: int, most: int, what: str) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidInput(f"{name} is {value!r:.80}.", hint=f"It is {what}.")
