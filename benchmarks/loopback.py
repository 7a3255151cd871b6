"""A provider on loopback, in a process of its own so that it takes no time from what is measured."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]


@contextmanager
def openai_server(delay: float = 0.0) -> Iterator[str]:
    """The base URL of a server that speaks OpenAI's wire format and answers every request after `delay` seconds."""
    child = subprocess.Popen(
        [sys.executable, __file__, str(delay)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        child.wait(10)


if __name__ == "__main__":
    sys.path.insert(0, str(REPOSITORY))
    from tests.upstream.server import Answer, Upstream

    with Upstream() as server:
        server.default = Answer(delay=float(sys.argv[1]))
        print(server.url("openai"), flush=True)
        sys.stdin.read()
