"""Questions put to what was logged: every answer follows from the ledger and from `decide()`, and sends nothing."""

from __future__ import annotations
