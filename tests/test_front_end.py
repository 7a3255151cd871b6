"""What the front end's packaging promises, as far as it shows without building."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import sekha_magics

ROOT = Path(__file__).resolve().parents[1]
FRONT = ROOT / "labextension"
BUILT = ROOT / "sekha_magics" / "labextension"
PACKAGE = json.loads((FRONT / "package.json").read_text(encoding="utf-8"))


def test_the_lock_names_no_host() -> None:
    assert "://" not in (FRONT / "package-lock.json").read_text(encoding="utf-8")


def test_one_release_of_jupyterlab_is_locked_and_every_release_of_4_is_allowed() -> None:
    locked = json.loads((FRONT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    host = [
        name for name in locked if re.fullmatch(r"node_modules/@jupyterlab/(application|notebook|rendermime)", name)
    ]
    assert len({locked[name]["version"] for name in host}) == 1
    asked = PACKAGE["dependencies"]
    assert all(version.startswith("^") for name, version in asked.items()), asked
    assert asked["@jupyterlab/application"] == "^4.0.0"


def test_front_end_and_package_have_one_version() -> None:
    assert PACKAGE["version"] == sekha_magics.__version__


def test_every_plugin_has_settings_that_switch_it() -> None:
    plugins = {match[1] for path in FRONT.glob("src/*/plugin.ts") for match in re.finditer(
        r'"sekha-magics:(\w+)"', path.read_text(encoding="utf-8"))}  # fmt: skip
    schemas = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FRONT.glob("schema/*.json")}
    assert plugins >= set(schemas) == {"spend", "render", "highlight"}
    for schema in schemas.values():
        assert [one["type"] for one in schema["properties"].values()] == ["boolean"]


def test_what_is_built_holds_nothing_of_the_host_and_is_small() -> None:
    if not BUILT.exists():
        pytest.skip("the front end is not built")
    assert {path.name for path in BUILT.glob("schemas/sekha-magics/*.json")} == {
        *("spend.json", "render.json", "highlight.json")
    }
    scripts = list(BUILT.glob("static/*.js"))
    assert sum(path.stat().st_size for path in scripts) < 200_000
    addresses = {a for path in scripts for a in re.findall(r"https?://[^/\"'` )]+", path.read_text(encoding="utf-8"))}
    assert addresses <= {"http://www.w3.org"}, "the namespace of SVG, and no address of anything to load"
