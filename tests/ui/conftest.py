"""Fixtures of the browser tests: see `notebook.py` for how they are used.

Without a Chromium on the path these tests are skipped, or fail where SEKHA_REQUIRE_BROWSER=1. So are those of our
front end where it is not built, for want of Node.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import expect

from .notebook import BUILT, Lab, start, stop

# Read before any test clears the package's variables.
REQUIRED = os.environ.get("SEKHA_REQUIRE_BROWSER") == "1"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# What is waited for comes, and on a busy machine late.
expect.set_options(timeout=30_000)
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
def lab_extension() -> bool:
    """Whether the pages of the module's JupyterLab have our front end."""
    return (BUILT / "package.json").exists()


@pytest.fixture(scope="module")
def built_extension() -> None:
    """For tests of the front end itself."""
    if not (BUILT / "package.json").exists():
        reason = "the front end is not built: install Node.js 20.19 or newer, then `pip install -e .`"
        (pytest.fail if REQUIRED else pytest.skip)(reason)


@pytest.fixture(scope="module")
def lab(
    browser_type_launch_args: dict[str, Any],
    lab_environment: dict[str, str],
    lab_extension: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    server, process = start(tmp_path_factory.mktemp("lab"), lab_environment, extension=lab_extension)
    yield server
    stop(server, process)
