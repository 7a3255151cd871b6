"""The widgets in JupyterLab: a conversation and the dashboard, by mouse, by keyboard alone, and with hostile text.

With SEKHA_PICTURES=FOLDER pictures of both are kept there, in each theme.
"""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.display.hostile import TEXTS

from .axe import THEMES, violations
from .notebook import Lab, Notebook

pytestmark = pytest.mark.browser

# What a page waits for comes from a kernel, which may share its machine with many.
expect.set_options(timeout=30_000)

ROOT = Path(__file__).resolve().parents[2]
PICTURES = os.environ.get("SEKHA_PICTURES")
SETUP = """
import sekha_magics as sekha
from tests.magics.parrot import make_registry
sekha.set_registry(make_registry({options}))
""".strip()
BUSY = """
import time
until = time.monotonic() + 60
while time.monotonic() < until and not chat.turns:
    time.sleep(0.05)
""".strip()
ASK_ALL = """
from tests.display.hostile import TEXTS
for text in TEXTS:
    if text.strip():
        chat.ask(text)
""".strip()
ANSWER = r"""# Title

A [link](https://example.org), `code` and

```python
for i in range(3):
    print(i)
```

| a | b |
|---|---|
| 1 | 2 |
"""


@pytest.fixture(scope="module")
def lab_environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def conversation(lab: Lab, page: Page, *cells: str, options: str = "") -> tuple[Notebook, Locator]:
    notebook = lab.open(page, [SETUP.format(options=options), "chat = sekha.Chat('lesson'); chat", *cells])
    notebook.run(0)
    notebook.run(1)
    chat = notebook.output(1).locator(".sekha-chat")
    expect(chat).to_be_visible()
    return notebook, chat


def picture(notebook: Notebook, page: Page, name: str) -> None:
    if PICTURES:
        page.wait_for_timeout(500)
        notebook.screenshot(Path(PICTURES) / f"{name}.png")


def test_an_answer_streams_into_the_conversation_and_below_it_into_the_file(lab: Lab, page: Page) -> None:
    notebook, chat = conversation(lab, page, options="pause=0.05")
    chat.get_by_label("Your message").fill("one **two** " + "three " * 100)
    page.keyboard.press("Enter")
    expect(chat.locator(".sekha-answer")).to_contain_text("two three")
    expect(chat.get_by_role("status")).to_have_text("Answering …")
    expect(chat.get_by_role("log")).to_be_empty()
    expect(chat.get_by_role("log")).to_contain_text("echo at cage")
    expect(chat.get_by_role("log").locator("strong").nth(1)).to_have_text("two")
    expect(chat.get_by_label("Your message")).to_have_value("")
    expect(notebook.output(1)).to_contain_text("Conversation lesson: 1 question")
    written = [output["data"] for output in notebook.outputs(1)]
    assert "echo at cage" in "".join(written[1]["text/plain"])
    notebook.assert_nothing_left_the_machine()


def test_stop_ends_an_answer_while_a_cell_is_running(lab: Lab, page: Page) -> None:
    notebook, chat = conversation(lab, page, BUSY, options="pause=0.05, answer='slow ' * 1000")
    chat.get_by_label("Your message").fill("Go on.")
    notebook.start(2)
    chat.get_by_role("button", name="Send").click()
    expect(chat.locator(".sekha-answer")).to_contain_text("slow slow")
    chat.get_by_role("button", name="Stop").click()
    expect(chat.get_by_role("log")).to_contain_text("stopped: the answer ends here")
    expect(chat.get_by_role("button", name="Stop")).to_be_hidden()
    # The cell waits for the turn, and ends well before its minute.
    expect(notebook.page.locator(".jp-Notebook .jp-Cell").nth(2)).to_contain_text("[3]")


def test_an_error_stands_where_the_answer_would_with_its_hint(lab: Lab, page: Page) -> None:
    notebook, chat = conversation(lab, page, options="fail='AuthenticationFailed'")
    chat.get_by_label("Your message").fill("Anyone?")
    page.keyboard.press("Enter")
    expect(chat.get_by_role("log")).to_contain_text("AuthenticationFailed on purpose")
    expect(chat.get_by_role("log")).to_contain_text("%sekha keys")
    assert chat.locator("script").count() == 0
    expect(notebook.output(1)).to_contain_text("Conversation lesson: 1 question")


