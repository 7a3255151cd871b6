"""A share as a bar, beside its figure: block characters in text, a box in HTML, and read aloud as what it is.

The figure stands in the text of both, so that nothing is told by length or colour alone. The box has one literal colour
that shows on white and on black, since a front end drops variables, SVG and ARIA from an output it does not trust.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from .drawing import Drawing

__all__ = ["Bar"]

_EIGHTHS = " ▏▎▍▌▋▊▉"
_COLOUR = "#4a86d8"
_EM = 8


@dataclass(frozen=True, slots=True)
class Bar(Drawing):
    """`length` of the longest, and `share` of all, both from 0 to 1; `width` is the most characters a bar has."""

    length: Decimal
    share: Decimal
    width: int = 16

    @property
    def figure(self) -> str:
        """`45 %`; `<1 %` for what is little and not nothing, and all of it only where it is."""
        percent = round(self.share * 100)
        if self.share and not percent:
            return "<1 %"
        return f"{99 if percent == 100 and self.share < 1 else percent} %"

    def __str__(self) -> str:
        eighths = max(round(self.length * self.width * 8), 1 if self.length else 0)
        bar = ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).rstrip()
        return f"{self.figure:>5} {bar}".rstrip()

    def to_html(self) -> str:
        em = max(round(float(self.length) * _EM, 2), 0.15 if self.length else 0)
        box = f'<span style="display:inline-block;width:{em}em;height:0.8em;background-color:{_COLOUR}"></span>'
        figure = f'<span style="display:inline-block;width:3.5em;text-align:right">{self.figure}</span>'
        whole = f"{figure} {box if self.length else ''}".replace("<1 %", "&lt;1 %").rstrip()
        return f'<span style="white-space:nowrap">{whole}</span>'
