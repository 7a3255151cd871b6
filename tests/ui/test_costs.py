"""The tables of costs and of the log in JupyterLab: bars are drawn, also where the notebook is not trusted.

With SEKHA_PICTURES=FOLDER the page is also kept there as `costs-light.png`, `costs-dark.png` and `costs-untrusted.png`.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from .notebook import Lab, Notebook

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PICTURES = os.environ.get("SEKHA_PICTURES")
SETUP = """
%load_ext sekha_magics
from datetime import timedelta
from decimal import Decimal
from sekha_magics import get_registry, set_registry
from sekha_magics.core.types import Cost, Origin
from tests.ledger.events import START, event
from tests.magics.parrot import make_registry
set_registry(make_registry())
log = get_registry().ledger
spent = ((0, "gpt-5-mini", "0.12"), (1, "claude-sonnet-5", "0.4"), (4, "gpt-5-mini", "0.02"), (5, "x", None))
for day, model, usd in spent:
    cost = Cost(None, "unpriced") if usd is None else Cost(Decimal(usd), "computed")
    call = {"ts": (START + timedelta(days=day)).isoformat(), "cost": cost, "model_id": model}
    origin = Origin(get_registry().session_id)
    log.append(event(prompt=f"What of <b>day {day}</b>?", answer="It was long.", calls=[call], origin=origin))
""".strip()
CELLS = ["%sekha_cost --by model", "%sekha_cost --by day", '%sekha log search "<B>day"', "%sekha log prune --older 0d"]
BOX = "td span[style*='background-color']"


@pytest.fixture(scope="module")
def lab_environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def picture(notebook: Notebook, page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(500)
        notebook.screenshot(Path(PICTURES) / f"costs-{name}.png")


def test_bars_are_as_long_as_their_shares_trusted_or_not(lab: Lab, page: Page, tmp_path: Path) -> None:
    notebook = lab.open(page, [SETUP, *CELLS])
    for index in range(1 + len(CELLS)):
        notebook.run(index)
    boxes = notebook.output(1).locator(BOX)
    expect(boxes).to_have_count(2)
    first, second = (boxes.nth(n).bounding_box() for n in range(2))
    assert first and second and first["height"] > 4
    assert second["width"] / first["width"] == pytest.approx(0.14 / 0.4, abs=0.05)
    expect(notebook.output(1)).to_contain_text("74 %")
    expect(notebook.output(3)).to_contain_text("What of <b>day 0</b>?")
    assert notebook.suspects() == []
    for theme in ("Light", "Dark"):
        notebook.use_theme(f"JupyterLab {theme}")
        picture(notebook, page, theme.lower())
    file = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    for index, cell in enumerate(file.cells, 1):
        cell.outputs = [nbformat.from_dict(output) for output in notebook.outputs(index)]
    nbformat.write(file, tmp_path / "strange.ipynb")
    other = page.context.new_page()
    strange = lab.open(other, tmp_path / "strange.ipynb")
    expect(strange.output(0)).to_contain_text("74 %")
    picture(strange, other, "untrusted")
    box = strange.output(0).locator(BOX).first.bounding_box()
    assert box and box["width"] > 20
    strange.assert_nothing_left_the_machine()
