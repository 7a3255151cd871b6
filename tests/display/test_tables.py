from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics.display.tables import Table

from .harmless import CONTROLS, assert_harmless, assert_only_formulas_are_typeset, formulas, parse
from .hostile import TEXTS


def test_a_table_reads_well_in_a_terminal() -> None:
    table = Table(
        ("model", "calls", "cost"),
        [("smollm2", 3, "free"), ("模型", 1200, "$0.0123"), (None, None, None)],
        caption="This session",
        footnotes=("one unpriced call",),
        right=frozenset({"cost"}),
    )
    assert table.to_plain().splitlines() == [
        "This session",
        "model    calls     cost",
        "───────  ─────  ───────",
        "smollm2      3     free",
        "模型     1,200  $0.0123",
        "",
        "one unpriced call",
    ]


def test_the_row_that_matters_is_marked_in_text_and_bold_in_html() -> None:
    table = Table(("model",), [("a",), ("b",)], strong=frozenset({1}))
    assert table.to_plain().splitlines() == ["  model", "  ─────", "  a", "* b"]
    cells = parse(table.to_html()).iter("td")
    assert ["font-weight:bold" in td.get("style") for td in cells] == [False, True]


def test_a_table_says_its_caption_and_heads_its_columns() -> None:
    html = Table(("a", "b"), [(1, "x")], caption="Costs", footnotes=("note",)).to_html()
    tree = parse(html)
    assert [c.text for c in tree.iter("caption")] == ["Costs"]
    assert [(th.get("scope"), th.get("style")) for th in tree.iter("th")] == [
        ("col", "text-align:right"),
        ("col", "text-align:left"),
    ]
    assert [p.text for p in tree.iter("p")] == ["note"]
    assert "var(" not in html


def test_a_table_without_rows_says_so() -> None:
    table = Table(("a",), [], caption="Costs", footnotes=("see <docs>",), empty="no calls yet")
    assert table.to_plain() == "Costs\n(no calls yet)\nsee <docs>"
    assert "(no calls yet)" in table.to_html()
    assert_harmless(table.to_html())
    assert "<table" not in table.to_html()


def test_values_are_shown_as_people_write_them() -> None:
    table = Table(("a", "b", "c", "d", "e"), [(True, False, 1234567, 1234.5678, 0.123456), (None,) * 5])
    assert table.to_plain().splitlines()[2].split() == ["yes", "no", "1,234,567", "1,235", "0.1235"]


def test_a_column_of_numbers_is_aligned_right_and_one_of_truths_is_not() -> None:
    table = Table(("money", "truth"), [(Decimal("1.5"), True), (None, False)])
    assert [th.get("style") for th in parse(table.to_html()).iter("th")] == ["text-align:right", "text-align:left"]


def test_dollars_in_different_cells_do_not_become_mathematics() -> None:
    html = Table(("cost $", "$x$"), [("$0.01", "$0.02$"), (r"\(x\)", "$$y$$")], caption="$a$").to_html()
    assert formulas(html) == []
    assert_only_formulas_are_typeset(html)


def test_a_very_long_cell_is_cut() -> None:
    table = Table(("error",), [("x" * 1_000_000,)])
    assert table.to_plain().splitlines()[-1] == "x" * 1999 + "…"


def test_a_cell_with_line_breaks_stays_on_one_line() -> None:
    assert Table(("error",), [("a\nb\r\n c\x1b[2K",)]).to_plain().splitlines()[-1] == "a b c"


def test_a_row_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells in a table of 1 columns"):
        Table(("a",), [(1, 2)])


def test_a_table_is_shown_rich_by_a_notebook() -> None:
    bundle = Table(("a",), [(1,)])._repr_mimebundle_()
    assert set(bundle) == {"text/plain", "text/html"}


CELLS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=())),
    st.sampled_from(TEXTS),
    st.integers(),
    st.none(),
    st.floats(),
)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=4), CELLS, st.sampled_from(TEXTS), st.sets(st.integers(0, 3)))
@settings(max_examples=150, deadline=None)
def test_hostile_cells_are_text(rows: list[tuple[object, object]], note: object, name: str, strong: set[int]) -> None:
    table = Table((name, "b"), rows, caption=name, footnotes=(str(note),), strong=frozenset(strong), empty=name)
    html, plain = table.to_html(), table.to_plain()
    assert_harmless(html)
    assert_only_formulas_are_typeset(html)
    assert not CONTROLS.search(plain)
    plain.encode()
    assert len(list(parse(html).iter("td"))) == 2 * len(rows)
