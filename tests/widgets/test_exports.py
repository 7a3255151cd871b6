"""What the lesson on watching looks like where there is no kernel: exported by nbconvert to HTML and Markdown."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter
from nbconvert.exporters.exporter import Exporter

from tests.display.harmless import assert_harmless

LESSON = Path(__file__).parents[2] / "notebooks" / "07_live_dashboard.ipynb"


@pytest.mark.parametrize("exporter", [HTMLExporter, MarkdownExporter], ids=["html", "markdown"])
def test_an_export_has_the_tables_the_conversation_its_cost_and_its_model(exporter: type[Exporter]) -> None:
    exported, _ = exporter().from_filename(str(LESSON))
    text = re.sub(r"<[^>]+>", "", exported)
    for words in ("This session: $0 in 0 calls", "in service", "Conversation lighthouse: 2 questions, $0.12",
                  "And who looks after it?", "smollm2-135m-instruct at campus · 35 in, 60 out"):  # fmt: skip
        assert words in text
    assert "widget-view" not in exported and "widget-state" not in exported


def test_the_file_holds_no_state_of_widgets_and_its_outputs_are_harmless() -> None:
    notebook = nbformat.read(LESSON, as_version=4)
    assert "widgets" not in notebook.metadata
    shown = [o["data"]["text/html"] for c in notebook.cells for o in c.get("outputs", ()) if "data" in o
             and "application/vnd.jupyter.widget-view+json" in o["data"]]  # fmt: skip
    assert len(shown) == 2
    for html in shown:
        assert_harmless(html)
