"""Every committed notebook reads well as a page and as Markdown: each answer, who gave it and what it cost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import html5lib
import nbformat
import pytest
from nbconvert import HTMLExporter, MarkdownExporter

from .test_notebooks import IDS, NOTEBOOKS, source

MIME = "application/vnd.sekha.chat.v1+json"
WHO = re.compile(r"^(?P<model>\S+) at (?P<provider>\S+) · [\d,]+ in.*, [\d,]+ out · (?P<cost>.+)$", re.M)
HIDDEN = {"script", "style", "template", "title"}


def visible(element: Any) -> str:
    """The text a reader sees; what cannot be seen left out."""
    if element.tag in HIDDEN:
        return ""
    parts = [element.text or ""] + [visible(child) + (child.tail or "") for child in element]
    return "".join(parts) if element.tag in {"span", "em", "strong", "code", "a"} else f" {''.join(parts)} "


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def outputs(notebook: Path) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    document = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in document.cells if cell.cell_type == "code"]
    return [(cell, output) for cell in cells for output in cell.outputs if "data" in output]


def as_page(notebook: Path) -> Any:
    exporter = HTMLExporter(template_name="lab", embed_images=True)
    page, _ = exporter.from_filename(str(notebook))
    return html5lib.parse(page, treebuilder="etree", namespaceHTMLElements=False)


def as_markdown(notebook: Path) -> str:
    text: str = MarkdownExporter().from_filename(str(notebook))[0]
    return text


def check(said: str, notebook: Path) -> None:
    """Each answer stands in `said`, and below it the model and the cost; each table with its caption and cells."""
    read = squeezed(said)
    answers = 0
    for cell, output in outputs(notebook):
        data = output["data"]
        if MIME in data:
            answers += 1
            found = WHO.search(data["text/plain"])
            assert found is not None, source(cell)
            assert found["model"] == data[MIME]["model_id"] and found["cost"]
            assert squeezed(found[0]) in read, found[0]
            words = re.findall(r"\w+", data[MIME]["text"])[:4]
            assert all(word in read for word in words), source(cell)
        elif "text/html" in data:
            shown = html5lib.parseFragment(data["text/html"], treebuilder="etree", namespaceHTMLElements=False)
            for part in (*shown.iter("caption"), *shown.iter("th"), *shown.iter("td")):
                assert squeezed(visible(part)) in read, source(cell)
    chats = [cell for cell, _ in outputs(notebook) if source(cell).startswith("%%sekha_chat")]
    assert answers or not chats


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_a_page_shows_every_answer_with_its_model_and_its_cost(notebook: Path) -> None:
    page = as_page(notebook)
    check(visible(page.find("body")), notebook)
    for area in page.iter("div"):
        if "jp-OutputArea-output" in (area.get("class") or "").split():
            for element in area.iter():
                assert element.tag not in {"script", "iframe", "object", "embed"}, element.tag
                assert not any(name.startswith("on") for name in element.attrib)
                assert not (element.get("src") or "").startswith(("http:", "https:", "//"))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=IDS)
def test_markdown_shows_every_answer_with_its_model_and_its_cost(notebook: Path) -> None:
    text = as_markdown(notebook)
    # As its readers' programs do it: HTML within is HTML.
    tree = html5lib.parseFragment(text, treebuilder="etree", namespaceHTMLElements=False)
    check("".join(visible(element) + (element.tail or "") for element in tree) + (tree.text or ""), notebook)
    assert "<script" not in text.lower() and "\x1b" not in text
