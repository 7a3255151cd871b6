"""Any program that reads the ledger by DuckDB alone: opens it, says so, and keeps it open until its input ends.

With a second argument it opens it for writing.
"""

from __future__ import annotations

import sys

import duckdb

connection = duckdb.connect(sys.argv[1], read_only=len(sys.argv) == 2)
print(connection.sql("SELECT count(*) FROM calls").fetchone()[0], flush=True)
sys.stdin.read()
print(connection.sql("SELECT count(*) FROM calls").fetchone()[0], flush=True)