def test_hostile_text_fires_nothing_in_a_conversation(lab: Lab, page: Page) -> None:
    notebook, chat = conversation(lab, page, ASK_ALL)
    notebook.run(2)
    asked = sum(1 for text in TEXTS if text.strip())
    expect(chat.get_by_role("log").locator("> .sekha-turn")).to_have_count(asked)
    notebook.touch_everything()
    page.wait_for_timeout(500)
    assert notebook.fired() == 0 and notebook.dialogs == []
    own = {"form", "button", "textarea", "select", "input"}
    assert set(notebook.suspects()) <= own
    notebook.assert_nothing_left_the_machine()


def test_a_conversation_can_be_led_by_the_keyboard_alone(lab: Lab, page: Page) -> None:
    _notebook, chat = conversation(lab, page, options="pause=0.05, answer='slow ' * 1000")
    chat.get_by_label("Model").focus()
    page.keyboard.press("ArrowDown")
    expect(chat.get_by_label("Model")).to_have_value("echo")
    page.keyboard.press("Tab")
    expect(chat.get_by_label("Task")).to_be_focused()
    page.keyboard.press("Tab")
    expect(chat.get_by_label("What was said")).to_be_focused()
    page.keyboard.press("Tab")
    expect(chat.get_by_label("Your message")).to_be_focused()
    page.keyboard.type("first")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second")
    expect(chat.get_by_label("Your message")).to_have_value("first\nsecond")
    page.keyboard.press("Enter")
    expect(chat.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(chat.get_by_role("button", name="Stop")).to_be_focused()
    page.keyboard.press("Enter")
    expect(chat.get_by_role("log")).to_contain_text("stopped")
    expect(chat.get_by_label("Your message")).to_be_focused()


def test_nothing_in_a_conversation_keeps_anybody_out_in_any_theme(lab: Lab, page: Page) -> None:
    asked = "chat.ask('Show me.'); chat.ask('Again, please.')"
    notebook, chat = conversation(lab, page, asked, options=f"answer={ANSWER!r}")
    notebook.run(2)
    expect(chat.locator(".sekha-answer")).to_have_count(2)
    for theme in THEMES:
        notebook.use_theme(theme)
        page.wait_for_timeout(300)
        assert violations(page, ".sekha-chat") == []
        picture(notebook, page, f"chat-{theme.split(' ', 1)[1].lower().replace(' ', '-')}")


def dashboard(lab: Lab, page: Page, *cells: str, setup: str = SETUP.format(options="")) -> tuple[Notebook, Locator]:
    notebook = lab.open(page, [setup, "dashboard = sekha.Dashboard(); dashboard", *cells])
    notebook.run(0)
    notebook.run(1)
    panel = notebook.output(1).locator(".sekha-panel")
    expect(panel.get_by_role("heading", name="This session")).to_be_visible()
    return notebook, panel


def test_the_dashboard_shows_a_running_cell_and_cancels_it(lab: Lab, page: Page) -> None:
    slow = SETUP.format(options="pause=0.05, answer='slow ' * 1200")
    ask = "sekha.get_registry().chat('Go on.', stream=True)"
    notebook, panel = dashboard(lab, page, ask, "'free again'", setup=slow)
    notebook.start(2)
    running = panel.locator(".sekha-running")
    expect(running).to_contain_text("echo at cage")
    expect(running).to_contain_text("1 s")
    running.get_by_role("button", name="Cancel echo at cage").click()
    expect(notebook.output(2)).to_contain_text("KeyboardInterrupt")
    expect(running).to_contain_text("Nothing is running.")
    expect(panel.locator(".sekha-decisions")).to_contain_text("interrupted")
    expect(panel.locator(".sekha-session")).to_contain_text("in 1 call")
    notebook.assert_nothing_left_the_machine()


def test_a_dashboard_is_drawn_and_heard_also_when_all_cells_are_run_at_once(lab: Lab, page: Page) -> None:
    slow = SETUP.format(options="pause=0.05, answer='slow ' * 1200")
    notebook = lab.open(page, [slow, "sekha.Dashboard()", "sekha.get_registry().chat('Go on.', stream=True)"])
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    notebook.output(1).get_by_role("button", name="Cancel echo at cage").click()
    expect(notebook.output(2)).to_contain_text("KeyboardInterrupt")


def test_limits_are_set_and_refused_at_the_form_and_candidates_open_by_keyboard(lab: Lab, page: Page) -> None:
    ask = "reg = sekha.get_registry(); reg.chat('What is it?')"
    notebook, panel = dashboard(lab, page, ask, "str(reg.budget.lines()[0].limit.usd), reg.chat('Again?').text")
    notebook.run(2)
    panel.get_by_text("Set limits").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(panel.get_by_label("session", exact=True)).to_be_focused()
    page.keyboard.type("much")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("much is not an amount in USD")
    page.keyboard.press("Control+a")
    page.keyboard.type("999999999")
    page.keyboard.press("Enter")
    expect(panel.get_by_role("alert")).to_contain_text("It is an amount in USD from 0 to")
    expect(panel.get_by_label("session", exact=True)).to_be_focused()
    page.keyboard.press("Control+a")
    page.keyboard.type("0.5")
    page.keyboard.press("Enter")
    expect(panel.locator(".sekha-budgets")).to_contain_text("of $0.50")
    expect(panel.get_by_role("alert")).to_have_count(0)
    decision = panel.locator(".sekha-decisions").get_by_role("button", name="echo at cage")
    decision.focus()
    page.keyboard.press("Enter")
    expect(panel.locator(".sekha-candidates")).to_contain_text("wrong_task")
    notebook.run(3)
    expect(panel.locator(".sekha-decisions .sekha-disclosure")).to_have_count(2)
    expect(panel.locator(".sekha-candidates")).to_be_visible()
    assert "0.5" in notebook.outputs(3)[0]["data"]["text/plain"]
    assert notebook.dialogs == []


def test_every_control_of_the_dashboard_is_reached_by_tab(lab: Lab, page: Page) -> None:
    notebook, panel = dashboard(lab, page, "sekha.get_registry().chat('What is it?')")
    notebook.run(2)
    expect(panel.locator(".sekha-disclosure")).to_have_count(1)
    panel.get_by_text("Set limits").focus()
    page.keyboard.press("Enter")
    controls = panel.locator("button:visible, input:visible, summary:visible")
    for index in range(controls.count()):
        expect(controls.nth(index)).to_be_focused()
        page.keyboard.press("Tab")


def test_two_views_of_one_dashboard_and_a_reloaded_page_stay_right(lab: Lab, page: Page) -> None:
    notebook, first = dashboard(lab, page, "dashboard", "sekha.get_registry().chat('What is it?')")
    notebook.run(2)
    second = notebook.output(2).locator(".sekha-panel")
    expect(second.get_by_role("heading", name="This session")).to_be_visible()
    for _ in range(2):
        notebook.run(3)
    for panel in (first, second):
        expect(panel.locator(".sekha-session")).to_contain_text("in 2 calls")
    notebook.save()
    page.reload()
    page.wait_for_function("() => window.jupyterapp !== undefined")
    name = page.evaluate("() => window.jupyterapp.restored.then(() => document.title)")
    assert name
    page.evaluate("path => window.sekhaLab.open(path)", notebook_name(lab))
    again = page.locator(".jp-Notebook .jp-Cell").nth(1).locator(".sekha-panel")
    expect(again.locator(".sekha-session")).to_contain_text("in 2 calls")


def test_after_a_restart_of_the_kernel_both_say_that_nobody_answers(lab: Lab, page: Page) -> None:
    notebook, chat = conversation(lab, page, "sekha.Dashboard()")
    notebook.run(2)
    panel = notebook.output(2).locator(".sekha-panel")
    expect(panel.get_by_role("heading", name="This session")).to_be_visible()
    page.evaluate("() => window.sekhaLab.panel.sessionContext.session.kernel.restart()")
    expect(panel).to_contain_text("The kernel does not answer.")
    chat.get_by_label("Your message").fill("Anyone?")
    page.keyboard.press("Enter")
    expect(chat.get_by_role("alert")).to_contain_text("The kernel does not answer.")
    expect(chat.get_by_label("Your message")).to_have_value("Anyone?")


def notebook_name(lab: Lab) -> str:
    """Of the one that was saved last."""
    return max(lab.root.glob("*.ipynb"), key=lambda path: path.stat().st_mtime).name


HOSTILE = """
import sekha_magics as sekha
from tests.display.hostile import TEXTS
from tests.magics.parrot import PRICE, Parrot
names = [" ".join(text.split())[:200] for text in TEXTS if text.strip()]
as_known = {{"task": "chat_small", "context_window": 100_000, "price": PRICE}}
models = [{{"model_id": name}} | as_known for name in dict.fromkeys(names) if name.isprintable()]
registry = sekha.Registry.from_dict({{"llm_providers": []}})
registry.register_provider({{"id": "cage", "type": "parrot", "models": models, "options": {options}}}, Parrot)
sekha.set_registry(registry)
""".strip()
ASK_EACH = """
for name in [model["model_id"] for model in models]:
    try:
        registry.chat("What is it?", model=f"cage/{name}")
    except sekha.SekhaError as error:
        print(type(error).__name__)
""".strip()


def test_hostile_names_and_errors_fire_nothing_in_the_dashboard(lab: Lab, page: Page) -> None:
    setup = HOSTILE.format(options="{}")
    notebook, panel = dashboard(lab, page, ASK_EACH, "dashboard", setup=setup)
    notebook.run(2)
    expect(panel.locator(".sekha-spend tbody tr").nth(5)).to_be_visible()
    expect(panel.locator(".sekha-disclosure")).to_have_count(20)
    panel.locator(".sekha-disclosure").first.click()
    expect(panel.locator(".sekha-candidates tbody tr").first).to_be_visible()
    notebook.run(3)
    notebook.touch_everything()
    page.wait_for_timeout(500)
    assert notebook.fired() == 0 and notebook.dialogs == []
    assert set(notebook.suspects()) <= {"form", "button", "input", "svg"}
    notebook.assert_nothing_left_the_machine()


def test_nothing_in_the_dashboard_keeps_anybody_out_in_any_theme(lab: Lab, page: Page) -> None:
    page.set_viewport_size({"width": 1000, "height": 1900})
    cells = (
        "reg = sekha.get_registry()\nfor n in range(3): reg.chat('word ' * 40 * n + 'now')\n"
        "reg.budget.set(day='2'); reg.simulate('cage', down=True)",
        "try: reg.chat('Anyone?')\nexcept sekha.SekhaError: reg.budget.set(session=reg.budget.lines()[0].spent)",
    )
    notebook, panel = dashboard(lab, page, *cells)
    for index in (2, 3):
        notebook.run(index)
    expect(panel.locator(".sekha-providers")).to_contain_text("resting after failures")
    panel.get_by_text("Set limits").click()
    panel.get_by_text("The chart as a table").click()
    panel.locator(".sekha-disclosure").first.click()
    expect(panel.locator(".sekha-candidates")).to_be_visible()
    for theme in THEMES:
        notebook.use_theme(theme)
        page.wait_for_timeout(300)
        assert violations(page, ".sekha-panel") == []
        picture(notebook, page, f"dashboard-{theme.split(' ', 1)[1].lower().replace(' ', '-')}")


def test_both_are_read_in_a_notebook_opened_without_trust(lab: Lab, page: Page, tmp_path: Path) -> None:
    ask = "chat.ask('What **stays**?')"
    notebook, chat = conversation(lab, page, ask, "sekha.Dashboard()")
    for index in (2, 3):
        notebook.run(index)
    expect(chat.get_by_role("log")).to_contain_text("echo at cage")
    expect(notebook.output(1)).to_contain_text("Conversation lesson: 1 question")
    file = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1"), nbformat.v4.new_code_cell("2")])
    for cell, index in zip(file.cells, (1, 3), strict=True):
        cell.outputs = [nbformat.from_dict(output) for output in notebook.outputs(index)]
    nbformat.write(file, tmp_path / "strange.ipynb")
    strange = lab.open(page.context.new_page(), tmp_path / "strange.ipynb")
    strange.output(0).locator("summary").click()
    expect(strange.output(0).locator("strong").nth(1)).to_have_text("stays")
    expect(strange.output(0)).to_contain_text("echo at cage")
    expect(strange.output(1)).to_contain_text("the only one eligible")
    assert strange.page.locator(".jp-OutputArea table").count() >= 3
    strange.assert_nothing_left_the_machine()
