"""Files that are no notebooks, and notebooks whose outputs were tampered with."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sekha_magics as sekha
from sekha_magics import errors
from sekha_magics.billing import telling
from sekha_magics.billing.reading import MOST_BYTES, parse
from sekha_magics.billing.reckoning import reckon, summed

from .conftest import Said
from .paper import cell, facts, notebook, write

Cost = Callable[..., Said]

NOT_NOTEBOOKS = {
    b"": "The file is empty",
    b"   \n": "The file is empty",
    b"{": "broken JSON at line 1",
    b"hello": "broken JSON",
    b'{"cells": [\n<<<<<<< HEAD\n': "merge conflict",
    b"[" * 100_000: "nested too deeply",
    b'{"a":' * 100_000: "nested too deeply",
    b"\xff\xfe\xfa": "not a notebook",
    b"\x89PNG\r\n\x1a\n": "not a notebook",
    b"null": "it has no cells",
    b"[]": "it has no cells",
    b'"text"': "it has no cells",
    b'{"cells": {}}': "it has no cells",
    b'{"nbformat": 1}': "it has no cells",
}


@pytest.mark.parametrize("data", NOT_NOTEBOOKS, ids=lambda data: repr(data[:12]))
def test_what_is_no_notebook_is_an_error_that_says_why(folder: Path, cost: Cost, data: bytes) -> None:
    (folder / "n.ipynb").write_bytes(data)
    code, out, err = cost("n.ipynb")
    assert (code, out) == (1, "")
    assert NOT_NOTEBOOKS[data] in err and "n.ipynb" in err and "Hint:" in err and "Traceback" not in err
    with pytest.raises(errors.InvalidInput):
        sekha.bill("n.ipynb")


def test_what_is_not_there_or_too_large_is_said(folder: Path, cost: Cost) -> None:
    assert "nowhere.ipynb cannot be read" in cost("nowhere.ipynb").err
    (folder / "empty").mkdir()
    assert "There is no notebook in empty" in cost("empty").err
    with (folder / "huge.ipynb").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert "more than is read" in cost("huge.ipynb").err


@pytest.mark.parametrize("wrong", [(), ("",), (3,), (None,), (b"n.ipynb",), (["n.ipynb"],), ("a\x00b",)])
def test_arguments_that_name_no_notebook_are_refused(wrong: tuple[Any, ...]) -> None:
    with pytest.raises(errors.InvalidInput):
        sekha.bill(*wrong)


def test_one_that_cannot_be_read_does_not_hide_the_others(folder: Path, cost: Cost) -> None:
    write(folder / "good.ipynb", cell("a", facts()))
    (folder / "bad.ipynb").write_text("{")
    code, out, err = cost("bad.ipynb", "good.ipynb", "none")
    assert code == 1 and out.startswith("$0.0125 in good.ipynb")
    assert "bad.ipynb is not a notebook" in err and "2 of 3 notebooks could not be read" in err


def test_options_that_go_with_nothing_are_errors(folder: Path, cost: Cost) -> None:
    write(folder / "n.ipynb")
    alone = [("--diff",), ("--json",), ("--ledger",), ("--by", "cell")]
    wrong = [("n.ipynb",), ("n.ipynb",) * 3, ("n.ipynb", "n.ipynb", "--by", "day")]
    for words in (*alone, *(("--diff", *rest) for rest in wrong)):
        code, out, err = cost(*words)
        assert (code, out) == (1, "") and "Hint:" in err, words


def test_a_notebook_of_format_3_is_read(folder: Path, cost: Cost) -> None:
    old = cell("a", facts())
    old["input"], old["prompt_number"] = [old.pop("source"), "\n"], old.pop("execution_count")
    (folder / "n.ipynb").write_text(json.dumps({"nbformat": 3, "worksheets": [{"cells": [old]}]}))
    assert cost("n.ipynb").out.splitlines()[3].startswith(" [1]  a")


def test_a_byte_order_mark_and_other_encodings_are_no_obstacle() -> None:
    text = json.dumps(notebook(cell("%%sekha_chat\nGrüße", facts())), ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (line,) = reckon([parse(text.encode(encoding), "n")]).lines
        assert line.prompt == "Grüße"


TAMPERED: dict[str, Any] = {
    "cost_usd": [-1, "-1", "NaN", "Infinity", "1e400", "1e999999999", 0.5, True, [], {}, "free", "9" * 100, "$1"],
    "cost_source": ["gift", 3, None, []],
    "input_tokens": [-1, 1.5, "10", True, 10**30, [], {}],
    "latency_ms": [-1, "x", True, float("nan"), float("inf")],
    "ts": ["yesterday", 5, [], "9999-12-31T23:59:59-23:59"],
    "model_id": [5, [], {}],
    "decision_id": [5, [], {"a": 1}],
    "unpriced_calls": [-1, "two", 1.5],
    "priced_usd": ["-3", "NaN", 1, "0.5"],
}


@pytest.mark.parametrize("name", TAMPERED)
def test_a_figure_of_another_form_is_damage_that_is_said_and_never_money(folder: Path, cost: Cost, name: str) -> None:
    for value in TAMPERED[name]:
        whole = facts(priced_usd="0.0125", unpriced_calls=0)
        write(folder / "n.ipynb", cell("a", whole | {name: value}))
        code, out, err = cost("n.ipynb")
        if value is not None:
            assert "1 line has damaged metadata" in out, (name, value)
        assert code == 0 and err == "" and "-" not in out.splitlines()[0].split(" in ")[0]
        if name in ("cost_usd", "priced_usd", "unpriced_calls"):
            assert out.startswith("1 unpriced call in n.ipynb") or name == "cost_usd", (name, value)
        frame = sekha.bill("n.ipynb")
        assert frame["damaged"].tolist() == [value is not None]


def test_a_cost_that_cannot_be_read_is_unpriced(folder: Path, cost: Cost) -> None:
    for value in TAMPERED["cost_usd"]:
        write(folder / "n.ipynb", cell("a", facts(cost_usd=value)))
        assert cost("n.ipynb").out.startswith("1 unpriced call in n.ipynb"), value


def test_outputs_of_any_shape_are_passed_over(folder: Path, cost: Cost) -> None:
    odd: list[Any] = [None, 3, "x", [], {}, {"metadata": None}, {"metadata": {"sekha": 3}}, {"metadata": {"sekha": []}}]
    write(folder / "n.ipynb", cell("a") | {"outputs": odd}, cell("b") | {"outputs": None}, {"cell_type": "code"},
          cell("c", facts()) | {"source": 5, "execution_count": "x", "id": 7}, {"cell_type": 3})  # fmt: skip
    document = json.loads((folder / "n.ipynb").read_text())
    document["cells"] += [None, 3, "x", []]
    (folder / "n.ipynb").write_text(json.dumps(document))
    code, out, _ = cost("n.ipynb")
    assert code == 0 and out.startswith("$0.0125 in n.ipynb: 1 call") and "cell 4" in out


HOSTILE = "\x1b[2J\x1b]0;title\x07\x9b31m\r\x08evil\u202e\ud800\n\x00"


def test_nothing_of_a_notebook_reaches_the_terminal_as_a_control_sequence(folder: Path, cost: Cost) -> None:
    names = ("model_id", "provider_id", "task", "conversation", "decision_id", "cost_source")
    words = dict.fromkeys(names, HOSTILE)
    write(folder / "n.ipynb", cell(f"%%sekha_chat\n{HOSTILE}", facts() | words, id=HOSTILE))
    write(folder / "m.ipynb", cell(f"%%sekha_chat {HOSTILE}", facts("2") | words | {"decision_id": "2"}, id="x"))
    for said in (cost("n.ipynb"), cost("n.ipynb", "m.ipynb", "--by", "model"), cost("n.ipynb", "--by", "task"),
                 cost("n.ipynb", "--json"), cost("--diff", "n.ipynb", "m.ipynb"),
                 cost("--diff", "--json", "n.ipynb", "m.ipynb")):  # fmt: skip
        assert said.code == 0 and "evil" in said.out
        assert not set(said.out) & set("\x1b\x07\x9b\r\x08\u202e\ud800\x00")
    shown = json.loads(cost("n.ipynb", "--json").out)["lines"][0]
    assert not set("".join(str(value) for value in shown.values())) & set("\x1b\x07\x9b\r\x08\u202e\ud800\x00")


@pytest.mark.skipif(os.name == "nt", reason="such a name cannot be given to a file there")
def test_nor_does_the_name_of_a_file(folder: Path, cost: Cost) -> None:
    write(folder / "a\x1b[31m.ipynb", cell("a", facts()))
    assert "\x1b" not in cost(".").out + cost(".", "--json").out + cost("./a\x1b[31m.ipynb").out


def test_hundreds_of_megabytes_of_pictures_are_no_obstacle(folder: Path, cost: Cost) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "A" * (40 << 20)}, "metadata": {}}
    write(folder / "n.ipynb", cell("plot()") | {"outputs": [picture]}, cell("a", facts()))
    assert cost("n.ipynb").out.startswith("$0.0125 in n.ipynb")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(sorted(facts(priced_usd="1", unpriced_calls=0, simulated=False, recorded_cost_source="free")))


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.dictionaries(NAMES, JSON, max_size=4), max_size=4))
def test_whatever_stands_in_metadata_there_is_a_bill(tampered: list[dict[str, Any]]) -> None:
    cells = [cell("a", facts(str(i)) | values, number=i) for i, values in enumerate(tampered)]
    bill = reckon([parse(json.dumps(notebook(*cells)).encode(), "n")])
    total = summed(bill.lines)
    assert total.usd >= 0 and total.usd.is_finite() and total.unpriced >= 0
    assert "\x1b" not in telling.by_cell(bill) and json.loads(telling.as_json(bill))["total"]["calls"] == total.calls


AMOUNTS = st.decimals(min_value=0, max_value=10**6, places=12, allow_nan=False)


@settings(deadline=None)
@given(st.lists(st.none() | AMOUNTS, max_size=12), st.sets(st.integers(0, 11)))
def test_a_sum_is_exact_and_counts_each_call_once(amounts: list[Decimal | None], replayed: set[int]) -> None:
    cells = [
        cell("a", facts(str(i), cost_usd=None if usd is None else f"{usd:f}", replayed=i in replayed))
        for i, usd in enumerate(amounts)
    ]
    total = summed(reckon([parse(json.dumps(notebook(*cells, *cells)).encode(), "n")]).lines)
    live = [usd for i, usd in enumerate(amounts) if i not in replayed]
    assert total.calls == len(amounts)
    assert total.usd == sum((usd for usd in live if usd is not None), Decimal(0))
    assert total.unpriced == sum(usd is None for usd in live)
