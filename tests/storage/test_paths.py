"""Where files go, and who may read them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sekha_magics.storage.paths import config_dir, data_dir, data_path, private_directory, private_file

posix = pytest.mark.skipif(os.name == "nt", reason="modes of POSIX")


def test_the_variable_names_the_data_directory(own_directories: Path) -> None:
    assert data_path() == own_directories and not own_directories.exists()
    assert data_dir() == own_directories and own_directories.is_dir()


def test_a_tilde_in_the_variable_is_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEKHA_HOME", "~/kept")
    assert data_dir() == Path.home() / "kept"


def test_without_the_variable_the_platform_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("SEKHA_HOME")
    assert data_dir().name == "sekha" and tmp_path in data_dir().parents


def test_the_configuration_directory_is_another_one(tmp_path: Path) -> None:
    assert config_dir().is_dir() and config_dir() != data_dir() and tmp_path in config_dir().parents


@posix
def test_what_is_made_is_private_and_what_is_there_keeps_its_mode(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    old = os.umask(0)
    try:
        made = private_directory(tmp_path / "a" / "b")
        private_directory(tmp_path / "shared")
        private_file(made / "file")
    finally:
        os.umask(old)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (made, tmp_path / "shared", made / "file")]
    assert modes == [0o700, 0o755, 0o600]


def test_making_a_private_file_empties_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    private_file(tmp_path / "file")
    assert (tmp_path / "file").read_text() == "kept"
