"""The pytest plugin, as a user's test run meets it: in a process of its own, with a model that counts its requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Pytest = Callable[..., "subprocess.CompletedProcess[str]"]

CAPITAL = """
import sekha_magics as sekha

def ask(prompt):
    return sekha.get_registry().chat(prompt).text

def test_capital(sekha_cassette):
    assert ask("Capital of France?") == "Paris."
    assert sekha_cassette.name == "test_capital.jsonl"
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's project: a configuration with a scripted model, and a folder of tests."""
    root = tmp_path / "project"
    (root / "tests").mkdir(parents=True)
    configure(root, "Paris.")
    (root / "tests" / "test_mine.py").write_text(CAPITAL)
    return root


def configure(root: Path, *replies: str) -> None:
    stage = {"id": "stage", "type": "scripted", "options": {"replies": list(replies)},
             "models": [{"model_id": "fast", "task": "chat_small", "context_window": 4096}]}  # fmt: skip
    (root / "config.yaml").write_text(json.dumps({"llm_providers": [stage]}))


@pytest.fixture
def run(project: Path) -> Pytest:
    def pytest_run(*words: str) -> subprocess.CompletedProcess[str]:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        plugins = ["-p", "sekha_magics.pytest_plugin", "-p", "no:cacheprovider", "-p", "no:cov"]
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *words], cwd=project, env=environ, capture_output=True,
            text=True, timeout=300, check=False,
        )  # fmt: skip

    return pytest_run


def test_an_answer_is_recorded_once_and_then_replayed_without_configuration(project: Path, run: Pytest) -> None:
    recorded = run("--sekha-record")
    assert recorded.returncode == 0, recorded.stdout
    cassette = project / "tests" / "cassettes" / "test_mine" / "test_capital.jsonl"
    before = cassette.read_bytes()
    (project / "config.yaml").unlink()
    for _ in range(2):
        replayed = run()
        assert replayed.returncode == 0, replayed.stdout
    assert cassette.read_bytes() == before


def test_recording_again_begins_the_cassette_anew(project: Path, run: Pytest) -> None:
    run("--sekha-record")
    cassette = project / "tests" / "cassettes" / "test_mine" / "test_capital.jsonl"
    before = cassette.read_bytes()
    run("--sekha-record")
    assert cassette.read_bytes() == before


def test_without_a_cassette_the_test_fails_and_says_how_to_record_it(run: Pytest) -> None:
    done = run()
    assert done.returncode == 1
    assert "CassetteMiss" in done.stdout and "test_capital.jsonl does not exist" in done.stdout
    assert 'pytest --sekha-record "tests/test_mine.py::test_capital"' in done.stdout


def test_another_prompt_is_a_miss_that_names_the_difference_and_asks_nobody(project: Path, run: Pytest) -> None:
    run("--sekha-record")
    test = project / "tests" / "test_mine.py"
    test.write_text(
        CAPITAL.replace("of France", "of Spain")
        + "\n\nimport pytest, socket\n\n@pytest.fixture(autouse=True)\ndef no_socket(monkeypatch):\n"
        "    def refuse(*a): raise AssertionError('a socket was connected')\n"
        "    monkeypatch.setattr(socket.socket, 'connect', refuse)\n"
    )
    done = run()
    assert done.returncode == 1 and "a socket was connected" not in done.stdout
    assert "holds no recording" in done.stdout and "France" in done.stdout and "--sekha-record" in done.stdout


def test_two_tests_in_one_run_each_play_their_own_from_the_beginning(project: Path, run: Pytest) -> None:
    configure(project, "one", "two")
    (project / "tests" / "test_mine.py").write_text(
        "import pytest, sekha_magics as sekha\n\n"
        "@pytest.mark.parametrize('name', ['a/b', 'a-b', 'x' * 200])\n"
        "def test_many(sekha_cassette, name):\n"
        "    with sekha.Registry.discover() as mine:\n"
        "        assert [mine.chat('same').text, sekha.get_registry().chat('same').text] == ['one', 'one']\n\n"
        "class TestGroup:\n"
        "    def test_many(self, sekha_cassette):\n"
        "        assert [sekha.get_registry().chat('same').text for _ in 'ab'] == ['one', 'two']\n"
    )
    assert run("--sekha-record").returncode == 0
    assert len(list((project / "tests" / "cassettes" / "test_mine").iterdir())) == 4
    done = run()
    assert done.returncode == 0, done.stdout


