"""`sekha doctor`: is everything here that is needed, does it fit together, and how is it mended?

It only looks: no request is sent that costs money, nothing is installed, set or deleted, and no key is shown. Whatever
a check meets is a finding, also a failure of its own.
"""

from __future__ import annotations

from .examination import examine
from .report import Finding, Level, Report

__all__ = ["Finding", "Level", "Report", "examine"]
