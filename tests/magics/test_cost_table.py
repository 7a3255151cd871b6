"""`%sekha_cost` as it is seen: figures with bars, bounded, the same in text and HTML, exact in the DataFrame."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest
from wcwidth import wcswidth

from sekha_magics import Registry
from sekha_magics.core.types import Cost, Origin
from tests.ledger.events import START, event

from .conftest import Ran

Run = Callable[[str], Ran]


def spend(registry: Registry, usd: str | None = "0.5", *, day: float = 0, **origin: str) -> None:
    cost = Cost(None, "unpriced") if usd is None else Cost(Decimal(usd), "computed")
    call = {"ts": (START + timedelta(days=day)).isoformat(), "cost": cost}
    call |= {name: origin.pop(name) for name in ("model_id", "provider_id") if name in origin}
    registry.ledger.append(event(calls=[call], origin=Origin(registry.session_id, **origin)))


def rows_of(ran: Ran) -> list[str]:
    return [line for line in ran.stdout.splitlines() if "%" in line or "$" in line][1:]


def test_a_bar_stands_beside_each_figure(run: Run, registry: Registry) -> None:
    spend(registry, "3", model_id="big")
    spend(registry, "1", model_id="small")
    big, small = rows_of(run("%sekha_cost"))
    assert "$3.00" in big and "75 % ████████████" in big
    assert "$1.00" in small and "25 % " in small
    assert big.count("█") == 16 and small.endswith("█████▍")


def test_failed_attempts_belong_to_whom_they_were_sent(run: Run, registry: Registry) -> None:
    failed = {"provider_id": "first", "status": "error", "cost": Cost(None, "unpriced"), "ttft_ms": None, "usage": None}
    answered = {"provider_id": "second", "attempt": 2}
    registry.ledger.append(event(calls=[failed, answered], origin=Origin(registry.session_id)))
    frame = run("%sekha_cost --by provider").value.set_index("provider_id")
    assert frame["calls"].to_dict() == {"first": 1, "second": 1}
    assert frame.loc["first", "cost_usd"] == 0 and pd.isna(frame.loc["first", "input_tokens"])
    assert run("%sekha_cost --by task").value["calls"].tolist() == [2]


def test_a_group_without_a_price_has_no_bar_and_says_so(run: Run, registry: Registry) -> None:
    spend(registry, "1", model_id="priced")
    spend(registry, None, model_id="unknown")
    ran = run("%sekha_cost")
    assert "$1.00 + 1 unpriced call in this session" in ran.stdout
    (unknown,) = [line for line in ran.stdout.splitlines() if "unknown" in line]
    assert "unpriced" in unknown and "█" not in unknown and "%" not in unknown
    assert ran.value.set_index("model_id")["cost_usd"].to_dict() == {"priced": Decimal(1), "unknown": None}


def test_where_nothing_cost_anything_the_bars_are_of_the_calls(run: Run, registry: Registry) -> None:
    for _ in range(3):
        spend(registry, "0", model_id="free")
    spend(registry, "0", model_id="other")
    shown = run("%sekha_cost").stdout
    assert "of the calls" in shown and "75 %" in shown


def test_days_are_an_axis_with_its_gaps(run: Run, registry: Registry) -> None:
    for day in (0, 2, 60):
        spend(registry, day=day)
    ran = run("%sekha_cost --by day")
    assert ran.value["day"].is_monotonic_increasing and len(ran.value) == 3
    first = [line.split()[0] for line in ran.stdout.splitlines() if line.startswith(("202", "("))]
    assert first == ["2026-11-23", "2026-11-24", "2026-11-25", "(57", "2027-01-22"]


def test_many_days_and_many_groups_are_bounded(run: Run, registry: Registry) -> None:
    for number in range(45):
        spend(registry, f"0.{number + 10}", day=number, notebook=f"/x/n{number}.ipynb")
    by_day, by_notebook = run("%sekha_cost --by day"), run("%sekha_cost --by notebook")
    assert len(by_day.value) == len(by_notebook.value) == 45
    assert len(rows_of(by_day)) == 32 and "14 earlier" in by_day.stdout
    assert len(rows_of(by_notebook)) == 16 and "30 others" in by_notebook.stdout
    assert "n44.ipynb" in by_notebook.stdout and "n0.ipynb" not in by_notebook.stdout


@pytest.mark.parametrize("by", ["model", "provider", "task", "cell", "notebook", "conversation", "day", "session"])
def test_every_table_fits_a_terminal_and_lines_up(run: Run, registry: Registry, by: str) -> None:
    for name in ("日本語モデル名前" * 5, "a" * 300, "\x1b[31m<script>alert(1)</script>", "é"):
        spend(registry, model_id=name, provider_id=name, notebook=f"/{name}.ipynb", cell_id=name, conversation=name)
    bundle = run(f"%sekha_cost --by {by}").value._repr_mimebundle_()
    caption, head, rule, *rows = bundle["text/plain"].splitlines()
    assert "\x1b" not in bundle["text/plain"] and "<script" not in bundle["text/html"]
    assert max(wcswidth(line) for line in (head, rule, *rows)) <= 90
    ends = {wcswidth(row[: row.index("$")]) + len("$0.50") for row in rows if "$0.50" in row}
    assert caption and len(ends) <= 1


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text, self.boxes, self.tags = "", 0, set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.boxes += "background-color" in (dict(attrs).get("style") or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_says_in_words_what_its_boxes_show(run: Run, registry: Registry) -> None:
    spend(registry, "999", model_id="nearly all")
    spend(registry, "0.001", model_id="hardly any")
    cells = _Cells()
    cells.feed(run("%sekha_cost").value._repr_mimebundle_()["text/html"])
    assert "99 %" in cells.text and "<1 %" in cells.text and "100 %" not in cells.text
    assert cells.boxes == 2
    assert cells.tags <= {"div", "table", "caption", "thead", "tbody", "tr", "th", "td", "span", "p"}


def test_money_stays_exact_when_it_is_summed(run: Run, registry: Registry) -> None:
    for _ in range(10):
        spend(registry, "0.1", notebook="/n.ipynb")
    frame = run("%sekha_cost").value
    assert frame.groupby("provider_id", observed=True)["cost_usd"].sum().tolist() == [Decimal(1)]


def test_days_are_drawn_as_columns_beside_the_table_and_told_in_a_sentence(run: Run, registry: Registry) -> None:
    spend(registry, "0.1", day=0)
    one = run("%sekha_cost --by day").value._repr_mimebundle_()["text/html"]
    assert "<svg" not in one
    spend(registry, "0.4", day=2)
    spend(registry, None, day=3)
    shown = run("%sekha_cost --by day").value._repr_mimebundle_()
    svg = shown["text/html"].partition("<svg")[2]
    # Two days with a cost, one that is not known, and one on which there was no call.
    assert svg.count("<rect") == 3 and svg.count("stroke-dasharray") == 1 and 'aria-label="4 columns"' in svg
    assert "the most was <span>$</span>0.40, on" in svg and "Of 1 day no price is known." in svg
    assert "svg" not in shown["text/plain"] and "svg" not in run("%sekha_cost --by model").value.to_html()


def test_very_many_days_are_drawn_up_to_the_last(run: Run, registry: Registry) -> None:
    for day in (0, 400, 401):
        spend(registry, "1", day=day)
    shown = run("%sekha_cost --by day").value._repr_mimebundle_()["text/html"]
    assert 'aria-label="120 columns"' in shown and shown.partition("<svg")[2].count("<rect") == 2


def test_days_that_cost_nothing_are_not_drawn(run: Run, registry: Registry) -> None:
    spend(registry, "0", day=0)
    spend(registry, "0", day=1)
    assert "<svg" not in run("%sekha_cost --by day").value._repr_mimebundle_()["text/html"]
