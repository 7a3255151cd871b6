"""Answers as our front end draws them in JupyterLab, a badge over a stranger's text; and prompts as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from playwright.sync_api import Page, expect

from sekha_magics.display.reply import MIME_TYPE, mimebundle

from ..display.hostile import TEXTS
from ..display.samples import reply
from .notebook import Lab, Notebook

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("built_extension")]

ROOT = Path(__file__).resolve().parents[2]
SETUP = """
from IPython.display import publish_display_data
from tests.display.hostile import TEXTS
from tests.display.samples import call, decision, reply
from tests.ui.test_lab_answers import MIME_TYPE, bundle_of
from sekha_magics.core.reasons import Reason
from sekha_magics.core.types import Candidate
from sekha_magics.display.reply import mimebundle
from sekha_magics.display.stream import StreamView, publish_to_cell
def show(answer, **options):
    publish_to_cell(*mimebundle(answer, **options), display_id=None, update=False)
""".strip()
MARKDOWN = (
    "# Title\n\n**$5** and $6 if $x^2=4$, <b>raw</b>\n\n```python\nreturn 1\n```\n\n"
    "- [ ] open\n- [x] done\n\n| a | b |\n| - | -: |\n| 1 | `$2` |\n\n[a](https://example.org) ![pic](http://remote.invalid/p.png)"
)


@pytest.fixture(scope="module")
def lab_environment() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def bundle_of(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """An output as a stranger may have written it, with `text` wherever text can stand."""
    text = text.encode("utf-8", "replace").decode()
    answer = {
        **dict.fromkeys(("text", "provider_id", "provider_type", "model_id", "task", "finish_reason"), text),
        "usage": {"input_tokens": text, "output_tokens": 1, "cached_input_tokens": 2, "reasoning_tokens": 3},
        "cost": {"usd": text, "source": text},
        "notes": [text, text],
    }
    candidate = {
        **dict.fromkeys(("provider_id", "model_id", "rank", "priority", "estimated_usd"), text),
        "eligible": True,
        "reasons": [{"code": text, "detail": text}],
    }
    quoted = dict.fromkeys(("conversation", "ts", "folder", "role", "score", "tokens", "pinned"), text)
    metadata = {
        **dict.fromkeys(("decision_id", "policy", "reason", "latency_ms", "format", "replayed"), text),
        "candidates": [candidate],
        "candidates_left_out": 3,
        "explain": True,
        "memory": [quoted],
    }
    return {"text/plain": "plain", MIME_TYPE: answer}, {"sekha": metadata}


def output_of(data: dict[str, Any], metadata: dict[str, Any]) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("display_data", data=data, metadata=metadata)


def open_file(lab: Lab, page: Page, folder: Path, *cells: nbformat.NotebookNode) -> Notebook:
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells)), folder / "received.ipynb")
    return lab.open(page, folder / "received.ipynb")


def assert_nothing_happened(notebook: Notebook) -> None:
    notebook.touch_everything()
    notebook.page.wait_for_load_state("networkidle")
    assert set(notebook.suspects()) <= {"button"}
    assert notebook.fired() == 0
    assert notebook.dialogs == []
    notebook.assert_nothing_left_the_machine()


def test_hostile_answers_run_nothing_and_load_nothing(lab: Lab, page: Page) -> None:
    shows = [
        "for text in TEXTS: show(reply(text))",
        "for text in TEXTS: show(reply('x', provider_id=text, model_id=text, notes=(text,)), explain=True)",
        "for text in TEXTS: show(reply(text), format='code'); show(reply(text), format='json')",
        "for text in TEXTS: show(reply('x', decision=decision((Candidate(text, text, False, (Reason('no_key', text),),"
        " None, None, 1),), reason=text, policy=text)), explain=True)",
        "for text in TEXTS: publish_display_data(*bundle_of(text))",
    ]
    notebook = lab.open(page, [SETUP, *shows])
    for index in range(len(shows) + 1):
        notebook.run(index)
    for index in range(1, len(shows) + 1):
        expect(notebook.output(index).locator(".sekha-Badge")).to_have_count(len(TEXTS) * (2 if index == 3 else 1))
    # Rendered, that is, not only shown as written.
    expect(notebook.output(1).locator(".sekha-Answer-text a").first).to_be_attached()
    expect(notebook.output(1).locator(".sekha-Answer-text table")).not_to_have_count(0)
    assert_nothing_happened(notebook)


def test_a_strangers_file_runs_nothing_and_is_readable(lab: Lab, page: Page, tmp_path: Path) -> None:
    cells = [nbformat.v4.new_code_cell("", outputs=[output_of(*bundle_of(text))]) for text in TEXTS[::2]]
    data, metadata = mimebundle(reply("The capital is **Paris**."))
    data["text/html"] = "<p>something else altogether</p>"
    cells.append(nbformat.v4.new_code_cell("", outputs=[output_of(data, metadata)]))
    notebook = open_file(lab, page, tmp_path, *cells)
    expect(page.locator(".sekha-Badge")).to_have_count(len(cells))
    shown = notebook.output(len(cells) - 1)
    expect(shown.locator("strong").last).to_have_text("Paris")
    expect(shown).to_contain_text("smollm2-135m-instruct at local · free · 812 ms · 24 in, 12 out")
    expect(shown).not_to_contain_text("something else")
    assert_nothing_happened(notebook)


def test_an_answer_reads_as_its_markdown_says(lab: Lab, page: Page, tmp_path: Path) -> None:
    answer = output_of(*mimebundle(reply(MARKDOWN, notes=("`seed` was left out.",), finish_reason="length")))
    notebook = open_file(lab, page, tmp_path, nbformat.v4.new_code_cell("%%sekha_chat", outputs=[answer]))
    text = notebook.output(0).locator(".sekha-Answer-text")
    expect(text.locator("h1")).to_have_text("Title")
    expect(text.locator("strong")).to_have_text("$5")
    expect(text).to_contain_text("and $6 if")
    expect(text).to_contain_text("<b>raw</b>")
    expect(text.locator("mjx-container")).to_have_count(1)
    expect(text.locator("pre span").first).to_have_text("return")
    expect(text).to_contain_text("☐ open")
    expect(text.locator("td").last).to_have_css("text-align", "right")
    expect(text.locator("td code")).to_have_text("$2")
    expect(text.locator("a").first).to_have_attribute("rel", "noopener noreferrer")
    expect(text.locator("a").last).to_have_text("[image: pic]")
    notes = notebook.output(0).locator(".sekha-Answer-notes li")
    expect(notes).to_have_text(["`seed` was left out.", "The answer is cut: it reached the limit of output tokens."])
    notebook.assert_nothing_left_the_machine()


def test_the_format_that_was_asked_for_is_the_one_that_is_shown(lab: Lab, page: Page, tmp_path: Path) -> None:
    text = "Look:\n\n```python\nprint(1)\n```\n"
    shows = ({"format": "text"}, {"format": "code"}, {"format": "json"})
    bundles = [mimebundle(reply(text), **options) for options in shows]  # type: ignore[arg-type]
    bundles.append(mimebundle(reply('{"a": [1]}'), format="json"))
    bundles.append(mimebundle(reply("")))
    cells = [nbformat.v4.new_code_cell("", outputs=[output_of(*bundle)]) for bundle in bundles]
    notebook = open_file(lab, page, tmp_path, *cells)
    shown = [notebook.output(index).locator(".sekha-Answer-text") for index in range(len(cells))]
    expect(shown[0]).to_have_text(text, use_inner_text=True)
    expect(shown[1].locator("pre")).to_have_text("print(1)")
    expect(shown[1]).not_to_contain_text("Look")
    expect(shown[2]).to_contain_text("```python")
    expect(shown[3].locator("pre")).to_have_text('{\n  "a": [\n    1\n  ]\n}', use_inner_text=True)
    expect(shown[4]).to_have_text("(the answer is empty)")


def test_the_candidates_open_from_the_file_and_the_answer_is_copied(lab: Lab, page: Page, tmp_path: Path) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    answer = output_of(*mimebundle(reply("**Paris**\n")))
    explained = output_of(*mimebundle(reply("Paris"), explain=True))
    old = output_of(*mimebundle(reply("Paris")))
    del old.metadata["sekha"]["candidates"]
    cells = [nbformat.v4.new_code_cell("", outputs=[output]) for output in (answer, explained, old)]
    notebook = open_file(lab, page, tmp_path, *cells)
    badge = notebook.output(0).locator(".sekha-Badge")
    summary = badge.locator("summary")
    expect(summary).to_have_text("priority 1; cheapest of 1 eligible at that priority")
    expect(badge.get_by_role("table")).to_be_hidden()
    # By the keyboard alone.
    badge.get_by_role("button", name="Copy").focus()
    page.keyboard.press("Enter")
    expect(badge.get_by_role("status")).to_have_text("The answer is copied.")
    assert page.evaluate("() => navigator.clipboard.readText()") == "**Paris**\n"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    rows = badge.get_by_role("row")
    expect(rows.nth(1)).to_have_text("1smollm2-135m-instructlocal1free")
    expect(rows.nth(3)).to_contain_text("no_key: OPENAI_API_KEY is not set; no_vision")
    expect(notebook.output(1).get_by_role("table")).to_be_visible()
    notebook.output(2).locator("summary").click()
    notebook.output(2).get_by_role("button", name="Show every candidate").click()
    expect(notebook.output(2)).to_contain_text("The file does not hold the candidates")


def test_the_last_frame_takes_the_place_of_a_stream_without_a_jump(lab: Lab, page: Page) -> None:
    stream = """
