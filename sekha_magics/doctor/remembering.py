"""Is what notebooks remember in order, and can it be searched by an index where that is asked for?"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from ..display.sizes import format_bytes
from ..storage.sqlite import Database
from .patient import Patient
from .report import Finding, Level

__all__ = ["memory", "vector_search"]

_CHECKED_BYTES = 50_000_000


def memory(patient: Patient) -> Iterator[Finding]:
    """Whether it is on, and its file can be read; one that is not too large is looked at page by page."""
    enabled = patient.usable is not None and patient.usable.config.memory.enabled
    switch = "on" if enabled else "off: named conversations are not kept (`memory.enabled`)"
    file = patient.memory_path / "memory.sqlite"
    if not file.exists():
        yield Finding("memory", "ok", f"{switch}; nothing is remembered yet")
        return
    size = file.stat().st_size
    connection = Database(file, "SELECT 1").stray()
    try:
        if size <= _CHECKED_BYTES:
            (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                yield Finding("memory", "problem", f"{file} is damaged: {state}", "Move it away; a new one begins.")
                return
        (messages,) = connection.execute("SELECT count(*) FROM messages").fetchone()
    finally:
        connection.close()
    yield Finding("memory", "ok", f"{switch}; {messages:,} messages, {format_bytes(size)}, in {patient.memory_path}")


def vector_search(patient: Patient) -> Iterator[Finding]:
    """Whether DuckDB's `vss` can be loaded; without it search is exact."""
    import duckdb

    asked = patient.usable is not None and patient.usable.config.memory.index == "hnsw"
    lack: Level = "warning" if asked else "ok"
    mend = "`pip install 'sekha-magics[vss]'`, which brings the version of DuckDB that fits."
    spec = find_spec("duckdb_extension_vss")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    if not folders:
        yield Finding("vector search", lack, "exact: the vss extension is not installed", mend if asked else "")
        return
    wanted = f"v{duckdb.__version__}"
    files = [Path(folder) / "extensions" / wanted / "vss.duckdb_extension" for folder in folders]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        there = sorted(path.name for folder in folders for path in (Path(folder) / "extensions").glob("v*"))
        told = f"exact: the vss extension is for DuckDB {', '.join(there) or 'none'}, and {wanted} is installed"
        yield Finding("vector search", "warning", told, mend)
        return
    quoted = "'" + str(file).replace("'", "''") + "'"
    try:
        with duckdb.connect(":memory:") as connection:
            connection.execute(f"LOAD {quoted}")
    except duckdb.Error as error:
        yield Finding("vector search", "problem" if asked else "warning", f"vss cannot be loaded: {error}", mend)
        return
    used = "used" if asked else "not used: `memory.index` is exact"
    yield Finding("vector search", "ok", f"vss for DuckDB {duckdb.__version__} can be loaded; {used}")
