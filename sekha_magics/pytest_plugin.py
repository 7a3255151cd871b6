"""For tests of your own code and notebooks: answers come from cassettes, so no test needs a key or spends money.

pytest finds this by an entry point. Until the fixture or the option is used it imports nothing of the package, reads
nothing and changes nothing. While a test replays, no provider is made and no socket opened: a request that was not
recorded is a `CassetteMiss`.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

__all__ = ["sekha_cassette"]

_FOLDER = "cassettes"
_LONGEST_NAME = 80
_homes = pytest.StashKey["tempfile.TemporaryDirectory[str]"]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("sekha", "language models from cassettes (sekha_magics)")
    group.addoption(
        "--sekha-record",
        action="store_true",
        help="tests with the fixture sekha_cassette ask for real, which may cost money, and record the answers anew",
    )
    group.addoption(
        "--sekha-replay",
        action="store_true",
        help="with --nbval: each notebook NAME.ipynb replays cassettes/NAME.jsonl, which stands beside it",
    )


@pytest.fixture
def sekha_cassette(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Every answer in the test comes from its cassette, `cassettes/<module>/<test>.jsonl` beside the test's file.

    Gives the cassette's path. With `--sekha-record` the answers are asked for and the cassette is begun anew. The
    registry of the magics is made afresh from the cassette, and so is any other that the test makes; afterwards the
    one that stood before stands again. What replays logs is kept out of your ledger.
    """
    from . import registry
    from .process import cassettes

    path = _cassette_of(request.node)
    before = registry.current_registry()
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("SEKHA_CASSETTE", str(path))
        if request.config.getoption("--sekha-record"):
            # Real requests cost real money: they belong into the real ledger and count towards the real budgets.
            environ.setenv("SEKHA_MODE", "record")
        else:
            environ.setenv("SEKHA_MODE", "replay")
            environ.setenv("SEKHA_HOME", str(tmp_path_factory.mktemp("sekha")))
        cassettes.forget()
        registry.set_registry(None)
        try:
            yield path
        finally:
            made = registry.current_registry()
            registry.set_registry(before)
            cassettes.forget()
            if made is not None and made is not before:
                made.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, Any, None]:
    """Beside a miss stands the command that records the answer."""
    report = (yield).get_result()
    if call.excinfo is not None and "sekha_cassette" in getattr(item, "fixturenames", ()):
        from .errors import CassetteMiss

        if call.excinfo.errisinstance(CassetteMiss):
            report.sections.append(("sekha", f'To record its answers anew: pytest --sekha-record "{item.nodeid}"'))


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, None]:
    """Kernels take their environment from ours: while a cell of a notebook runs, it names that notebook's cassette."""
    path = getattr(item, "path", None)
    if path is None or path.suffix != ".ipynb" or not item.config.getoption("--sekha-replay"):
        yield
        return
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("SEKHA_CASSETTE", str(path.parent / _FOLDER / f"{path.stem}.jsonl"))
        environ.setenv("SEKHA_MODE", "replay")
        environ.setenv("SEKHA_HOME", _home(item.config))
        yield


def pytest_unconfigure(config: pytest.Config) -> None:
    if (home := config.stash.get(_homes, None)) is not None:
        home.cleanup()


def _home(config: pytest.Config) -> str:
    """One data directory for all notebooks of the run, away from the user's."""
    if (home := config.stash.get(_homes, None)) is None:
        # A kernel that is still closing its ledger must not fail the run.
        home = config.stash[_homes] = tempfile.TemporaryDirectory(prefix="sekha-", ignore_cleanup_errors=True)
    return home.name


def _cassette_of(item: pytest.Item) -> Path:
    group = getattr(item, "cls", None)
    name = f"{group.__name__}.{item.name}" if group is not None else item.name
    return item.path.parent / _FOLDER / item.path.stem / f"{_file_name(name)}.jsonl"


def _file_name(name: str) -> str:
    """`name` as a file may be called everywhere; where something is lost, a hash keeps names apart."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-")
    if plain == name and len(name) <= _LONGEST_NAME:
        return name
    return f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
