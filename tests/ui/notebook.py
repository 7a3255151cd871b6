"""JupyterLab for tests, and one notebook open in it.

A browser test takes the fixtures `lab` (a server, one for each test module) and `page` (pytest-playwright's):

    pytestmark = pytest.mark.browser

    def test_an_answer_streams(lab, page):
        notebook = lab.open(page, ["%load_ext sekha_magics", "%%sekha_chat\nWhat is the capital of France?"])
        notebook.run(0)                                 # waits for its end; a cell that raises fails the test
        notebook.run(1)
        expect(notebook.output(1)).to_contain_text("Paris")
        notebook.screenshot("answer.png")               # the notebook alone
        notebook.assert_nothing_left_the_machine()

`notebook.start(1)` runs a cell without waiting, so that a stream can be watched; `notebook.outputs(1)` are the outputs
as they will stand in the file; `lab.open(page, path)` opens a notebook that is a file. A module that needs
variables or files for its kernels overrides the module-scoped fixture `lab_environment` (a dict). The kernels' HOME,
SEKHA_HOME and every Jupyter folder are temporary. The front end is the one this checkout has built; a module whose
fixture `lab_extension` is False looks at pages that do not have it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from playwright.sync_api import Locator, Page

SCRIPT = Path(__file__).with_name("lab.js")
STARTUP_SECONDS = 60
LOOPBACK = ("127.0.0.1", "localhost", "::1")
BUILT = Path(__file__).resolve().parents[2] / "sekha_magics" / "labextension"
# Every output stands in the page, also when there are many or it is out of sight.
TRACKER_SETTINGS = {"maxNumberOutputs": 10_000, "windowingMode": "none"}


@dataclass
class Notebook:
    """A notebook open in `page`, with a kernel. `requests` and `dialogs` are all the page ever made."""

    page: Page
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def run(self, index: int) -> None:
        """Run the cell and wait for its end; it must not raise."""
        errors = self.errors_of_running(index)
        assert not errors, "\n".join(errors[0]["traceback"])

    def errors_of_running(self, index: int) -> list[dict[str, Any]]:
        """Run the cell, wait for its end and give the errors it raised, as they stand in the file."""
        errors: list[dict[str, Any]] = self.page.evaluate("index => window.sekhaLab.run(index)", index)
        return errors

    def start(self, index: int) -> None:
        """Run the cell without waiting for it."""
        self.page.evaluate("index => { window.sekhaLab.run(index) }", index)

    def output(self, index: int) -> Locator:
        return self.page.locator(".jp-Notebook .jp-Cell").nth(index).locator(".jp-OutputArea")

    def outputs(self, index: int) -> list[dict[str, Any]]:
        """The outputs of a cell as the file will hold them."""
        outputs: list[dict[str, Any]] = self.page.evaluate("index => window.sekhaLab.outputs(index)", index)
        return outputs

    def suspects(self) -> list[str]:
        """Elements and attributes in the outputs that could run or load something."""
        found: list[str] = self.page.evaluate("() => window.sekhaLab.suspects()")
        return found

    def touch_everything(self) -> None:
        """Point at, focus and toggle every element of the outputs, as far as events can."""
        self.page.evaluate("() => window.sekhaLab.touch()")

    def fired(self) -> int:
        """How often `window.__fired` was counted up."""
        return int(self.page.evaluate("() => window.__fired || 0"))

    def save(self) -> None:
        self.page.evaluate("() => window.sekhaLab.save()")

    def use_theme(self, name: str) -> None:
        """`JupyterLab Light`, `JupyterLab Dark` or `JupyterLab Dark High Contrast`."""
        self.page.evaluate("name => window.sekhaLab.theme(name)", name)

    def screenshot(self, path: Path | str) -> None:
        self.page.locator(".jp-NotebookPanel:visible").screenshot(path=path)

    def remote_requests(self) -> list[str]:
        seen = [urlsplit(url) for url in self.requests]
        return [url.geturl() for url in seen if url.scheme not in ("data", "blob") and url.hostname not in LOOPBACK]

    def assert_nothing_left_the_machine(self) -> None:
        assert self.remote_requests() == []


@dataclass
class Lab:
    """A running JupyterLab. `root` is the folder it serves."""

    url: str
    token: str
    root: Path

    def open(self, page: Page, cells: Sequence[str] | Path) -> Notebook:
        """Open a notebook of these code cells, or a copy of this file, and wait until its kernel answers."""
        return self.open_again(page, self.file(cells))

    def file(self, cells: Sequence[str] | Path) -> str:
        """A new file in `root` of these code cells, or a copy of this one; its name."""
        name = f"{secrets.token_hex(4)}.ipynb"
        if isinstance(cells, Path):
            name = name if (self.root / cells.name).exists() else cells.name
            shutil.copy(cells, self.root / name)
        else:
            new = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
            new.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
            nbformat.write(new, self.root / name)
        return name

    def open_again(self, page: Page, name: str) -> Notebook:
        """Open the notebook `name` of the served folder in a workspace of its own."""
        notebook = Notebook(page)
        page.on("request", lambda request: notebook.requests.append(request.url))
        page.on("dialog", lambda dialog: (notebook.dialogs.append(dialog.message), dialog.dismiss()))
        page.add_init_script(path=SCRIPT)
        page.goto(f"{self.url}/lab/workspaces/{secrets.token_hex(4)}?token={self.token}&reset")
        page.wait_for_function("() => window.jupyterapp !== undefined")
        page.evaluate("path => window.sekhaLab.open(path)", name)
        return notebook


def start(
    folder: Path,
    environment: Mapping[str, str],
    *,
    extension: bool = True,
    without: Sequence[str] = (),
    app: str = "jupyterlab",
) -> tuple[Lab, subprocess.Popen[bytes]]:
    """Start `app`, JupyterLab or Notebook 7, with everything it reads and writes below `folder`.

    It has our front end where `extension` says so, less the plugins `without`.
    """
    root, config, settings = (folder / name for name in ("notebooks", "config", "settings"))
    disabled = {"@jupyterlab/apputils-extension:announcements": True, "sekha-magics": not extension}
    disabled |= {f"sekha-magics:{plugin}": True for plugin in without}
    _write_json(config / "labconfig" / "page_config.json", {"disabledExtensions": disabled})
    if extension:
        shutil.copytree(BUILT, folder / "data" / "labextensions" / "sekha-magics")
    _write_json(settings / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings", TRACKER_SETTINGS)
    root.mkdir(parents=True)
    lab = Lab(f"http://127.0.0.1:{_free_port()}", secrets.token_hex(16), root)
    own = {
        "HOME": folder / "home",
        "USERPROFILE": folder / "home",
        "SEKHA_HOME": folder / "sekha",
        "IPYTHONDIR": folder / "ipython",
        "JUPYTER_CONFIG_DIR": config,
        "JUPYTER_DATA_DIR": folder / "data",
        # An installed front end, of whatever version, comes after this one.
        "JUPYTER_PREFER_ENV_PATH": "0",
        "JUPYTER_RUNTIME_DIR": folder / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": settings,
        "JUPYTERLAB_WORKSPACES_DIR": folder / "workspaces",
    }
    (folder / "home").mkdir()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("SEKHA_", "JUPYTER")) and k != "CI"}
    command = [
        *(sys.executable, "-m", app, "--no-browser", "--allow-root", "--expose-app-in-browser"),
        f"--ServerApp.port={urlsplit(lab.url).port}",
        *("--ServerApp.ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={root}"),
        *(f"--IdentityProvider.token={lab.token}", "--LabApp.extension_manager=readonly"),
    ]
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**inherited, **{k: str(v) for k, v in own.items()}, **environment},
        )
    try:
        _wait_until_it_answers(lab, process)
    except BaseException as failure:
        stop(lab, process)
        failure.add_note((folder / "lab.log").read_text(errors="replace")[-4000:])
        raise
    return lab, process


def stop(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    """End the server and, through it, its kernels."""
    try:
        urllib.request.urlopen(
            urllib.request.Request(f"{lab.url}/api/shutdown?token={lab.token}", method="POST"), timeout=10
        ).close()
    except OSError:
        process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_until_it_answers(lab: Lab, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTUP_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"JupyterLab did not answer at {lab.url}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(value), encoding="utf-8")
