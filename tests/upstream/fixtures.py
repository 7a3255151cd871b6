"""The fixture `upstream`: a loopback server of one's own for every test that asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .server import Upstream


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server
