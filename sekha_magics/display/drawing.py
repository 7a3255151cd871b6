"""What a cell of a table may hold besides text: a value that is drawn, and stands there in figures too.

As HTML the drawing comes first, so that those of all rows stand below each other. A drawing in SVG takes its colours
from the front end, so that it is right in light, dark and high contrast. It holds no text, no `<title>` either: an
output that is not trusted loses the elements of an SVG and keeps their text, which would then stand in the table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from .text import one_line, to_html_text

__all__ = ["Columns", "Drawing", "Range", "Sparkline"]

# A front end's own colour, and one that shows on white and on black where there is none.
_COLOUR = "var(--jp-brand-color1, #4a86d8)"
_BLOCKS = "▁▂▃▄▅▆▇█"


class Drawing(ABC):
    """`str()` of it is its text, on one line and without control sequences."""

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def to_html(self) -> str:
        """Harmless HTML that holds the same figures as the text."""


@dataclass(frozen=True, slots=True)
class Range(Drawing):
    """From `low` by way of `middle` to `high`, on a scale from 0 to `most` that all rows share; `figures` says it."""

    figures: str
    low: Decimal
    middle: Decimal
    high: Decimal
    most: Decimal

    def __str__(self) -> str:
        return one_line(self.figures)

    def to_html(self) -> str:
        width, height = 120, 14
        low, middle, high = (2 + float(x / self.most) * (width - 4) if self.most else 2.0 for x in
                             (self.low, self.middle, self.high))  # fmt: skip
        shapes = (
            f'<line x1="2" y1="12.5" x2="{width - 2}" y2="12.5" stroke="currentColor" stroke-opacity="0.35"/>'
            f'<rect x="{low:.1f}" y="4" width="{max(high - low, 1.5):.1f}" height="5" rx="2" fill="{_COLOUR}"'
            ' fill-opacity="0.55"/>'
            f'<line x1="{middle:.1f}" y1="1" x2="{middle:.1f}" y2="12" stroke="currentColor" stroke-width="2"/>'
        )
        return _side_by_side(_svg("drawn on one scale for all rows", width, height, shapes), str(self))


@dataclass(frozen=True, slots=True)
class Sparkline(Drawing):
    """The course of `values`, oldest first, on a scale from 0 to their largest; `figures` says what is to be known."""

    figures: str
    values: tuple[float, ...]
    width: int = 16

    def __str__(self) -> str:
        most = max(self.values, default=0.0)
        last = self.values[-self.width :]
        steps = [round(value / most * (len(_BLOCKS) - 1)) if most else 0 for value in last]
        return f"{one_line(self.figures)} {''.join(_BLOCKS[step] for step in steps)}".rstrip()

    def to_html(self) -> str:
        width, height, most = 120, 18, max(self.values, default=0.0) or 1.0
        step = (width - 6) / max(len(self.values) - 1, 1)
        places = [(3 + n * step, height - 3 - value / most * (height - 6)) for n, value in enumerate(self.values)]
        course = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        shapes = (
            f'<line x1="2" y1="{height - 1}.5" x2="{width - 2}" y2="{height - 1}.5" stroke="currentColor"'
            ' stroke-opacity="0.35"/>'
            f'<polyline points="{course}" fill="none" stroke="{_COLOUR}" stroke-width="1.5"/>'
        )
        if places:
            shapes += f'<circle cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" r="2.5" fill="currentColor"/>'
        said = f"the course of the last {len(self.values)}"
        return _side_by_side(_svg(said, width, height, shapes), one_line(self.figures))


@dataclass(frozen=True, slots=True)
class Columns(Drawing):
    """A column for each of `values`, in their order; None is one whose height is not known, and is marked as such."""

    figures: str
    values: Sequence[Decimal | None]

    def __str__(self) -> str:
        return one_line(self.figures)

    def to_html(self) -> str:
        """A paragraph with the drawing, and one with the figures."""
        width, height = 600, 90
        most = max((value for value in self.values if value is not None), default=Decimal(0))
        step = width / max(len(self.values), 1)
        wide = max(min(step * 0.75, 40.0), 1.0)
        shapes = f'<line x1="0" y1="{height - 8}" x2="{width}" y2="{height - 8}" stroke="currentColor"/>'
        for number, value in enumerate(self.values):
            left = number * step + (step - wide) / 2
            if value is None:
                shapes += (
                    f'<rect x="{left:.1f}" y="{height - 18}" width="{wide:.1f}" height="9" fill="none"'
                    ' stroke="currentColor" stroke-dasharray="2 2"/>'
                )
            elif value and most:
                tall = max(float(value / most) * (height - 12), 1.5)
                shapes += (
                    f'<rect x="{left:.1f}" y="{height - 8 - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"'
                    f' fill="{_COLOUR}"/>'
                )
        drawing = _svg(f"{len(self.values)} columns", width, height, shapes)
        return f'<p>{drawing}</p>\n<p style="opacity:0.75;font-size:90%">{to_html_text(str(self))}</p>\n'


def _side_by_side(drawing: str, figures: str) -> str:
    return f'<span style="white-space:nowrap">{drawing} {to_html_text(figures)}</span>'


def _svg(said: str, width: int, height: int, shapes: str) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    style = "vertical-align:middle;max-width:100%"
    return f'<svg role="img" aria-label="{said}" {size} style="{style}">{shapes}</svg>'
