"""Can what happens be kept? The data directory, the ledger and its queue, the budgets, and who may read them.

What is tried is tried in a folder that is removed again.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..display.sizes import format_bytes
from ..errors import LedgerError
from ..storage.budgets import BudgetFile
from ..storage.queue import Queue
from ..storage.sqlite import log_refused
from .patient import Patient
from .report import Finding

if TYPE_CHECKING:
    from ..ledger.store import Ledger

__all__ = ["budgets", "data_directory", "ledger", "private_files", "queue"]

_VERIFIED_BYTES = 20_000_000
"""A ledger up to this size is looked at whole, which takes a second or two."""

_COUNTS = "SELECT (SELECT count(*) FROM decisions), (SELECT count(*) FROM calls)"
_ELSEWHERE = "Set SEKHA_HOME to a folder on a disk of this machine."


def data_directory(patient: Patient) -> Iterator[Finding]:
    """Whether the folder is there or can be made, and can be written."""
    folder = patient.data
    named = " ($SEKHA_HOME)" if patient.environ.get("SEKHA_HOME") else ""
    if folder.is_dir():
        if os.access(folder, os.W_OK | os.X_OK):
            yield Finding("data directory", "ok", f"{folder}{named}")
        else:
            yield Finding("data directory", "problem", f"{folder}{named} cannot be written", f"`chmod u+rwx {folder}`")
        return
    if folder.exists():
        yield Finding("data directory", "problem", f"{folder}{named} is a file", "Move it away, or set SEKHA_HOME.")
        return
    above = _existing(folder)
    if above.is_dir() and os.access(above, os.W_OK | os.X_OK):
        yield Finding("data directory", "ok", f"{folder}{named} will be made with the first request")
    else:
        yield Finding("data directory", "problem", f"{folder}{named} cannot be made: {above} is in the way", _ELSEWHERE)


def ledger(patient: Patient) -> Iterator[Finding]:
    """Whether it can be read; a small one is verified whole."""
    from ..ledger.store import Ledger

    path = patient.ledger_path
    if path.is_dir():
        raise LedgerError(f"{path} is a folder.", hint="Move it away, or name a file in it as `ledger.path`.")
    if not any(file.exists() for file in (path, _beside(path, "queue.sqlite"), _beside(path, "spool"))):
        yield Finding("ledger", "ok", f"{path}: nothing is logged yet")
        return
    standing = patient.standing
    opened = standing.ledger if standing is not None else Ledger(path)
    try:
        yield from _read(opened, path)
    finally:
        if standing is None:
            opened.close()


def _read(opened: Ledger, path: Path) -> Iterator[Finding]:
    files = [path, *(_beside(path, f"{name}.sqlite{end}") for name in ("queue", "content") for end in ("", "-wal"))]
    size = sum(file.stat().st_size for file in files if file.exists())
    decisions, calls = opened.sql(_COUNTS, frames={}).iloc[0]
    held = f"{path}: {int(decisions):,} decisions, {int(calls):,} calls, {format_bytes(size)}"
    if opened.unwritten:
        mend = "Make room on the disk or give write permission; the next request tries again."
        yield Finding("ledger", "problem", f"{opened.unwritten} events are only in memory", mend)
    if size > _VERIFIED_BYTES:
        yield Finding("ledger", "ok", f"{held}; too large to be verified in passing", "`%sekha log verify` does it.")
        return
    verified = opened.verify()
    if verified.ok:
        yield Finding("ledger", "ok", f"{held}; whole")
    else:
        faults = verified.findings["fault"].value_counts()
        told = ", ".join(f"{count} {fault}" for fault, count in faults.items())
        yield Finding("ledger", "problem", f"{held}; not whole: {told}", "`%sekha log verify` lists them.")
    for note in verified.notes:
        yield Finding("ledger", "warning" if "damaged" in note else "ok", note)


def queue(patient: Patient) -> Iterator[Finding]:
    """How events get to the disk here, and what waits to be folded."""
    path = patient.ledger_path
    file, spool, folder = _beside(path, "queue.sqlite"), _beside(path, "spool"), path.parent
    if not folder.is_dir():
        yield Finding("queue", "ok", "it will be made with the first request")
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        yield Finding("queue", "problem", f"{folder} cannot be written", "Give write permission, or move the ledger.")
    elif (refused := log_refused(file)) is not None:
        told = f"each kernel writes lines to {spool}, which is slower: {refused}"
        yield Finding("queue", "warning", told, _ELSEWHERE)
    else:
        waiting = f", {_waiting(file):,} events wait to be folded" if file.is_file() else ""
        yield Finding("queue", "ok", f"SQLite with its log{waiting}")
    if left := list(spool.glob("*.jsonl")) if spool.is_dir() else []:
        yield Finding("queue", "ok", f"files of lines in {spool}: {len(left)}", "`sekha ledger fold` takes the ended.")


def _waiting(file: Path) -> int:
    queued = Queue(file)
    try:
        return len(queued)
    finally:
        queued.close()


def _beside(path: Path, name: str) -> Path:
    """A file that belongs to the ledger at `path`."""
    return path.with_name(name if path.name == "ledger.duckdb" else f"{path.name}.{name}")


def budgets(patient: Patient) -> Iterator[Finding]:
    """The limits in force, and whether all kernels share what is counted."""
    path = patient.data / "budgets.sqlite"
    limits = patient.registry.budget.limits if patient.registry is not None else {}
    said = ", ".join(f"{name} ${usd:f}" for name, usd in limits.items()) or "no limit"
    file = BudgetFile(path)
    try:
        if file.per_kernel:
            yield Finding("budgets", "warning", f"{said}; they hold for each kernel alone", _ELSEWHERE)
            return
        file.figures(())
    except (sqlite3.Error, OSError) as error:
        mend = f"Move {path} away; what was spent before is then not counted any more."
        yield Finding("budgets", "problem", f"{said}; {path} cannot be used: {error}", mend)
    else:
        yield Finding("budgets", "ok", said)
    finally:
        file.close()


def private_files(patient: Patient) -> Iterator[Finding]:
    """Whether others on this machine may read prompts, answers and figures."""
    if os.name == "nt":
        yield Finding("private files", "ok", "Windows keeps a user's folder from others by itself")
        return
    ledger_path = patient.ledger_path
    kept = [patient.data / name for name in ("budgets.sqlite", "trusted.json", "map.sqlite")]
    kept += [ledger_path, *(_beside(ledger_path, name) for name in ("queue.sqlite", "content.sqlite"))]
    kept += patient.memory_path.glob("*") if patient.memory_path.is_dir() else ()
    kept += [file.with_name(file.name + end) for file in kept for end in ("-wal", "-shm")]
    open_files = sorted({str(file) for file in kept if file.is_file() and _is_open(file)})
    # Any other folder may be somebody's project, which is theirs to open.
    folders = [
        str(folder) for folder in (patient.data, patient.data / "memory") if folder.is_dir() and _is_open(folder)
    ]
    if open_files:
        mend = f"`chmod 600 {shlex.join(open_files)}`"
        yield Finding("private files", "warning", f"others may read {', '.join(open_files)}", mend)
    if folders:
        mend = f"`chmod 700 {shlex.join(folders)}`"
        yield Finding("private files", "warning", f"others may look into {', '.join(folders)}", mend)
    if not open_files and not folders:
        yield Finding("private files", "ok", "only you may read what is kept")


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)


def _existing(folder: Path) -> Path:
    """The nearest that exists."""
    return next((above for above in folder.parents if above.exists()), folder.parent)
