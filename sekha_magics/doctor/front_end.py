"""Is the JupyterLab extension built, installed, enabled, and of this version? Read from files; no server is started."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .patient import Patient
from .report import Finding

__all__ = ["extension"]

_NAME = "sekha-magics"
_CHECK = "JupyterLab extension"
_AGAIN = f"Install the package again: `pip install --force-reinstall --no-deps {_NAME}`, or the checkout."
_BUILD = "Install Node.js 20.19 or newer with npm, and then the checkout again: `pip install -e .`"


def extension(patient: Patient) -> Iterator[Finding]:
    if find_spec("jupyter_core") is None or find_spec("jupyterlab") is None:
        yield Finding(
            _CHECK,
            "ok",
            "JupyterLab is not in this environment; the magics do without",
            f"Where JupyterLab runs: `pip install '{_NAME}[lab]'`.",
        )
        return
    from jupyter_core.paths import jupyter_path

    places = [Path(folder) / _NAME for folder in jupyter_path("labextensions")]
    folder = next((place for place in places if place.exists()), None)
    if folder is None:
        yield _not_installed()
        return
    yield from _installed(folder)
    yield from _disabled()


def _not_installed() -> Finding:
    if (_built() / "package.json").is_file():
        return Finding(_CHECK, "warning", f"built in {_built()}, and not installed", _AGAIN)
    told = "not installed, and not built: a checkout that is installed without Node.js is installed without it"
    return Finding(_CHECK, "warning", told, _BUILD)


def _built() -> Path:
    return Path(__file__).parents[1] / "labextension"


def _installed(folder: Path) -> Iterator[Finding]:
    from .. import __version__

    try:
        described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        version = described["version"]
        built: Any = described["jupyterlab"]["_build"]["load"]
        is_there = (folder / built).is_file()
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield Finding(_CHECK, "problem", f"{folder} holds no extension ({type(error).__name__}: {error})", _AGAIN)
        return
    if not is_there:
        yield Finding(_CHECK, "problem", f"{folder / built} is missing", _AGAIN)
    elif not _same(str(version), __version__):
        yield Finding(
            _CHECK, "problem", f"{version} is installed in {folder}, and the package is {__version__}", _AGAIN
        )
    elif (newer := _load_of(_built())) is not None and newer != built:
        yield Finding(_CHECK, "warning", f"{version}, in {folder}, is another build than {_built()}", _AGAIN)
    else:
        yield Finding(_CHECK, "ok", f"{version}, in {folder}")


def _load_of(folder: Path) -> str | None:
    """The name of the file that is loaded, which tells one build from the next; None where there is no extension."""
    try:
        described = json.loads((folder / "package.json").read_text(encoding="utf-8"))
        return str(described["jupyterlab"]["_build"]["load"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _same(front: str, back: str) -> bool:
    from packaging.version import InvalidVersion, Version

    try:
        # npm writes 1.0.0-rc.1 where Python writes 1.0.0rc1.
        return Version(front) == Version(back)
    except InvalidVersion:
        return False


def _disabled() -> Iterator[Finding]:
    from jupyter_core.paths import jupyter_config_path, jupyter_path

    files = [Path(folder) / "labconfig" / "page_config.json" for folder in jupyter_config_path()]
    # What is asked first wins, as in JupyterLab; the folder of the application is asked last.
    files += [Path(folder) / "lab" / "settings" / "page_config.json" for folder in jupyter_path()]
    decided: dict[str, tuple[bool, Path]] = {}
    for file in files:
        if not file.is_file() or not file.stat().st_size:
            continue
        try:
            stated = json.loads(file.read_text(encoding="utf-8")).get("disabledExtensions", {})
        except (OSError, ValueError, AttributeError) as error:
            yield Finding(_CHECK, "warning", f"{file} cannot be read: {type(error).__name__}", "Mend or remove it.")
            continue
        named = stated.items() if isinstance(stated, dict) else ((name, True) for name in _texts(stated))
        for name, off in named:
            decided.setdefault(str(name), (bool(off), file))
    for name, (off, file) in sorted(decided.items()):
        if off and (name == _NAME or name.startswith(f"{_NAME}:")):
            yield Finding(_CHECK, "warning", f"{name} is disabled in {file}", f"`jupyter labextension enable {name}`")


def _texts(stated: object) -> list[str]:
    return [name for name in stated if isinstance(name, str)] if isinstance(stated, list) else []
