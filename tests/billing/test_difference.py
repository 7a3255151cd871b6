"""`sekha cost --diff OLD NEW`: what changed, cell by cell."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from wcwidth import wcswidth

from .conftest import Said
from .paper import cell, facts, write

Cost = Callable[..., Said]


def rows(said: Said) -> list[str]:
    return [line for line in said.out.splitlines()[5:] if line[:1] in "~+-"]


def test_changed_added_and_removed_cells_are_shown_with_then_and_now(folder: Path, cost: Cost) -> None:
    write(
        folder / "a.ipynb",
        cell("%%sekha_chat\nSame", facts("1"), number=1, id="same"),
        cell("%%sekha_chat\nDearer", facts("2"), number=2, id="dearer"),
        cell("%%sekha_chat\nGone", facts("3"), number=3, id="gone"),
    )
    write(
        folder / "b.ipynb",
        cell("%%sekha_chat\nNew", facts("4"), number=1, id="new"),
        cell("%%sekha_chat\nDearer", facts("5", model_id="slow", output_tokens=40, cost_usd="0.0225"), id="dearer"),
        cell("%%sekha_chat\nSame", facts("6", ts=None, latency_ms=1), number=9, id="same"),
    )
    said = cost("--diff", "a.ipynb", "b.ipynb")
    assert said.code == 0
    assert said.out.splitlines()[:3] == ["--- a.ipynb", "+++ b.ipynb", "$0.0375 → $0.0475 (+$0.01)"]
    assert [" ".join(row.split()) for row in rows(said)] == [
        "+ [1] New fast 10/4 $0.0125",
        "~ [1] Dearer fast → slow 10/4 → 10/40 $0.0125 → $0.0225",
        "- [3] Gone fast 10/4 $0.0125",
    ]
    assert "1 unchanged" in said.out
    parsed = json.loads(cost("--diff", "--json", "a.ipynb", "b.ipynb").out)
    assert parsed["difference_usd"] == "0.01"
    assert [c["kind"] for c in parsed["cells"]] == ["added", "changed", "same", "removed"]


def test_cells_without_ids_are_matched_by_what_stands_in_them_and_then_by_what_they_ask(
    folder: Path, cost: Cost
) -> None:
    write(folder / "a.ipynb", cell("%%sekha_chat\nA", facts("1")), cell("%%sekha_chat -m fast\nB", facts("2")))
    write(folder / "b.ipynb", cell("%%sekha_chat -m slow\nB", facts("3", cost_usd="1")),
          cell("%%sekha_chat\nA", facts("4")))  # fmt: skip
    said = cost("--diff", "a.ipynb", "b.ipynb")
    assert [row.split()[:3] for row in rows(said)] == [["~", "[1]", "B"]] and "1 unchanged" in said.out


def test_the_same_notebook_has_not_changed(folder: Path, cost: Cost) -> None:
    write(folder / "a.ipynb", cell("a", facts("1")), cell("a", facts("2")))
    said = cost("--diff", "a.ipynb", "a.ipynb")
    assert said.code == 0 and "(nothing changed)" in said.out and "2 unchanged" in said.out


def test_a_run_that_was_replayed_is_told_apart_from_one_that_was_paid_for(folder: Path, cost: Cost) -> None:
    write(folder / "a.ipynb", cell("a", facts("1")))
    write(folder / "b.ipynb", cell("a", facts("2", replayed=True, cost_source="replayed")))
    out = cost("--diff", "a.ipynb", "b.ipynb").out
    assert "$0.0125 → $0 (-$0.0125)" in out and "$0.0125 → $0.0125 replayed" in out


def test_unpriced_calls_are_told_on_both_sides(folder: Path, cost: Cost) -> None:
    write(folder / "a.ipynb", cell("a", facts("1")))
    write(folder / "b.ipynb", cell("a", facts("2"), facts("3", cost_usd=None)))
    assert "$0.0125 → $0.0125 + 1 unpriced call" in cost("--diff", "a.ipynb", "b.ipynb").out


def test_a_side_without_a_file_is_one_without_cells(folder: Path, cost: Cost) -> None:
    write(folder / "a.ipynb", cell("a", facts("1")))
    assert rows(cost("--diff", os.devnull, "a.ipynb"))[0].startswith("+")


def test_it_keeps_within_a_hundred_columns(folder: Path, cost: Cost) -> None:
    long = {"model_id": "a-very-long-name-of-a-model:70b-instruct", "input_tokens": 123456, "output_tokens": 65432}
    write(
        folder / "a.ipynb", cell("%%sekha_chat\n" + "word " * 40, facts("1", **long, cost_usd="0.00001234"), number=123)
    )
    write(folder / "b.ipynb", cell("%%sekha_chat\n" + "word " * 40,
                                   facts("2", **long | {"model_id": "b" * 60, "output_tokens": 1})))  # fmt: skip
    assert max(wcswidth(line) for line in cost("--diff", "a.ipynb", "b.ipynb").out.splitlines()) <= 100
