"""How soon the status bar of JupyterLab shows that a call has ended, in a real browser.

The kernel notes when each call returned, the page when the text of the status item changed; both by the clock of this
machine. Beside it, in the same page, how soon a `print` of the same cell stands in its output.

    python benchmarks/live.py [calls]
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from playwright.sync_api import Page, sync_playwright

from tests.ui.conftest import CHROMIUM, FLAGS
from tests.ui.notebook import Lab, start, stop
from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

BEGIN = "%load_ext sekha_magics\nimport sekha_magics, time\nreg = sekha_magics.get_registry()\nreg.chat('first');"
CALLS = """
ends = []
for number in range({calls}):
    reg.chat(f"number {{number}}")
    ends.append(time.time() * 1000)
    print(number, flush=True)
    time.sleep(0.5)
"""
OBSERVE = """(index) => {
  const note = (element, list) => new MutationObserver(() => list.push([
    performance.timeOrigin + performance.now(), element.textContent,
  ])).observe(element, { childList: true, subtree: true, characterData: true });
  window.items = []; window.prints = [];
  note(document.querySelector(".sekha-Status-button"), window.items);
  note(document.querySelectorAll(".jp-Notebook .jp-Cell")[index], window.prints);
}"""


def measure(lab: Lab, page: Page, calls: int) -> None:
    notebook = lab.open(page, [BEGIN, CALLS.format(calls=calls), "import json\nprint(json.dumps(ends))"])
    notebook.run(0)
    page.locator(".sekha-Status-button").wait_for()
    page.evaluate(OBSERVE, 1)
    notebook.run(1)
    page.wait_for_timeout(2000)
    notebook.run(2)
    ends = json.loads("".join(notebook.outputs(2)[0]["text"]))
    items = [at for at, text in page.evaluate("() => window.items") if "answering" not in text]
    prints = [at for at, _ in page.evaluate("() => window.prints")]
    ours, theirs = ([min(t for t in seen if t >= end) - end for end in ends] for seen in (items, prints))
    print(f"status item, {calls} calls  p50 {median(ours):4.0f} ms, at most {max(ours):4.0f} ms   (goal 200 ms)")
    print(f"a print, in the same cell   p50 {median(theirs):4.0f} ms, at most {max(theirs):4.0f} ms")
    print(f"ratio {median(ours) / median(theirs):.1f}")


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    folder = Path(tempfile.mkdtemp())
    with Upstream() as upstream:
        upstream.default = Answer(text="Paris.")
        model = {"model_id": "m", "tasks": ["chat_small"], "price": {"input": 100, "output": 100}}
        one = {"id": "up", "type": "openai", "base_url": upstream.url("openai"), "api_key": "k", "models": [model]}
        config = folder / "config.json"
        config.write_text(json.dumps({"llm_providers": [one]}), encoding="utf-8")
        lab, process = start(folder / "lab", {"SEKHA_CONFIG": str(config)})
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
                measure(lab, browser.new_context(viewport={"width": 1280, "height": 1000}).new_page(), calls)
                browser.close()
        finally:
            stop(lab, process)


if __name__ == "__main__":
    main()
