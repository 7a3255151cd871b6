"""Spend and health beside a notebook, live: what the kernel tells while and after it asks, and what it is told.

With SEKHA_PICTURES=FOLDER a page with a call under way is also kept there as `spend-light.png` and `spend-dark.png`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from ..upstream.server import Answer, Upstream
from .notebook import Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("built_extension")]

PICTURES = os.environ.get("SEKHA_PICTURES")
AXE = Path(__file__).resolve().parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
LOAD = "%load_ext sekha_magics"
ASK = "%%sekha_chat\nName the capital of France."
LONG = Answer(text="word " * 2000, piece=5, piece_delay=0.05)


@pytest.fixture(scope="module")
def server() -> Iterator[Upstream]:
    with Upstream() as running:
        running.default = Answer(text="Paris.")
        yield running


@pytest.fixture(scope="module")
def lab_environment(server: Upstream, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    model = {"model_id": "slow-1", "tasks": ["chat_small"], "price": {"input": 100, "output": 100}}
    other = {"model_id": "dead-1", "tasks": ["chat_smart"], "price": {"input": 1, "output": 1}}
    providers = [
        {"id": "loopback", "type": "openai", "base_url": server.url("openai"), "api_key": "k", "models": [model]},
        {"id": "dead", "type": "openai", "base_url": "http://127.0.0.1:9/v1", "api_key": "k", "models": [other]},
    ]
    config = tmp_path_factory.mktemp("config") / "config.json"
    config.write_text(json.dumps({"llm_providers": providers, "budget": {"session": 1}}), encoding="utf-8")
    return {"SEKHA_CONFIG": str(config)}


def status_of(page: Page) -> Locator:
    return page.locator(".sekha-Status-button")


def panel_of(page: Page) -> Locator:
    status_of(page).click()
    return page.locator(".sekha-Sidebar")


def test_the_status_item_and_the_panel_follow_a_call(lab: Lab, page: Page, server: Upstream) -> None:
    notebook = lab.open(page, [LOAD, ASK])
    status = status_of(page)
    expect(status).to_be_hidden()
    notebook.run(0)
    expect(status).to_contain_text("$0 ")
    server.script(Answer(text="word " * 100, piece=5, piece_delay=0.05))
    notebook.start(1)
    expect(status).to_contain_text("answering")
    # The time and the tokens go on while the cell runs.
    expect(status).to_contain_text("answering 2 s")
    expect(status).to_contain_text("tokens")
    expect(notebook.output(1)).to_contain_text("… writing")
    expect(status).to_contain_text("$0.0018")
    expect(notebook.output(1).locator(".sekha-Badge")).to_contain_text("$0.0018")
    panel = panel_of(page)
    expect(panel).to_be_visible()
    expect(panel).to_contain_text("slow-1")
    expect(panel).to_contain_text("loopback")
    notebook.assert_nothing_left_the_machine()


@pytest.mark.skipif(not PICTURES, reason="takes pictures, and SEKHA_PICTURES does not say where to")
def test_pictures_of_spend_and_of_a_call_under_way(lab: Lab, page: Page, server: Upstream) -> None:
    better = "%%sekha_chat -t chat_smart\nWhat is the median of {{ prices }}?"
    notebook = lab.open(page, [LOAD, "prices = [3, 5, 8]", ASK, better, ASK.replace("Name", "Describe")])
    for index in range(3):
        notebook.run(index)
    notebook.errors_of_running(3)
    page.set_viewport_size({"width": 1440, "height": 1000})
    for command in ("application:toggle-left-area", "sekha-magics:show-panel"):
        page.evaluate("id => window.jupyterapp.commands.execute(id)", command)
    server.script(LONG)
    notebook.start(4)
    expect(notebook.output(4)).to_contain_text("word word")
    for theme in ("Light", "Dark"):
        notebook.use_theme(f"JupyterLab {theme}")
        page.wait_for_timeout(1000)
        page.screenshot(path=Path(str(PICTURES)) / f"spend-{theme.lower()}.png")
    page.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:cancel')")


def test_the_panel_cancels_a_running_cell(lab: Lab, page: Page, server: Upstream) -> None:
    notebook = lab.open(page, [LOAD, ASK, "1 + 1"])
    notebook.run(0)
    expect(status_of(page)).to_be_visible()
    panel = panel_of(page)
    server.script(LONG)
    notebook.start(1)
    expect(notebook.output(1)).to_contain_text("word word")
    cancel = panel.get_by_role("button", name="Cancel").first
    cancel.focus()
    page.keyboard.press("Enter")
    expect(cancel).to_have_count(0)
    expect(notebook.output(1)).to_contain_text("cancelled")
    expect(notebook.output(1)).to_contain_text("word word")
    notebook.run(2)
    assert notebook.outputs(2)[0]["data"]["text/plain"] == "2"


def test_a_page_that_is_loaded_again_shows_what_runs(
    lab: Lab, page: Page, context: BrowserContext, server: Upstream
) -> None:
    notebook = lab.open(page, [LOAD, ASK, ASK])
    notebook.run(0)
    notebook.run(1)
    expect(status_of(page)).to_contain_text("$0.0018")
    server.script(LONG)
    notebook.start(2)
    expect(status_of(page)).to_contain_text("answering")
    notebook.save()
    path = page.evaluate("() => window.sekhaLab.panel.context.path")
    page.close()
    again = context.new_page()
    again.goto(f"{lab.url}/lab/workspaces/again/tree/{path}?token={lab.token}&reset")
    # While the cell still runs.
    expect(status_of(again)).to_contain_text("answering")
    panel = panel_of(again)
    expect(panel).to_contain_text("slow-1")
    again.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:cancel')")
    expect(status_of(again)).not_to_contain_text("answering")
    expect(status_of(again)).to_contain_text("$0.0")


def test_a_restarted_kernel_begins_anew(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, [LOAD, ASK])
    notebook.run(0)
    notebook.run(1)
    expect(status_of(page)).to_contain_text("$0.0018")
    panel = panel_of(page)
    page.evaluate("() => window.sekhaLab.panel.sessionContext.restartKernel()")
    expect(status_of(page)).to_be_hidden()
    expect(panel).to_contain_text("%load_ext sekha_magics")
    notebook.run(0)
    expect(status_of(page)).to_contain_text("$0 ")
    notebook.run(1)
    expect(status_of(page)).to_contain_text("$0.0018")


def test_two_notebooks_show_their_own_kernels(lab: Lab, page: Page) -> None:
    first = lab.open(page, [LOAD, ASK])
    first.run(0)
    first.run(1)
    expect(status_of(page)).to_contain_text("$0.0018")
    path = page.evaluate("() => window.sekhaLab.panel.context.path")
    other = lab.file([LOAD])
    page.evaluate("path => window.sekhaLab.open(path)", other)
    expect(status_of(page)).to_be_hidden()
    Notebook(page).run(0)
    expect(status_of(page)).to_contain_text("$0 ")
    page.evaluate("path => window.sekhaLab.open(path)", path)
    expect(status_of(page)).to_contain_text("$0.0018")
    panel = panel_of(page)
    expect(panel).to_contain_text("slow-1")
    page.evaluate("path => window.sekhaLab.open(path)", other)
    expect(panel).not_to_contain_text("slow-1")


def test_a_notebook_without_us_shows_no_error_and_no_status(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, ["sekha = 1", "print(sekha)"])
    notebook.run(0)
    notebook.run(1)
    assert [output["output_type"] for output in notebook.outputs(1)] == ["stream"]
    assert notebook.outputs(0) == []
    expect(status_of(page)).to_be_hidden()
    page.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:show-panel')")
    expect(page.locator(".sekha-Sidebar")).to_contain_text("has not loaded sekha_magics")


def test_the_panel_asks_for_candidates_and_resets_providers(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, [LOAD, ASK, "%%sekha_chat -t chat_smart\nAnybody?"])
    notebook.run(0)
    notebook.run(1)
    notebook.errors_of_running(2)
    panel = panel_of(page)
    expect(panel).to_contain_text("dead")
    reset = panel.get_by_role("button", name="Reset").first
    expect(reset).to_be_visible()
    page.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:reset-providers')")
    expect(panel.locator(".sekha-providers")).not_to_contain_text("open")
    # The badge asks the kernel where the file does not hold the candidates.
    page.evaluate(
        """() => {
          const outputs = window.sekhaLab.panel.content.model.cells.get(1).outputs;
          const output = outputs.toJSON()[0];
          delete output.metadata.sekha.candidates;
          outputs.fromJSON([output]);
        }"""
    )
    notebook.output(1).locator("summary").click()
    notebook.output(1).get_by_role("button", name="Show every candidate").click()
    expect(notebook.output(1).get_by_role("table")).to_contain_text("wrong_task")


def test_the_extension_is_enabled_and_fits(lab: Lab, page: Page) -> None:
    lab.open(page, ["1"])
    found = page.evaluate(
        """() => JSON.parse(document.getElementById("jupyter-config-data").textContent).federated_extensions"""
    )
    assert "sekha-magics" in [extension["name"] for extension in found]
    for plugin in ("spend", "render", "highlight"):
        assert page.evaluate("id => window.jupyterapp.hasPlugin(id)", f"sekha-magics:{plugin}")
        assert page.evaluate("id => window.jupyterapp.isPluginActivated(id)", f"sekha-magics:{plugin}")


def test_nothing_is_found_by_axe_in_any_theme(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, [LOAD, ASK, "%%sekha_chat -t chat_smart\nAnybody?"])
    notebook.run(0)
    notebook.run(1)
    notebook.errors_of_running(2)
    panel = panel_of(page)
    expect(panel).to_contain_text("slow-1")
    notebook.output(1).locator("summary").click()
    panel.locator("[aria-expanded=false], summary").evaluate_all("all => all.forEach((one) => one.click())")
    expect(notebook.output(1).get_by_role("table")).to_be_visible()
    page.evaluate(AXE.read_text(encoding="utf-8"))
    for theme in ("Light", "Dark", "Dark High Contrast"):
        notebook.use_theme(f"JupyterLab {theme}")
        page.wait_for_load_state("networkidle")
        # While a theme is put on there is little to see.
        found = axe_finds(page)
        for _ in range(30):
            if found["passes"] > 10:
                break
            page.wait_for_timeout(500)
            found = axe_finds(page)
        assert found["passes"] > 10, theme
        assert found["told"] == [], theme


def axe_finds(page: Page) -> dict[str, Any]:
    """What axe objects to in our parts of the page, and how many of its rules they fulfil."""
    found: dict[str, Any] = page.evaluate(
        """async () => {
          const include = [".sekha-Sidebar", ".sekha-Status", ".sekha-Badge"].map((part) => [part]);
          const { violations, passes } = await axe.run({ include });
          const why = ({ html, any, all }) => [html, (any[0] ?? all[0])?.message];
          const told = violations.map(({ id, nodes }) => [id, nodes.map(why)]);
          return { told, passes: passes.length };
        }"""
    )
    return found


def test_the_keyboard_alone_reaches_every_control_of_the_panel(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, [LOAD, ASK])
    notebook.run(0)
    notebook.run(1)
    status = status_of(page)
    expect(status).to_contain_text("$0.0018")
    status.focus()
    page.keyboard.press("Enter")
    panel = page.locator(".sekha-Sidebar")
    expect(panel).to_be_visible()
    controls = panel.locator("button, input, select, summary, a[href], [tabindex='0']")
    for summary in panel.locator("summary").all():
        summary.focus()
        page.keyboard.press("Enter")
    expect(panel.locator("input").first).to_be_visible()
    status.focus()
    page.evaluate("() => { window.reached = new Set(); }")
    reached = "() => { window.reached.add(document.activeElement); return window.reached.size; }"
    for _ in range(80):
        page.keyboard.press("Shift+Tab")
        page.evaluate(reached)
    missed = controls.evaluate_all(
        "all => all.filter((one) => one.checkVisibility() && !window.reached.has(one)).map((one) => one.outerHTML)"
    )
    assert missed == []


UNSUPPORTED = """
from comm import get_comm_manager
def refuse(comm, message):
    comm.send({"version": 1, "type": "unsupported", "supported": [2, 3]})
    comm.close()
