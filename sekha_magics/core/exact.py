"""The context in which money is computed: a notebook that lowers the global precision does not change a bill."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context

__all__ = ["EXACT"]

EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
