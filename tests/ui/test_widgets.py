"""The widgets in JupyterLab: a conversation and the dashboard, by mouse, by keyboard alone, and with hostile text.

With SEKHA_PICTURES=FOLDER pictures of both are kept there, in each theme.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.display.hostile import TEXTS

from .axe import THEMES, violations
from .notebook import Lab, Notebook

pytestmark = pytest.mark.browser

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
    expect(chat.get_by_role("log")).to_contain_text("echo at cage", timeout=30_000)
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
    expect(chat.get_by_role("log").locator("> .sekha-turn")).to_have_count(asked, timeout=30_000)
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
