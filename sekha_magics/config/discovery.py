"""Which file is the configuration: the one the user named, or the nearest one that is meant for us.

Looked for in this order: the path given; `$SEKHA_CONFIG`; `config.yaml` and then `pyproject.toml` in the working folder
and, inside a repository, in its parents up to the repository's root (outside one, the parents belong to nobody in
particular and are not looked at); `config.yaml` in the user's configuration directory. Many programs have a
`config.yaml`: one that does not look like ours is passed over, whatever is in it.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import ConfigError
from .problems import KeyPath
from .yaml_text import LARGEST_FILE, decode, exact_number, read_yaml

__all__ = ["Document", "find", "read_named", "users_path"]

_OURS = re.compile(rb"""^[ \t{]*["']?llm_providers["']?[ \t]*:""", re.MULTILINE)
_TABLE = re.compile(rb"""^[ \t]*\[{1,2}[ \t]*tool[ \t]*\.[ \t]*["']?sekha["']?[ \t]*[\].]""", re.MULTILINE)


class Document(NamedTuple):
    """A configuration file as it stands. `found` says that no user named it, so that it must be trusted."""

    path: Path
    content: bytes
    value: Any
    lines: dict[KeyPath, int]
    source: str
    found: bool


class Discovery(NamedTuple):
    document: Document | None
    notes: tuple[str, ...]


def users_path(path: str | os.PathLike[str], cwd: Path) -> Path:
    """A path as its user means it: `~` is home, what is relative starts from the working folder."""
    try:
        return cwd / Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(f"{path} names a user who is not known here.") from None


def read_named(path: Path, source: str) -> Document:
    """A file the user named. Raises ConfigError when it cannot be read as a configuration."""
    content = _content(path)
    if path.suffix == ".toml":
        return Document(path, content, _table(content, path), {}, source, found=False)
    value, lines = read_yaml(decode(content, str(path)), str(path))
    return Document(path, content, value, lines, source, found=False)


def find(environ: Mapping[str, str], cwd: Path) -> Discovery:
    """The configuration to use when none was given, or None."""
    if named := environ.get("SEKHA_CONFIG", "").strip():
        path = users_path(named, cwd)
        return Discovery(read_named(path, f"{path}, named by $SEKHA_CONFIG"), ())
    notes: list[str] = []
    for folder in _folders(cwd):
        whose = "the working folder" if folder == cwd.resolve() else f"the folder {folder}"
        for read in (_config_yaml, _pyproject):
            try:
                document = read(folder, whose)
            except PermissionError as error:
                notes.append(f"{error.filename} may not be read, and was passed over.")
                continue
            if document:
                return Discovery(document, tuple(notes))
    from ..storage.paths import config_dir

    path = config_dir() / "config.yaml"
    if path.is_file():
        return Discovery(read_named(path, f"{path}, your own configuration"), tuple(notes))
    return Discovery(None, tuple(notes))


def _folders(cwd: Path) -> Iterator[Path]:
    start = cwd.resolve()
    upward = [start, *start.parents]
    root = next((i for i, folder in enumerate(upward) if _is_repository(folder)), 0)
    yield from upward[: root + 1]


def _is_repository(folder: Path) -> bool:
    try:
        return (folder / ".git").exists()
    except PermissionError:
        return False


def _config_yaml(folder: Path, whose: str) -> Document | None:
    path = folder / "config.yaml"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if b"providers" not in content:
        return None
    try:
        value, lines = read_yaml(decode(content, str(path)), str(path))
    except ConfigError:
        if _OURS.search(content):
            raise
        return None
    if not isinstance(value, dict) or not ("llm_providers" in value or _old_providers(value.get("providers"))):
        return None
    return Document(path, content, value, lines, f"{path}, found in {whose}", found=True)


def _old_providers(value: Any) -> bool:
    """`providers` is a common word: ours is a list of mappings that say their type."""
    return isinstance(value, list) and any(isinstance(p, dict) and p.keys() & {"type", "provider_type"} for p in value)


def _pyproject(folder: Path, whose: str) -> Document | None:
    path = folder / "pyproject.toml"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        content = file.read(LARGEST_FILE + 1)
    if not _TABLE.search(content):
        return None
    source = f"[tool.sekha] of {path}, found in {whose}"
    return Document(path, content, _table(content, path), {}, source, found=True)


def _table(content: bytes, path: Path) -> Any:
    text = decode(content, str(path))
    try:
        whole = tomllib.loads(text, parse_float=exact_number)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f", line {line[1]}" if line else ""
        raise ConfigError(f"{path}{where}: this is not TOML.") from None
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: it is nested too deeply, or has a number beyond any use.") from None
    tool = whole.get("tool")
    if not isinstance(tool, dict) or "sekha" not in tool:
        raise ConfigError(f"{path} has no table [tool.sekha].")
    return tool["sekha"]


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist.") from None
    except ValueError:
        raise ConfigError("A path with a null character names no file.") from None
    except OSError as error:
        reason = (
            "it is a folder" if path.is_dir() else os.strerror(error.errno) if error.errno else "it cannot be opened"
        )
        raise ConfigError(f"{path} cannot be read: {reason}.") from None
