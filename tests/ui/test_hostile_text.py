"""Hostile text in JupyterLab, in the output of a cell just run, which the page trusts fully.

The HTML that the kernel makes is looked at, as every front end has it that is not ours.
"""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from sekha_magics.display.reply import mimebundle

from ..display.hostile import FIRE, REMOTE, TEXTS
from ..display.samples import reply
from .notebook import Lab

pytestmark = pytest.mark.browser

REPOSITORY = Path(__file__).parents[2]
SETUP = f"""
import sys; sys.path.insert(0, {str(REPOSITORY)!r})
from IPython.display import HTML, display
from tests.display.hostile import TEXTS
from tests.display.samples import reply, decision
from sekha_magics.display.formatters import register
from sekha_magics.display.reply import mimebundle
from sekha_magics.display.stream import StreamView, publish_to_cell
from sekha_magics.display.tables import Table
register(get_ipython())
"""


@pytest.fixture(scope="module")
def lab_extension() -> bool:
    return False


def test_what_would_fire_does_fire_where_html_is_trusted(lab: Lab, page: Page) -> None:
    # Shows that the sentinels of the other tests can be set off at all.
    html = f"<img src='{REMOTE}/x.png' onerror='{FIRE}'><a href='javascript:{FIRE}'>x</a>"
    notebook = lab.open(page, [SETUP, f"display(HTML({html!r}))", "display(HTML('<p>$5 and $6</p>'))"])
    for index in range(3):
        notebook.run(index)
    page.wait_for_function("() => window.__fired >= 1")
    # The page may draw an output more than once.
    assert set(notebook.remote_requests()) == {f"{REMOTE}/x.png"}
    assert len(notebook.suspects()) == 4
    expect(notebook.output(2).locator("mjx-container")).to_have_count(1)


def test_hostile_texts_run_nothing_and_load_nothing(lab: Lab, page: Page) -> None:
    shows = [
        "for text in TEXTS: publish_to_cell(*mimebundle(reply(text)), display_id=None, update=False)",
        "for text in TEXTS: publish_to_cell(*mimebundle(reply('x', model_id=text, notes=(text,)), explain=True,"
        " format='text'), display_id=None, update=False)",
        "for i, text in enumerate(TEXTS): StreamView(str(i), publish_to_cell, model=text).push(text)",
        "for text in TEXTS: display(Table((text,), [(text,)], caption=text))",
        "for text in TEXTS: display(decision(reason=text, model_id=text))",
    ]
    notebook = lab.open(page, [SETUP, *shows])
    for index in range(len(shows) + 1):
        notebook.run(index)
    for index in range(1, len(shows) + 1):
        expect(notebook.output(index).locator(".jp-RenderedHTMLCommon")).to_have_count(len(TEXTS))
    links = page.locator(".jp-OutputArea-output a")
    assert links.count() > 0
    notebook.touch_everything()
    page.wait_for_load_state("networkidle")
    assert notebook.suspects() == []
    assert notebook.fired() == 0
    assert notebook.dialogs == []
    notebook.assert_nothing_left_the_machine()


def test_prices_stay_text_and_formulas_are_typeset(lab: Lab, page: Page) -> None:
    texts = [
        "It costs $5 and $6, not $HOME/$USER. Code: `$a_1$ and $b_1$`",
        r"Euler: $e^{i\pi}=-1$ for $7 and $8",
        "$$\n\\frac{1}{2}\n$$\n\n\\[ a^2 \\]\n\n\\begin{align}\nx &= y\n\\end{align}",
        r"\\(not_1\\) and \\[neither_1\\] &#36;nor_1&#36; \\begin{align}nor_2\\end{align}",
        "```bash\necho $HOME $x_1$\n```",
    ]
    show = f"for text in {texts!r}: publish_to_cell(*mimebundle(reply(text)), display_id=None, update=False)"
    table = "display(Table(('cost $', '$x$'), [('$5', '$6'), ('$x_1$', '$$y_1$$')], caption='$a_1$'))"
    notebook = lab.open(page, [SETUP, show, table])
    for index in range(3):
        notebook.run(index)
    rendered = notebook.output(1).locator(".jp-RenderedHTMLCommon")
    expect(rendered.nth(2).locator("mjx-container")).to_have_count(3)
    expect(rendered.nth(0)).to_contain_text("It costs $5 and $6, not $HOME/$USER. Code: $a_1$ and $b_1$")
    expect(rendered.nth(1).locator("mjx-container")).to_have_count(1)
    expect(rendered.nth(1)).to_contain_text("for $7 and $8")
    expect(rendered.nth(3)).to_contain_text(r"\(not_1\) and \[neither_1\] $nor_1$ \begin{align}nor_2\end{align}")
    expect(rendered.nth(4)).to_contain_text("echo $HOME $x_1$")
    for quiet in (0, 3, 4):
        expect(rendered.nth(quiet).locator("mjx-container")).to_have_count(0)
    expect(notebook.output(2)).to_contain_text("$$y_1$$")
    expect(notebook.output(2).locator("mjx-container")).to_have_count(0)


def test_an_answer_in_a_file_nobody_trusts_reads_the_same(lab: Lab, page: Page, tmp_path: Path) -> None:
    text = "# Title\n\n**$5** and $6 if $x^2=4$\n\n```python\nreturn 1\n```\n\n[a](https://example.org)"
    data, metadata = mimebundle(reply(text), explain=True)
    output = nbformat.v4.new_output("display_data", data=data, metadata=metadata)
    cells = [nbformat.v4.new_code_cell("%%sekha_chat", outputs=[output])]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "received.ipynb")
    notebook = lab.open(page, tmp_path / "received.ipynb")
    shown = notebook.output(0)
    expect(shown.locator("mjx-container")).to_have_count(1)
    expect(shown.locator("strong")).to_have_text("$5")
    expect(shown.locator("th").first).to_have_attribute("style", re.compile("text-align: ?right"))
    expect(shown.locator("pre span").first).to_have_css("color", "rgb(154, 91, 212)")
    expect(shown.locator("a")).to_have_attribute("href", "https://example.org")
    expect(shown.get_by_text("24 in, 12 out")).to_have_css("opacity", "0.75")


def test_a_stream_and_the_value_of_its_cell_are_one_output(lab: Lab, page: Page) -> None:
    stream = """
from sekha_magics.display.formatters import mark_drawn
answer = reply("**Paris**.")
view = StreamView("s", publish_to_cell, model="smollm2")
for piece in ("**Par", "is**", "."):
    view.push(piece)
view.finish(*mimebundle(answer))
mark_drawn(get_ipython(), answer)
answer"""
    notebook = lab.open(page, [SETUP, stream, "assert _ is answer and Out[2] is answer\n_"])
    for index in range(3):
        notebook.run(index)
    (streamed,) = notebook.outputs(1)
    (shown,) = notebook.outputs(2)
    assert streamed["data"] == shown["data"]
    assert streamed["metadata"] == shown["metadata"]
    assert (streamed["output_type"], shown["output_type"]) == ("display_data", "execute_result")
    expect(notebook.output(1).locator("strong")).to_have_text("Paris")
    notebook.assert_nothing_left_the_machine()
