"""Fixtures of the browser tests: see `notebook.py` for how they are used.

Without a Chromium on the path these tests are skipped, or fail where SEKHA_REQUIRE_BROWSER=1.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from .notebook import Lab, start, stop

# Read before any test clears the package's variables.
REQUIRED = os.environ.get("SEKHA_REQUIRE_BROWSER") == "1"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    if CHROMIUM is None:
        reason = "no Chromium on the path: install `chromium` to run the browser tests"
        (pytest.fail if REQUIRED else pytest.skip)(reason)
    return {**browser_type_launch_args, "executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1280, "height": 1000}}


@pytest.fixture(scope="module")
def lab_environment() -> dict[str, str]:
    """Variables of the module's JupyterLab and its kernels."""
    return {}


@pytest.fixture(scope="module")
def lab(
    browser_type_launch_args: dict[str, Any],
    lab_environment: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    server, process = start(tmp_path_factory.mktemp("lab"), lab_environment)
    yield server
    stop(server, process)