for name in ("sekha.state", "sekha.control"):
    get_comm_manager().register_target(name, refuse)
""".strip()
FORGETFUL = """
import json, pathlib
from comm import get_comm_manager
snapshot = json.loads(pathlib.Path(SNAPSHOT).read_text())
snapshot["state"]["running"] = []
asked, opened = [], []
def tell(comm, message):
    opened.append(comm)
    comm.send(snapshot)
def hear(comm, message):
    def answer(message):
        asked.append(message["content"]["data"])
        whole = {**snapshot, "sequence": 9}
        whole["state"] = {**snapshot["state"], "session": {**snapshot["state"]["session"], "cost_usd": "7"}}
        comm.send({"version": 1, "id": asked[-1]["id"], "ok": True, "snapshot": whole})
    comm.on_msg(answer)
get_comm_manager().register_target("sekha.state", tell)
get_comm_manager().register_target("sekha.control", hear)
""".strip()


def test_a_kernel_of_another_version_is_said_to_be_one(lab: Lab, page: Page) -> None:
    notebook = lab.open(page, [UNSUPPORTED, "'sekha'"])
    notebook.run(0)
    page.evaluate("() => window.jupyterapp.commands.execute('sekha-magics:show-panel')")
    expect(page.locator(".sekha-Sidebar")).to_contain_text("it speaks version 2, 3")
    expect(status_of(page)).to_be_hidden()
    notebook.run(1)
    assert [output["output_type"] for output in notebook.outputs(1)] == ["execute_result"]


def test_a_message_that_was_missed_is_asked_for(lab: Lab, page: Page) -> None:
    snapshot = Path(__file__).resolve().parents[1] / "live" / "messages" / "snapshot.json"
    gap = "opened[0].send({'version': 1, 'type': 'change', 'sequence': 5, 'changes': {'running': []}})"
    notebook = lab.open(page, [FORGETFUL.replace("SNAPSHOT", repr(str(snapshot))), gap, "asked"])
    notebook.run(0)
    expect(status_of(page)).to_contain_text("$0.0412")
    notebook.run(1)
    expect(status_of(page)).to_contain_text("$7")
    notebook.run(2)
    assert "'type': 'resend'" in notebook.outputs(2)[0]["data"]["text/plain"]