import time
answer = reply("\\n\\n".join(f"Paragraph {n} of **many**." for n in range(20)))
view = StreamView("s", publish_to_cell, model="smollm2")
view.push(answer.text)
time.sleep(1)
view.finish(*mimebundle(answer))"""
    notebook = lab.open(page, [SETUP, stream, "1"])
    notebook.run(0)
    notebook.start(1)
    expect(notebook.output(1)).to_contain_text("… writing")
    page.evaluate(
        """() => {
          const area = document.querySelectorAll(".jp-Notebook .jp-Cell")[1].querySelector(".jp-OutputArea");
          window.heights = [];
          new ResizeObserver(() => window.heights.push(area.getBoundingClientRect().height)).observe(area);
        }"""
    )
    expect(notebook.output(1).locator(".sekha-Badge")).to_be_visible()
    expect(notebook.output(1).locator(".sekha-Answer-text strong").first).to_be_visible()
    heights = page.evaluate("() => window.heights")
    assert min(heights) > 0.9 * max(heights), heights
    (output,) = notebook.outputs(1)
    assert output["metadata"]["sekha"]["candidates"][0]["model_id"] == "smollm2-135m-instruct"


def test_prompts_read_as_markdown_and_python_stays_python(lab: Lab, page: Page) -> None:
    prompt = '%%sekha_chat -m a_b_c\nWhat is **bold** in {{ frame }}, {{2}} and {{ row["id"] }}?'
    notebook = lab.open(page, [prompt, "x = {{1}}\n# **not bold**", "%%sekha_chat --raw\n**b** {{ x }}"])
    editor = page.locator(".jp-Notebook .jp-Cell .cm-content")
    holes = editor.nth(0).locator(".sekha-Hole")
    expect(holes.first).to_have_text("{{ frame }}")
    expect(editor.nth(0).locator(".sekha-MagicLine")).to_have_text("%%sekha_chat -m a_b_c")
    bold = editor.nth(0).locator("span", has_text="bold").last
    expect(bold).to_have_css("font-weight", "700")
    expect(editor.nth(1).locator(".sekha-Hole, .sekha-MagicLine")).to_have_count(0)
    expect(editor.nth(1).locator(".cm-line").nth(1).locator("span").last).to_have_css("font-style", "italic")
    expect(editor.nth(2).locator(".sekha-MagicLine")).to_have_count(1)
    expect(editor.nth(2).locator(".sekha-Hole")).to_have_count(0)
    # A cell that becomes a prompt while it is written, and stops being one.
    editor.nth(1).click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("%%sekha_chat\nNow **bold** and {{ name }}")
    expect(editor.nth(1).locator(".sekha-Hole")).to_have_text("{{ name }}")
    expect(editor.nth(1).locator("span", has_text="bold").last).to_have_css("font-weight", "700")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text("name = 1\n# **plain**")
    expect(editor.nth(1).locator(".sekha-Hole, .sekha-MagicLine")).to_have_count(0)
    expect(editor.nth(1).locator(".cm-line").nth(1).locator("span").last).to_have_css("font-style", "italic")
    notebook.assert_nothing_left_the_machine()
