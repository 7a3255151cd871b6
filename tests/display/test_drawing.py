"""Drawings in tables: the same figures in text, in HTML without SVG, and as a picture that holds no text of its own."""

from __future__ import annotations

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.display.bars import Bar
from sekha_magics.display.drawing import Columns, Drawing, Range, Sparkline
from sekha_magics.display.tables import Table

from .harmless import CONTROLS, parse
from .hostile import TEXTS

USD = st.decimals(0, 10**6, allow_nan=False, allow_infinity=False, places=9)
SHAPES = {"line", "rect", "polyline", "circle"}
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


SVG = "{http://www.w3.org/2000/svg}"


def drawn(html: str):
    """The one SVG in `html`: its element and its shapes."""
    (svg,) = parse(html).iter(f"{SVG}svg")
    return svg, list(svg)


def name(element) -> str:
    return element.tag.removeprefix(SVG)


def assert_drawn_inside(html: str) -> None:
    svg, shapes = drawn(html)
    _, _, width, height = map(float, svg.get("viewBox").split())
    assert svg.get("role") == "img" and svg.get("aria-label")
    assert set(map(name, shapes)) <= SHAPES and not "".join(svg.itertext()).strip()
    for shape in shapes:
        for attribute, value in shape.attrib.items():
            assert not attribute.startswith("on") and "url(" not in value
        if name(shape) == "polyline":
            for point in shape.get("points").split():
                x, y = map(float, point.split(","))
                assert -0.1 <= x <= width + 0.1 and -0.1 <= y <= height + 0.1
        if name(shape) == "rect":
            left, top, wide, tall = (float(shape.get(side)) for side in ("x", "y", "width", "height"))
            assert left >= -0.1 and top >= -0.1 and wide > 0 and tall > 0
            assert left + wide <= width + 1.6 and top + tall <= height + 0.1


def without_svg(html: str) -> str:
    """What a front end leaves of an output it does not trust: elements of an SVG go, their text stays."""
    return "".join(parse(re.sub(r"</?(?:svg|line|rect|polyline|circle)\b[^>]*>", "", html)).itertext())


@given(st.tuples(USD, USD, USD).map(sorted), USD)
def test_any_range_is_drawn_inside_its_picture(costs: list[Decimal], more: Decimal) -> None:
    assert_drawn_inside(Range("a to b", *costs, max(costs[2], more)).to_html())


@given(st.lists(st.floats(0, 1e7, allow_nan=False), min_size=1, max_size=50))
def test_any_course_is_drawn_inside_its_picture(values: list[float]) -> None:
    line = Sparkline("some", tuple(values))
    assert_drawn_inside(line.to_html())
    assert len(str(line)) <= len("some ") + line.width


@given(st.lists(st.none() | USD, min_size=1, max_size=120))
def test_any_columns_are_drawn_inside_their_picture(values: list[Decimal | None]) -> None:
    html = Columns("day by day", values).to_html()
    assert_drawn_inside(html)
    _, shapes = drawn(html)
    rects = [shape for shape in shapes if name(shape) == "rect"]
    assert len(rects) == sum(value is None or value > 0 for value in values)


@pytest.mark.parametrize(
    "drawing",
    [
        Range("$0.01 to $0.03", Decimal("0.01"), Decimal("0.02"), Decimal("0.03"), Decimal(1)),
        Sparkline("120 to 900 ms", (120.0, 900.0, 300.0)),
        Columns("The most was $0.40.", [Decimal("0.4"), None]),
        Bar(Decimal(1), Decimal("0.5")),
    ],
)
def test_what_is_drawn_is_said_where_nothing_can_be_drawn(drawing: Drawing) -> None:
    figures = str(drawing).split(" █")[0].split(" ▂")[0].strip()
    assert figures in without_svg(drawing.to_html())


def test_a_course_in_a_terminal_is_a_row_of_blocks() -> None:
    assert str(Sparkline("0 to 8 ms", tuple(map(float, range(9))))) == "0 to 8 ms ▁▂▃▄▅▅▆▇█"
    assert str(Sparkline("0 ms", (0.0, 0.0))) == "0 ms ▁▁"


def test_colours_come_from_the_front_end_with_one_for_where_there_is_none() -> None:
    html = Range("x", Decimal(1), Decimal(2), Decimal(3), Decimal(3)).to_html()
    assert "currentColor" in html and "var(--jp-brand-color1, #4a86d8)" in html


@pytest.mark.parametrize("text", TEXTS)
def test_hostile_figures_are_only_text(text: str) -> None:
    for drawing in (
        Range(text, Decimal(1), Decimal(2), Decimal(3), Decimal(3)),
        Sparkline(text, (1.0, 2.0)),
        Columns(text, [Decimal(1), Decimal(2)]),
    ):
        html = Table(("a",), [(drawing,)]).to_html()
        assert_drawn_inside(html)
        assert not CONTROLS.search(html)
        known = {"div", "table", "thead", "tbody", "tr", "th", "td", "span", "svg", "p", "DOCUMENT_FRAGMENT"} | SHAPES
        assert set(map(name, parse(html).iter())) <= known
        assert not any(attribute.startswith("on") for e in parse(html).iter() for attribute in e.attrib)
        assert "\n" not in str(drawing) and not CONTROLS.search(str(drawing))


def test_numbers_of_a_picture_are_plain_numbers() -> None:
    html = Range("x", Decimal("1E-12"), Decimal("2E-12"), Decimal("3E-9"), Decimal("1E+5")).to_html()
    _, shapes = drawn(html)
    assert all(NUMBER.fullmatch(shape.get("x")) for shape in shapes if shape.get("x"))
