"""axe-core in a browser test: what in a part of the page keeps somebody from using it.

    assert violations(page, ".sekha-panel") == []

Its script is read from `labextension/node_modules` and run in the page; nothing is fetched. Without it the test is
skipped, or fails where SEKHA_REQUIRE_BROWSER=1.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from .conftest import REQUIRED

__all__ = ["THEMES", "violations"]

THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
SCRIPT = Path(__file__).resolve().parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
RUN = """
async (selector) => {
  const { violations } = await window.axe.run({ include: [[selector]] });
  return violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html} ${node.failureSummary}`));
}
"""


def violations(page: Page, selector: str) -> list[str]:
    """What axe finds below the elements of `selector`, of which there must be some."""
    if not SCRIPT.exists():
        reason = "no axe-core: run `npm ci` in labextension"
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    assert page.locator(selector).count()
    if not page.evaluate("() => 'axe' in window"):
        # Not by a script element: its source would count as loaded.
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found: Any = page.evaluate(RUN, selector)
    return [str(one) for one in found]
