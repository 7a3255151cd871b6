"""The widgets in Notebook 7, where there is no side panel of ours to do the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from .notebook import SCRIPT, Lab, Notebook, start, stop

pytest.importorskip("notebook")
pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
SETUP = """
import sekha_magics as sekha
from tests.magics.parrot import make_registry
sekha.set_registry(make_registry(pause=0.05, answer="slow " * 1000))
""".strip()
CELLS = [SETUP, "sekha.Dashboard()", "chat = sekha.Chat('lesson'); chat"]
TAKE = """
async () => {
  const panel = window.jupyterapp.shell.currentWidget;
  await panel.context.ready;
  await panel.sessionContext.ready;
  await panel.sessionContext.session.kernel.info;
  window.sekhaLab.panel = panel;
}
"""


@pytest.fixture(scope="module")
def notebook7(browser_type_launch_args: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("notebook7")
    server, process = start(folder, {"PYTHONPATH": str(ROOT)}, extension=False, app="notebook")
    yield server
    stop(server, process)


def test_an_answer_streams_and_is_cancelled_in_the_dashboard(notebook7: Lab, page: Page) -> None:
    file = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    file.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(file, notebook7.root / "widgets.ipynb")
    notebook = Notebook(page)
    page.on("request", lambda request: notebook.requests.append(request.url))
    page.add_init_script(path=SCRIPT)
    page.goto(f"{notebook7.url}/notebooks/widgets.ipynb?token={notebook7.token}")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context")
    page.evaluate(TAKE)
    for index in range(len(CELLS)):
        notebook.run(index)
    page.get_by_label("Your message").fill("Go on.")
    page.keyboard.press("Enter")
    expect(page.locator(".sekha-chat .sekha-answer")).to_contain_text("slow slow", timeout=30_000)
    page.get_by_role("button", name="Cancel echo at cage").click()
    expect(page.get_by_role("log")).to_contain_text("stopped: the answer ends here", timeout=30_000)
    expect(page.locator(".sekha-decisions")).to_contain_text("interrupted", timeout=30_000)
    notebook.assert_nothing_left_the_machine()
