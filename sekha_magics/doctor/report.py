"""What was found: for people as text and as a table, for programs as JSON.

Findings quote configurations, providers and files, so every text is taken for hostile.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ..display.tables import Table
from ..display.text import one_line

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Finding", "Level", "Report"]

Level = Literal["ok", "warning", "problem"]

_WIDTH = 100
_SIGNS = {"ok": "ok", "warning": "warning", "problem": "PROBLEM"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `mend` says how to change it, and is empty where nothing has to be."""

    check: str
    level: Level
    found: str
    mend: str = ""

    def cleaned(self, clean: Callable[[str], str]) -> Finding:
        """On one line each, with every text gone over by `clean`."""
        return replace(
            self, check=one_line(clean(self.check)), found=one_line(clean(self.found)), mend=one_line(clean(self.mend))
        )


@dataclass(frozen=True)
class Report:
    """All findings, in the order of the checks. `str()` of it is a screen of text."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no problem; warnings are none."""
        return not self.of("problem")

    def of(self, level: Level) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == level)

    @property
    def summary(self) -> str:
        problems, warnings = len(self.of("problem")), len(self.of("warning"))
        if not problems and not warnings:
            return f"All is well: {len(self.findings)} checks."
        return f"{_count(problems, 'problem')}, {_count(warnings, 'warning')}, {len(self.of('ok'))} ok."

    def to_frame(self) -> pd.DataFrame:
        """One row per finding: check, level, found, mend."""
        import pandas as pd

        columns = ["check", "level", "found", "mend"]
        return pd.DataFrame([[getattr(f, name) for name in columns] for f in self.findings], columns=columns, dtype=str)

    def to_json(self) -> dict[str, Any]:
        """`ok`, how many problems and warnings, and `findings` with the fields of `Finding`."""
        return {
            "ok": self.ok,
            "problems": len(self.of("problem")),
            "warnings": len(self.of("warning")),
            "findings": [{"check": f.check, "level": f.level, "found": f.found, "mend": f.mend} for f in self.findings],
        }

    def to_plain(self) -> str:
        """A line for each finding, and below it how to mend it; long ones are wrapped."""
        room = max((len(f.check) for f in self.findings), default=0)
        lines = []
        for finding in self.findings:
            head = f"{_SIGNS[finding.level]:<9}{finding.check:<{room}}  "
            lines += textwrap.wrap(finding.found, _WIDTH, initial_indent=head, subsequent_indent=" " * len(head)) or [
                head.rstrip()
            ]
            lines += textwrap.wrap(
                finding.mend, _WIDTH, initial_indent=f"{' ' * len(head)}-> ", subsequent_indent=" " * (len(head) + 3)
            )
        return "\n".join([*lines, "", self.summary])

    def to_html(self) -> str:
        strong = frozenset(number for number, finding in enumerate(self.findings) if finding.level == "problem")
        rows = [(_SIGNS[f.level], f.check, f.found, f.mend) for f in self.findings]
        columns = ("", "check", "found", "how to mend it")
        return Table(columns, rows, caption=self.summary, strong=strong).to_html()

    def __str__(self) -> str:
        return self.to_plain()

    def __repr__(self) -> str:
        return f"<Report: {self.summary}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.to_plain(), "text/html": self.to_html()}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
