"""`sekha doctor`: what is found here and how to mend it; for programs as JSON."""

from __future__ import annotations

import json
from argparse import Namespace as Options

from .terminal import say

__all__ = ["doctor"]


def doctor(options: Options) -> int:
    """The exit code: 1 when there is a problem."""
    from ..doctor import examine

    report = examine(options.config, probe=not options.no_probe)
    say(json.dumps(report.to_json(), ensure_ascii=False, indent=1) if options.json else str(report))
    return 0 if report.ok else 1
