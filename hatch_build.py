"""Builds the front end for JupyterLab, and puts it where Jupyter looks, whenever the package is installed or packed.

Where it cannot be built, the package is made without it and works as it did: this only warns, since nobody should need
Node to use magics. SEKHA_REQUIRE_LABEXTENSION=1 makes it an error, for releases. Nothing is built twice: a stamp holds
the hash of what went in, and is packed with the sources, so that installing from them needs no Node.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

OLDEST_NODE = (20, 19)
SHARED = "share/jupyter/labextensions/sekha-magics"
# Relative to the root, folders whole: what the built files are made of.
INPUTS = (
    *("labextension/package.json", "labextension/package-lock.json", "labextension/tsconfig.json"),
    *("labextension/src", "labextension/style", "labextension/schema"),
    *("sekha_magics/widgets/*.js", "sekha_magics/widgets/*.css", "sekha_magics/display/tex_commands.txt"),
)


class CannotBuild(Exception):
    """The message says what is missing."""


class FrontEnd(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        built = root / "sekha_magics" / "labextension"
        try:
            build(root, built)
        except CannotBuild as why:
            if os.environ.get("SEKHA_REQUIRE_LABEXTENSION") == "1":
                raise
            self.app.display_warning(f"sekha-magics is installed without its front end for JupyterLab: {why}")
            shutil.rmtree(built, ignore_errors=True)
            return
        if self.target_name == "wheel":
            build_data["shared_data"][str(built)] = SHARED
            build_data["shared_data"][str(root / "labextension" / "install.json")] = f"{SHARED}/install.json"


def build(root: Path, built: Path) -> None:
    """Make `built` anew where it is not made of what stands in `root` now."""
    sources = root / "labextension"
    stamp, wanted = sources / "build.stamp", _hash(root, INPUTS)
    if (built / "package.json").exists() and stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    npm = _npm()
    stamp.unlink(missing_ok=True)
    installed, locked = sources / "node_modules" / ".sekha", _hash(root, ("labextension/package-lock.json",))
    if not installed.exists() or installed.read_text(encoding="utf-8") != locked:
        _run([npm, "ci", "--ignore-scripts"], sources)
        installed.write_text(locked, encoding="utf-8")
    for left in (built, sources / "lib"):
        shutil.rmtree(left, ignore_errors=True)
    _run([npm, "run", "build"], sources)
    stamp.write_text(wanted, encoding="utf-8")


def _npm() -> str:
    node, npm = shutil.which("node"), shutil.which("npm")
    needed = "Node.js {}.{} or newer with npm".format(*OLDEST_NODE)
    if node is None or npm is None:
        raise CannotBuild(f"{needed} was not found. Install it, and install this package again.")
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    version = tuple(map(int, re.findall(r"\d+", said)[:2]))
    if version < OLDEST_NODE:
        raise CannotBuild(f"{needed} is needed, and {node} is {said.strip()}.")
    return npm


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if done.returncode:
        raise CannotBuild(f"`npm {' '.join(command[1:])}` failed in {folder}:\n{done.stdout[-2000:]}")


def _hash(root: Path, names: tuple[str, ...]) -> str:
    digest = hashlib.sha256()
    for path in sorted(_files(root, names)):
        name, content = path.relative_to(root).as_posix().encode(), path.read_bytes()
        # Line ends differ between checkouts, and mean nothing here.
        digest.update(b"%d %s %s" % (len(name), name, hashlib.sha256(content.replace(b"\r\n", b"\n")).digest()))
    return digest.hexdigest()


def _files(root: Path, names: tuple[str, ...]) -> Iterator[Path]:
    for path in (path for name in names for path in root.glob(name)):
        if path.is_dir():
            yield from (file for file in path.rglob("*") if file.is_file())
        else:
            yield path