def test_afterwards_all_is_as_it_was(project: Path, run: Pytest) -> None:
    (project / "tests" / "test_mine.py").write_text(
        "import os, sekha_magics as sekha\n"
        "from sekha_magics.registry import current_registry\n\n"
        "mine = sekha.Registry.discover()\nsekha.set_registry(mine)\nbefore = dict(os.environ)\n\n"
        "def test_within(sekha_cassette):\n"
        "    assert sekha.get_registry() is not mine and sekha.get_registry().chat('x').text == 'Paris.'\n\n"
        "def test_after():\n"
        "    changed = {k for k in {*before, *os.environ} if before.get(k) != os.environ.get(k)}\n"
        "    assert current_registry() is mine and changed <= {'PYTEST_CURRENT_TEST'}\n"
        "    mine.close()\n"
    )
    for words in (["--sekha-record"], []):
        done = run(*words)
        assert done.returncode == 0, done.stdout


def test_a_replay_leaves_the_users_ledger_alone(run: Pytest, own_directories: Path) -> None:
    run("--sekha-record")
    written = {path: path.stat().st_mtime_ns for path in own_directories.iterdir()}
    assert written
    assert run().returncode == 0
    assert {path: path.stat().st_mtime_ns for path in own_directories.iterdir()} == written


def code(source: str, *outputs: object) -> dict[str, object]:
    return {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": source, "outputs": list(outputs)}


def printed(text: str) -> dict[str, object]:
    return {"output_type": "stream", "name": "stdout", "text": text}


@pytest.mark.kernel
def test_each_notebook_replays_the_cassette_beside_it(project: Path, run: Pytest) -> None:
    asking = "import sekha_magics as sekha\nprint(sekha.get_registry().chat('Capital of France?').text)"
    for name, answer in (("paris", "Paris.\n"), ("lyon", "Lyon!\n"), ("none", "Paris.\n")):
        cells = [code(asking, printed(answer))]
        (project / f"{name}.ipynb").write_text(
            json.dumps({"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells})
        )
    run("--sekha-record")
    recorded = (project / "tests" / "cassettes" / "test_mine" / "test_capital.jsonl").read_text()
    (project / "cassettes").mkdir()
    (project / "cassettes" / "paris.jsonl").write_text(recorded)
    (project / "cassettes" / "lyon.jsonl").write_text(recorded.replace("Paris.", "Lyon!"))
    (project / "config.yaml").unlink()
    nbval = ("--nbval", "--nbval-current-env", "--sekha-replay")
    done = run(*nbval, "paris.ipynb", "lyon.ipynb")
    assert done.returncode == 0, done.stdout
    done = run(*nbval, "none.ipynb")
    assert done.returncode == 1 and "none.jsonl does not exist" in done.stdout


def test_those_who_do_not_use_it_load_nothing_by_it(project: Path, run: Pytest) -> None:
    heavy = "{'duckdb', 'pandas', 'pydantic', 'litellm', 'httpx', 'IPython', 'numpy', 'anyio', 'yaml'}"
    (project / "tests" / "test_mine.py").write_text(
        f"import sys\n\ndef test_nothing():\n    assert {heavy} & set(sys.modules) == set()\n"
        "    ours = {m for m in sys.modules if m.startswith('sekha_magics.')}\n"
        "    assert ours <= {'sekha_magics.pytest_plugin', 'sekha_magics.accessor'}\n"
    )
    done = run("-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:playwright", "-p", "no:nbval")
    assert done.returncode == 0, done.stdout


def test_it_is_offered_to_pytest_by_an_entry_point() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]["pytest11"]
    # The plugin's name is its module, so that naming it by `-p` as well does not load it twice.
    assert points == {"sekha_magics.pytest_plugin": "sekha_magics.pytest_plugin"}
