"""What holds for this kernel: a cassette in force, which notebook it is, and whether answers are shown as they come."""

from __future__ import annotations

from collections.abc import Iterator

from .. import whereabouts
from ..errors import SekhaError
from .patient import Patient
from .report import Finding

__all__ = ["cassette", "notebook", "streaming"]


def cassette(patient: Patient) -> Iterator[Finding]:
    """Which one is recorded or replayed, if any."""
    try:
        in_force = patient.cassette
    except SekhaError as error:
        mend = error.hint or "Name another file in SEKHA_CASSETTE, or unset it and SEKHA_MODE."
        yield Finding("cassette", "problem", error.message, mend)
        return
    if in_force is None:
        yield Finding("cassette", "ok", "none: answers come from providers")
        return
    off = "Unset SEKHA_CASSETTE and SEKHA_MODE, or `%sekha cassette off`, to ask providers again."
    told = {
        "replay": "answers are replayed from",
        "record": "answers are recorded, and the file begun anew, in",
        "auto": "answers are replayed from, and new ones added to,",
        "live": "left alone:",
    }[in_force.mode]
    yield Finding("cassette", "ok", f"{told} {in_force.path}", off)


def notebook(patient: Patient) -> Iterator[Finding]:
    """Whether its path is known, to which a budget and costs may belong."""
    known = whereabouts.notebook()
    if known is not None:
        yield Finding("notebook", "ok", known)
    elif not whereabouts.in_kernel():
        yield Finding("notebook", "ok", "none: this is no kernel")
    else:
        told = "its path is not known: costs are not told by notebook, and its budget is the session's"
        yield Finding("notebook", "warning", told, "Set SEKHA_NOTEBOOK to its path before the kernel starts.")


def streaming(patient: Patient) -> Iterator[Finding]:
    """Whether answers are shown as they are written, and else why not."""
    unwatched = whereabouts.unwatched()
    if not whereabouts.in_kernel():
        yield Finding("streaming", "ok", "answers are shown when they are whole: this is no kernel")
    elif unwatched is not None:
        yield Finding("streaming", "ok", f"off: {unwatched}")
    elif patient.replays:
        yield Finding("streaming", "ok", "off: a cassette is replayed")
    elif not patient.streams:
        yield Finding("streaming", "ok", "off: SekhaMagics.stream is False", "`%config SekhaMagics.stream = True`")
    else:
        yield Finding("streaming", "ok", "on: answers are shown as they are written")
