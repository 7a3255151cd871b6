"""The bill a notebook carries: what each of its cells cost, read from the file alone.

No kernel, configuration or network takes part, and no ledger unless one is given. A file comes from a stranger: what it
says of money is believed where it has the form in which it was written, and counted as unpriced where it has not.
"""

from __future__ import annotations

from .frame import bill

__all__ = ["bill"]
