"""Drawings in tables in JupyterLab: right in three themes, and readable where an output is not trusted.

With SEKHA_PICTURES=FOLDER the page is also kept there as `charts-light.png` and so on.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from .notebook import Lab, Notebook

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PICTURES = os.environ.get("SEKHA_PICTURES")
THEMES = {"light": "JupyterLab Light", "dark": "JupyterLab Dark", "contrast": "JupyterLab Dark High Contrast"}
SETUP = """
%load_ext sekha_magics
from datetime import timedelta
from decimal import Decimal
from sekha_magics import Registry, errors, set_registry
from sekha_magics.core.types import Cost, Origin
from tests.ledger.events import START, event
def stage(name, *models, **more):
    models = [{"model_id": m, "tasks": ["chat_small"], "price": {"input": i, "output": o}} for m, i, o in models]
    return {"id": name, "type": "scripted", "models": models, **more}
reg = Registry.from_dict({"llm_providers": [
    stage("north", ("small", "0.1", "0.4"), ("large", 2, 8)), stage("south", ("large", 3, 9), priority=60)]})
set_registry(reg)
for day, usd in enumerate(("0.12", "0.4", None, "0", "0.02", "0.31", "0.05")):
    cost = Cost(None, "unpriced") if usd is None else Cost(Decimal(usd), "computed")
    call = {"ts": (START + timedelta(days=day)).isoformat(), "cost": cost, "model_id": "small"}
    reg.ledger.append(event(prompt="?", answer="!", calls=[call], origin=Origin(reg.session_id)))
for ms in (420, 380, 900, 410, 455, 2100, 400):
    reg.state.succeeded("north", "large", ms)
for ms in (60, 64, 58):
    reg.state.succeeded("south", "large", ms)
reg.state.failed("south", errors.ServerFailed("<b>500</b>"))
""".strip()
CELLS = [
    "%sekha_cost --by day",
    "%sekha_route --max-tokens 300 What of it?",
    "%sekha health",
    "%sekha doctor --no-probe",
]


@pytest.fixture(scope="module")
def lab_environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def picture(notebook: Notebook, page: Page, name: str) -> None:
    if PICTURES:
        page.set_viewport_size({"width": 1280, "height": 2600})
        page.wait_for_timeout(500)
        notebook.screenshot(Path(PICTURES) / f"charts-{name}.png")


def colours(shapes: Locator) -> set[str]:
    found: list[str] = shapes.evaluate_all("all => all.map(e => getComputedStyle(e).fill)")
    return set(found)


def background(page: Page) -> str:
    found: str = page.evaluate("getComputedStyle(document.body).getPropertyValue('--jp-layout-color0').trim()")
    return found


def test_drawings_take_the_colours_of_each_theme_and_are_figures_without_it(
    lab: Lab, page: Page, tmp_path: Path
) -> None:
    notebook = lab.open(page, [SETUP, *CELLS])
    for index in range(1 + len(CELLS)):
        notebook.run(index)
    day, route, health = (notebook.output(index) for index in (1, 2, 3))
    for output, count in ((day, 1), (route, 3), (health, 2)):
        expect(output.locator("svg[role=img]")).to_have_count(count)
    bars = day.locator("svg[role=img] rect:not([stroke-dasharray])")
    expect(bars).to_have_count(5)
    tall = bars.evaluate_all("all => all.map(e => e.getBoundingClientRect().height)")
    assert max(tall) == tall[1] > 60 and tall[1] / tall[0] == pytest.approx(0.4 / 0.12, rel=0.05)
    expect(day.locator("svg rect[stroke-dasharray]")).to_have_count(1)
    expect(day).to_contain_text("the most was $0.40, on 2026-11-2")
    expect(route).to_contain_text("low to high")
    expect(health).to_contain_text("420 ms (380 to 2,100)")
    expect(health).to_contain_text("25 %")
    expect(health).to_contain_text("<b>500</b>")
    assert notebook.suspects() == []
    seen = set()
    for name, theme in THEMES.items():
        notebook.use_theme(theme)
        lines = notebook.output(1).locator("svg[role=img] line")
        page.wait_for_function("() => document.body.dataset.jpThemeName !== undefined")
        stroke = lines.first.evaluate("e => getComputedStyle(e).stroke")
        text = lines.first.evaluate("e => getComputedStyle(e.closest('p')).color")
        assert stroke == text
        assert background(page) not in colours(bars) and "none" not in colours(bars)
        seen |= {stroke}
        picture(notebook, page, name)
    assert len(seen) > 1
    file = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    for index, cell in enumerate(file.cells, 1):
        cell.outputs = [nbformat.from_dict(output) for output in notebook.outputs(index)]
    nbformat.write(file, tmp_path / "strange.ipynb")
    other = page.context.new_page()
    strange = lab.open(other, tmp_path / "strange.ipynb")
    for index, said in enumerate(("the most was $0.40", "low to high", "420 ms (380 to 2,100)", "how to mend it")):
        expect(strange.output(index)).to_contain_text(said)
        expect(strange.output(index).locator("svg[role=img]")).to_have_count(0)
    picture(strange, other, "untrusted")
    strange.assert_nothing_left_the_machine()
