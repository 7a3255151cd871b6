"""What holds for the repository as a whole: its layers, its documents, and what it must not say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import sekha_magics as sekha

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
LOAD_EXT = Path(__file__).with_name("load_ext.py")


def listed(*patterns: str) -> list[Path]:
    """Files under version control, or about to be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [path for name in sorted(set(names)) if (path := ROOT / name).is_file()]


def texts(*patterns: str) -> list[tuple[Path, str]]:
    read = ((path, path.read_bytes()) for path in listed(*patterns))
    return [(path, content.decode("utf-8", "replace")) for path, content in read if b"\x00" not in content]


def offences(pattern: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_no_file_names_a_package_registrys_host() -> None:
    # Written so that this line does not find itself.
    hosts = r"(py[p]i\.org|py[t]honhosted\.org|n[p]mjs\.(org|com)|deb[i]an\.org|ya[r]npkg\.com)"
    assert offences(hosts) == []


def test_no_file_names_a_path_of_somebodys_machine() -> None:
    homes = r"(^|[\s\"'`(=:])/(r[o]ot|Us[e]rs/\w+|h[o]me/\w+|w[o]rk)/"
    assert offences(rf"{homes}|{re.escape(str(ROOT))}|{re.escape(str(Path(sys.prefix)))}/") == []


def anchors(text: str) -> set[str]:
    """The anchors of a Markdown file's headings, as code hosts make them."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), flags=re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", listed("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_of_a_document_leads_somewhere(document: Path) -> None:
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", document.read_text("utf-8"), flags=re.M | re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text):
        target = next(filter(None, link))
        if re.match(r"https?:|mailto:", target):
            continue
        name, _, anchor = target.partition("#")
        to = (document.parent / name).resolve() if name else document
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to.read_text("utf-8")), target


def test_the_readme_leads_to_every_document() -> None:
    seen: set[Path] = set()
    pages = [ROOT / "README.md"]
    while pages:
        page = pages.pop()
        seen.add(page)
        links = re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", page.read_text("utf-8"))
        pages += {to for link in links if (to := (page.parent / link).resolve()).exists()} - seen
    assert {p for p in listed("*.md") if p.suffix == ".md"} - seen == set()


def test_loading_the_extension_imports_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, str(LOAD_EXT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


def test_importing_the_package_imports_nothing_but_the_standard_library() -> None:
    script = (
        "import sys, sekha_magics; print(*sorted({m.split('.')[0] for m in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    ours = {name for name in done.stdout.split() if not name.startswith(("_", "$", "coverage", "sitecustomize"))}
    assert ours == {"sekha_magics"}


def test_no_room_imports_one_above_it() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(tool), "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sekha.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(sekha, name) is not None


def test_every_module_says_what_it_promises() -> None:
    modules = [(p.name, p.read_text("utf-8")) for p in listed("sekha_magics/*.py")]
    silent = [name for name, text in modules if text.strip() and not ast.get_docstring(ast.parse(text))]
    assert silent == []


def test_the_changelog_speaks_of_this_version() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), flags=re.M)
    assert sekha.__version__ in headings or headings[0] == "Unreleased"


def requirements() -> list[str]:
    extras = PROJECT["optional-dependencies"].values()
    return [r for r in (*PROJECT["dependencies"], *(r for extra in extras for r in extra)) if "sekha" not in r]


@pytest.mark.parametrize("requirement", sorted(set(requirements())))
def test_every_dependency_has_its_reason_written_down(requirement: str) -> None:
    name = re.split(r"[<>=\[; ]", requirement)[0]
    assert f"`{name}`" in (ROOT / "docs" / "dependencies.md").read_text("utf-8")


def test_the_reference_is_as_the_code_says() -> None:
    script, page = ROOT / "tools" / "reference.py", ROOT / "docs" / "reference.md"
    done = subprocess.run(
        [sys.executable, str(script), "--check", str(page)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{done.stderr}\nRun `make docs`."


def test_every_variable_the_package_reads_is_in_the_reference() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text("utf-8")
    named = {name for _, text in texts("sekha_magics/*.py") for name in re.findall(r"\bSEKHA_[A-Z][A-Z_]*\b", text)}
    assert {name for name in named if name not in reference and not name.startswith("SEKHA__")} == set()


def test_the_check_of_a_submission_can_be_run() -> None:
    (script,) = listed(".ci/run")
    text = script.read_text("utf-8")
    assert text.startswith("#!/usr/bin/env bash")
    assert "make test" in text
    for name in ("demo", "lab", "test", "lint", "docs", "bench"):
        assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text("utf-8"), flags=re.M), name
