"""Who would answer? Every provider is asked whether it is there, all at once; nothing is spent."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from ..config.load import THREE_WAYS
from ..errors import InvalidInput
from ..frames import health
from ..providers.local.files import DEFAULT_MODEL, KNOWN, check_gguf
from .patient import Patient
from .report import Finding, Level

__all__ = ["embedded_model", "providers"]

_ANSWERING = {"closed", "half_open"}


def providers(patient: Patient) -> Iterator[Finding]:
    registry, loaded = patient.registry, patient.usable
    if registry is None or loaded is None:
        yield Finding("providers", "warning", "not asked, since the configuration cannot be used")
        return
    asked = patient.probe and not patient.replays
    frame = registry.health(probe=True) if asked else health(registry.state, {})
    rows = frame.astype(object).to_dict("records")
    # Without a configuration nobody said that it has to be there.
    wanted = not loaded.no_remote_fallback
    for row in rows:
        yield _of(row, asked, wanted)
    if patient.replays:
        return
    if not rows:
        yield Finding("providers", "problem", "none is configured", THREE_WAYS)
    elif not any(row["state"] in _ANSWERING for row in rows):
        yield Finding("providers", "problem", "nobody may answer now", THREE_WAYS)


def _of(row: dict[Any, Any], asked: bool, wanted: bool) -> Finding:
    name, state = row["provider_id"], row["state"]
    check = f"provider {name}"
    # A gap of a DataFrame is not None.
    why = f": {row['last_error']}" if isinstance(row["last_error"], str) else ""
    serious: Level = "problem" if wanted else "warning"
    match state:
        case "closed":
            said = "answers" if asked else "not asked now"
            models = f"{row['models']} model{'' if row['models'] == 1 else 's'}"
            return Finding(check, "ok", f"{said}; {row['provider_type']}, {models}{why}")
        case "disabled":
            return Finding(check, "ok", "disabled in the configuration")
        case "no_key":
            return Finding(check, "warning", "has no key, so its models are not eligible", "See keys.")
        case "auth_failed":
            mend = "Check the key: `%sekha keys set NAME`, or the variable it stands in."
            return Finding(check, serious, f"refuses the key{why}", mend)
        case "unreachable":
            mend = "Start it, or mend its base_url, or set `enabled: false`."
            return Finding(check, serious, f"does not answer{why}", mend)
    mend = f"It is tried again by itself; at once with `%sekha health --reset {name}`."
    return Finding(check, "warning", f"{state.replace('_', ' ')}{why}", mend)


def embedded_model(patient: Patient) -> Iterator[Finding]:
    """The model that needs no account and no server: its library, and its file."""
    loaded = patient.usable
    configured = loaded.config.llm_providers if loaded is not None else ()
    needed = any(provider.enabled and provider.type == "local" for provider in configured)
    lack: Level = "warning" if needed else "ok"
    if find_spec("xllamacpp") is None:
        mend = "To have it: `pip install 'sekha-magics[local]'`, then `sekha models pull`."
        yield Finding("embedded model", lack, "xllamacpp is not installed", mend)
        return
    path = patient.data / "models" / f"{DEFAULT_MODEL}.gguf"
    if not path.exists():
        mend = "To have it: `sekha models pull`, 98 MB, once."
        yield Finding("embedded model", lack, f"its file is not here: {path}", mend)
        return
    again = f"Remove {path}, then `sekha models pull`."
    try:
        check_gguf(path)
    except InvalidInput as error:
        yield Finding("embedded model", "problem", error.message, again)
        return
    size = path.stat().st_size
    if size != KNOWN[DEFAULT_MODEL].size:
        told = f"{path} has {size:,} bytes, and {KNOWN[DEFAULT_MODEL].size:,} are expected"
        yield Finding("embedded model", "problem", told, again)
    else:
        yield Finding("embedded model", "ok", str(path))
