"""The front end in Notebook 7, which has no status bar; and in JupyterLab less what the others may stand on."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from .notebook import SCRIPT, Lab, Notebook, start, stop

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("built_extension")]

ROOT = Path(__file__).resolve().parents[2]
SETUP = """
%load_ext sekha_magics
from sekha_magics import set_registry
from tests.magics.parrot import make_registry
set_registry(make_registry(pause=0.2))
""".strip()


@pytest.fixture(scope="module")
def notebook7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    server, process = start(tmp_path_factory.mktemp("notebook7"), {"PYTHONPATH": str(ROOT)}, app="notebook")
    yield server
    stop(server, process)


def test_answers_have_their_badge_and_the_panel_follows(notebook7: Lab, page: Page) -> None:
    name = notebook7.file([SETUP, "%%sekha_chat\nWhat is **bold**? " + "One word after the other. " * 4])
    notebook = Notebook(page)
    page.on("request", lambda request: notebook.requests.append(request.url))
    page.add_init_script(path=SCRIPT)
    page.goto(f"{notebook7.url}/notebooks/{name}?token={notebook7.token}&{secrets.token_hex(2)}")
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.context")
    page.evaluate("() => window.sekhaLab.takeCurrent()")
    expect(page.locator(".sekha-MagicLine")).to_have_text("%%sekha_chat")
    notebook.run(0)
    page.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:show-panel')")
    panel = page.locator(".sekha-Sidebar")
    expect(panel).to_contain_text("Budget")
    notebook.start(1)
    expect(panel.get_by_role("button", name="Cancel").first).to_be_visible()
    expect(notebook.output(1).locator(".sekha-Badge")).to_contain_text("echo at cage")
    expect(notebook.output(1).locator(".sekha-Answer-text strong")).to_have_text("bold")
    expect(panel).to_contain_text("echo")
    expect(page.locator(".sekha-Status-button")).to_have_count(0)
    notebook.assert_nothing_left_the_machine()


def test_answers_and_prompts_do_without_the_panel(page: Page, tmp_path: Path) -> None:
    server, process = start(tmp_path / "lab", {"PYTHONPATH": str(ROOT)}, without=["spend"])
    try:
        notebook = server.open(page, [SETUP, "%%sekha_chat\nhello"])
        notebook.run(0)
        notebook.run(1)
        expect(notebook.output(1).locator(".sekha-Badge")).to_contain_text("echo at cage")
        expect(page.locator(".sekha-MagicLine")).to_have_count(1)
        expect(page.locator(".sekha-Status-button, .sekha-Sidebar")).to_have_count(0)
    finally:
        stop(server, process)
