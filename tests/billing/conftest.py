"""A folder of its own, and the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from sekha_magics.cli import main


class Said(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / "work"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def cost(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`sekha cost` with these words."""

    def run(*words: object) -> Said:
        code = main(["cost", *map(str, words)])
        return Said(code, *capsys.readouterr())

    return run
