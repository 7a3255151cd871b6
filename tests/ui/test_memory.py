"""A memory in JupyterLab, on the embedded models: what was quoted is told under the answer, and nothing hostile runs.

With SEKHA_PICTURES=FOLDER the page is also kept there as `memory.png`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.local_model import place_model

from .notebook import Lab

pytestmark = [pytest.mark.browser, pytest.mark.model]

PICTURES = os.environ.get("SEKHA_PICTURES")
ADD = """
import sekha_magics as sekha
memory = sekha.get_registry().memory
notes = {
    "statistics": "The p-value is the probability of data at least this extreme if the null hypothesis is true.",
    "cooking": "Risotto wants warm broth, a ladle at a time.",
    "<img src=x onerror=alert(1)> exam": "The statistics exam is on the 14th of December in room B204. Bring a pen.",
}
for name, text in notes.items():
    memory.add(text, conversation=name, folder="/uni/notes", importance=7)
memory.set_conversation("statistics", pinned=True)
memory.flush()
"""
CELLS = [
    "%load_ext sekha_magics",
    ADD,
    "%%sekha_chat --memory 700 --explain --temperature 0 --seed 1 --max-tokens 40\nWhen is the statistics exam?",
    "%sekha memory",
    "%sekha memory list",
    "%sekha memory prune --importance 7",
    "%sekha memory forget cooking",
]


@pytest.fixture(scope="module")
def lab_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    home = tmp_path_factory.mktemp("sekha")
    place_model(home)
    return {"SEKHA_HOME": str(home), "SEKHA__MEMORY__ENABLED": "true"}


def test_what_was_quoted_is_told_under_the_answer(lab: Lab, page: Page):
    pytest.importorskip("wordllama")
    notebook = lab.open(page, CELLS)
    for index in range(len(CELLS)):
        notebook.run(index)
    (answer,) = [output for output in notebook.outputs(2) if output["output_type"] == "display_data"]
    quoted = answer["metadata"]["sekha"]["memory"]
    assert quoted[0]["conversation"] == "statistics" and quoted[0]["pinned"]
    expect(notebook.output(2)).to_contain_text("from memory:")
    expect(notebook.output(2)).to_contain_text("similarity")
    expect(notebook.output(3)).to_contain_text("embeddings_256_wordllama_256")
    expect(notebook.output(4)).to_contain_text("onerror")
    expect(notebook.output(5)).to_contain_text("nothing is changed yet")
    assert set(notebook.suspects()) <= {"button"} and notebook.dialogs == []
    notebook.assert_nothing_left_the_machine()
    if PICTURES:
        page.set_viewport_size({"width": 1200, "height": 1700})
        page.wait_for_timeout(500)
        notebook.screenshot(Path(PICTURES) / "memory.png")
        notebook.output(2).screenshot(path=Path(PICTURES) / "memory-answer.png")
