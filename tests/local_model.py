"""Where the tests' copy of the embedded model is: `SEKHA_TEST_MODEL`, else fetched once into `.cache/` and kept."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest

from sekha_magics.providers.local import files as local_files

# Read when collected: each test runs with these variables cleared.
_GIVEN = os.environ.get("SEKHA_TEST_MODEL")
CACHE = Path(__file__).resolve().parent.parent / ".cache"


@cache
def model_file() -> Path:
    """The GGUF of `smollm2-135m-instruct`; tests read it and never write it."""
    if _GIVEN:
        return Path(_GIVEN).absolute()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEKHA_HOME", str(CACHE))
        return local_files.pull()


def place_model(home: Path) -> Path:
    """Put the model where a data directory `home` has it, without copying it."""
    target = home / "models" / f"{local_files.DEFAULT_MODEL}.gguf"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(model_file())
    except OSError:
        target.symlink_to(model_file())
    return target
