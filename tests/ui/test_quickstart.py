"""The quickstart in JupyterLab, on the embedded model, as a person sees it: streaming, drawn once, nothing fetched.

With SEKHA_PICTURES=FOLDER the page is also kept there as `quickstart-light.png` and `quickstart-dark.png`, with the
panel beside it.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.local_model import place_model

from .notebook import Lab

pytestmark = [pytest.mark.browser, pytest.mark.model]

QUICKSTART = Path(__file__).resolve().parents[2] / "notebooks" / "01_quickstart.ipynb"
PICTURES = os.environ.get("SEKHA_PICTURES")
LONG = (
    "%%sekha_chat --temperature 0 --seed 1 --max-tokens 150\nName three uses of a Jupyter notebook, as a Markdown list."
)


@pytest.fixture(scope="module")
def lab_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("sekha")
    place_model(home)
    return {"SEKHA_HOME": str(home)}


def chat_cells() -> list[int]:
    cells = nbformat.read(QUICKSTART, as_version=4).cells
    return [i for i, cell in enumerate(cells) if cell.source.startswith("%%sekha_chat")]


def test_every_cell_of_the_quickstart_runs_and_is_drawn_once(lab: Lab, page: Page):
    notebook = lab.open(page, QUICKSTART)
    cells = nbformat.read(QUICKSTART, as_version=4).cells
    for index, cell in enumerate(cells):
        if cell.cell_type == "code":
            notebook.run(index)
    for index in chat_cells():
        (output,) = notebook.outputs(index)
        assert output["output_type"] == "display_data"
        assert set(output["data"]) == {"text/plain", "text/html", "application/vnd.sekha.chat.v1+json"}
        expect(notebook.output(index)).to_contain_text("smollm2-135m-instruct")
    expect(notebook.output(chat_cells()[0])).to_contain_text("The capital of France is Paris.")
    # pandas draws a DataFrame with a style sheet of its own; a badge has buttons.
    assert set(notebook.suspects()) <= {"style", "button"}
    notebook.assert_nothing_left_the_machine()
    if PICTURES:
        page.set_viewport_size({"width": 1440, "height": 1000})
        for command in ("application:toggle-left-area", "sekha-magics:show-panel"):
            page.evaluate("id => window.jupyterapp.commands.execute(id)", command)
        for theme in ("Light", "Dark"):
            notebook.use_theme(f"JupyterLab {theme}")
            page.wait_for_timeout(1000)
            notebook.output(chat_cells()[0]).scroll_into_view_if_needed()
            page.screenshot(path=Path(PICTURES) / f"quickstart-{theme.lower()}.png")


def test_an_answer_is_seen_while_it_is_written(lab: Lab, page: Page):
    # Long enough that also a slow browser looks at it more than once.
    notebook = lab.open(page, ["%load_ext sekha_magics", LONG.replace("150", "400").replace("three", "fifty")])
    notebook.run(0)
    notebook.start(1)
    seen: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        outputs = notebook.outputs(1)
        text = outputs[0]["data"].get("text/plain", "") if outputs else ""
        text = "".join(text) if isinstance(text, list) else text
        if text and (not seen or seen[-1] != text):
            seen.append(text)
        if outputs and "sekha" in outputs[0].get("metadata", {}):
            break
        page.wait_for_timeout(30)
    assert len(seen) >= 2, seen
    assert seen[0].endswith("… writing")
    assert len(notebook.outputs(1)) == 1
    assert notebook.outputs(1)[0]["metadata"]["sekha"]["ttft_ms"] is not None


def test_interrupting_keeps_what_was_written_and_the_kernel(lab: Lab, page: Page):
    endless = LONG.replace("150", "1500").replace("three", "fifty")
    look = "import sekha_magics as s; s.get_registry().ledger.calls()['status'].iloc[-1]"
    notebook = lab.open(page, ["%load_ext sekha_magics", endless, look])
    notebook.run(0)
    notebook.start(1)
    expect(notebook.output(1)).to_contain_text("1", timeout=30_000)
    page.keyboard.press("Escape")
    page.evaluate("() => window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    expect(notebook.output(1)).to_contain_text("KeyboardInterrupt", timeout=10_000)
    expect(notebook.output(1)).to_contain_text("interrupted")
    # For a moment after an error the kernel refuses what was sent meanwhile.
    while not notebook.outputs(2):
        notebook.run(2)
    expect(notebook.output(2)).to_contain_text("interrupted")
