"""Where this user's files are. Directories this package makes are readable by their owner alone."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["config_dir", "data_dir", "data_path", "private_directory", "private_file"]

APPLICATION = "sekha"


def data_path() -> Path:
    """`$SEKHA_HOME`, or the user data directory of this platform, whether it is there or not."""
    if home := os.environ.get("SEKHA_HOME"):
        return Path(home).expanduser()
    import platformdirs

    return platformdirs.user_data_path(APPLICATION, appauthor=False)


def data_dir() -> Path:
    """`data_path()`, made when it is missing. Raises `OSError` where it cannot be."""
    return private_directory(data_path())


def config_dir() -> Path:
    """The user configuration directory of this platform; made when it is missing, or `OSError`."""
    import platformdirs

    return private_directory(platformdirs.user_config_path(APPLICATION, appauthor=False))


def private_directory(path: Path) -> Path:
    """Make `path` with mode 0700 unless it is there; what is there keeps its mode, for it may be somebody's home."""
    if not path.is_dir():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def private_file(path: Path) -> None:
    """Make an empty `path` with mode 0600 unless it is there: no moment passes in which others could open it."""
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
