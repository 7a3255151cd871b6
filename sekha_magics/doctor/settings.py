"""Is there a configuration that can be used, is it trusted, and where do its keys stand? No key is shown."""

from __future__ import annotations

from collections.abc import Iterator

from ..config.trust import is_trusted
from ..errors import ConfigError
from .patient import Patient
from .report import Finding

__all__ = ["configuration", "keys"]


def configuration(patient: Patient) -> Iterator[Finding]:
    """Where it is found, whether it is sound, and whether it is trusted."""
    if patient.replays and patient.standing is None:
        yield Finding("configuration", "ok", "none is needed: a cassette is replayed")
        return
    try:
        loaded = patient.loaded
    except FileNotFoundError as error:
        yield Finding("configuration", "problem", f"the working folder is gone: {error}", "Change to another folder.")
        return
    except ConfigError as error:
        mend = error.hint or "Mend the file; `sekha config check` says whether it is sound."
        yield Finding("configuration", "problem", error.message, mend)
        return
    providers = loaded.config.llm_providers
    models = sum(len(provider.models) for provider in providers)
    trusted = "; trusted" if loaded.path is not None and is_trusted(loaded.path) else ""
    said = f"{loaded.source}: sound; providers: {len(providers)}, models: {models}{trusted}"
    yield Finding("configuration", "ok", said)
    for note in loaded.notes:
        yield Finding("configuration", "warning", note)


def keys(patient: Patient) -> Iterator[Finding]:
    """Each variable by name, and where it stands; then the providers that lack theirs."""
    there = [f"{place.name} from {place.source}" for place in patient.keys.describe() if place.place != "missing"]
    absent = [place.name for place in patient.keys.describe() if place.place == "missing"]
    said = "; ".join([*there, *([f"not set: {', '.join(absent)}"] if absent else [])])
    yield Finding("keys", "ok", said)
    loaded = patient.usable
    for provider_id, why in loaded.missing_keys.items() if loaded is not None else ():
        yield Finding(
            "keys",
            "warning",
            f"{provider_id} has none: {why}",
            "`%sekha keys set NAME` in a notebook, or set the variable before the kernel starts.",
        )
