"""Runs every check by itself: what one of them meets neither ends the others nor is lost."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

from ..errors import SekhaError
from ..process import known_keys
from . import answering, front_end, here, keeping, packages, remembering, settings
from .patient import Patient
from .report import Finding, Report

__all__ = ["examine"]

Check = Callable[[Patient], Iterator[Finding]]

_CHECKS: tuple[tuple[str, Check], ...] = (
    ("versions", packages.versions),
    ("extras", packages.extras),
    ("JupyterLab extension", front_end.extension),
    ("configuration", settings.configuration),
    ("keys", settings.keys),
    ("providers", answering.providers),
    ("embedded model", answering.embedded_model),
    ("data directory", keeping.data_directory),
    ("ledger", keeping.ledger),
    ("queue", keeping.queue),
    ("budgets", keeping.budgets),
    ("private files", keeping.private_files),
    ("memory", remembering.memory),
    ("vector search", remembering.vector_search),
    ("cassette", here.cassette),
    ("notebook", here.notebook),
    ("streaming", here.streaming),
)


def examine(config: str | None = None, *, probe: bool = True, streams: bool = True) -> Report:
    """Look at everything, and say how to mend it. Raises nothing because of what it finds.

    `config` is a configuration file to look at instead of the one in use. `probe` asks every provider whether it is
    there, which costs nothing. `streams` says whether the user wants answers shown as they are written.
    """
    patient = Patient(config, probe=probe, streams=streams)
    found = [finding for name, check in (*_CHECKS, ("the end", _end)) for finding in _made(name, check, patient)]
    return Report(tuple(finding.cleaned(known_keys) for finding in found))


def _end(patient: Patient) -> Iterator[Finding]:
    """Letting go may fail too, and is then told."""
    patient.close()
    yield from ()


def _made(name: str, check: Check, patient: Patient) -> list[Finding]:
    """What the check found before it failed, and its failure and warnings as findings."""
    found: list[Finding] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        for category in (UserWarning, RuntimeWarning):
            warnings.simplefilter("always", category)
        try:
            for finding in check(patient):
                found.append(finding)
        except SekhaError as error:
            found.append(Finding(name, "problem", error.message, error.hint))
        except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and the others go on
            told = f"could not be looked at: {type(error).__name__}: {error}"
            found.append(
                Finding(name, "problem", told, "If nothing here explains it, report it with `%sekha version`.")
            )
    said = dict.fromkeys(str(warning.message) for warning in caught)
    return found + [Finding(name, "warning", text) for text in said]
