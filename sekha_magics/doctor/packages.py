"""Do the versions fit? What is needed, and in which versions, is read from the package's own metadata."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from typing import TYPE_CHECKING

from .patient import Patient
from .report import Finding

if TYPE_CHECKING:
    from packaging.requirements import Requirement

__all__ = ["extras", "versions"]

_NAME = "sekha-magics"
_EXTRAS = {
    "local": "the embedded model",
    "lab": "JupyterLab and its extension",
    "vss": "the index of the memory (`memory.index: hnsw`)",
}


def versions(patient: Patient) -> Iterator[Finding]:
    """Python, this package, and everything it cannot do without."""
    from packaging.specifiers import SpecifierSet

    from .. import __version__

    python = platform.python_version()
    said = f"{python} on {platform.system()}"
    own = _own()
    if own is None:
        yield Finding("Python", "ok", said)
        yield Finding(
            _NAME,
            "warning",
            f"{__version__}, which is not installed as a package: what it needs is not known",
            "Install it: `pip install -e .` in the checkout.",
        )
        return
    wanted = own.metadata.json.get("requires_python", "")
    if SpecifierSet(str(wanted)).contains(python, prereleases=True):
        yield Finding("Python", "ok", said)
    else:
        yield Finding("Python", "problem", f"{said}; {wanted} is needed", "Make an environment with a newer Python.")
    yield from _itself(__version__, own.version)
    needed = _requirements(own, "")
    misfits = [finding for requirement in needed if (finding := _misfit(requirement)) is not None]
    if len(misfits) < len(needed):
        yield Finding("packages", "ok", f"{len(needed) - len(misfits)} of {len(needed)} fit")
    yield from misfits


def extras(patient: Patient) -> Iterator[Finding]:
    """Each extra: all, some or none of it, and what does not fit."""
    own = _own()
    if own is None:
        return
    for extra, purpose in _EXTRAS.items():
        needed = _requirements(own, extra)
        there = [requirement for requirement in needed if _installed(requirement.name) is not None]
        check, install = f"extra {extra}", f"pip install '{_NAME}[{extra}]'"
        if not [r for r in there if r.name not in _names(_requirements(own, ""))]:
            yield Finding(check, "ok", f"not installed; it is for {purpose}", f"To have it: `{install}`.")
            continue
        lacking = [requirement for requirement in needed if requirement not in there]
        misfits = [finding for requirement in there if (finding := _misfit(requirement)) is not None]
        if not misfits:
            told = ", ".join(f"{requirement.name} {_installed(requirement.name)}" for requirement in there)
            without = ", ".join(requirement.name for requirement in lacking)
            said = f"{told}; without {without}" if lacking else told
            yield Finding(check, "ok", said, f"To have all of it: `{install}`." if lacking else "")
        for misfit in misfits:
            yield Finding(check, "problem", f"{misfit.check} {misfit.found}", f"`{install}`")


def _own() -> Distribution | None:
    try:
        return distribution(_NAME)
    except PackageNotFoundError:
        return None


def _itself(running: str, installed: str) -> Iterator[Finding]:
    if running == installed:
        yield Finding(_NAME, "ok", running)
        return
    yield Finding(
        _NAME,
        "warning",
        f"{running} is running, and {installed} is what pip installed",
        "Install the checkout again, or restart the kernel after an update.",
    )


def _requirements(own: Distribution, extra: str) -> list[Requirement]:
    """What is needed always, or what `extra` adds, on this machine."""
    from packaging.requirements import Requirement

    stated = [Requirement(text) for text in own.requires or ()]
    always = [r for r in stated if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    return [r for r in stated if r not in always and r.marker is not None and r.marker.evaluate({"extra": extra})]


def _names(requirements: list[Requirement]) -> set[str]:
    return {requirement.name for requirement in requirements}


def _misfit(requirement: Requirement) -> Finding | None:
    """What is wrong with the version that is installed, if anything is."""
    from packaging.version import InvalidVersion, Version

    needed = f"{requirement.name}{requirement.specifier}"
    mend = f"`pip install '{needed}'`"
    there = _installed(requirement.name)
    if there is None:
        return Finding(requirement.name, "problem", f"is not installed; {needed} is needed", mend)
    try:
        fits = requirement.specifier.contains(Version(there), prereleases=True)
    except InvalidVersion:
        fits = False
    return None if fits else Finding(requirement.name, "problem", f"{there} is installed; {needed} is needed", mend)


def _installed(name: str) -> str | None:
    try:
        # The files of an uninstallation that was cut short may say no version.
        return version(name) or None
    except (PackageNotFoundError, KeyError):
        return None
