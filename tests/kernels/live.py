"""A kernel that stays, for what a person does to it: cells one after another, Ctrl-C, a restart."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any, NamedTuple, Self

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

ROOT = Path(__file__).parents[2]
SECONDS = 120.0
"""How long a kernel may take for anything; nothing that is tested takes as long."""


class Done(NamedTuple):
    """How a cell ended: `ok`, or the name of its error; and what it published."""

    ended: str
    published: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """The plain text of the last output."""
        return str([m["data"]["text/plain"] for m in self.published if "text/plain" in m.get("data", {})][-1])


class LiveKernel:
    """A context manager. A person is watching: the kernel may ask for input."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._manager = KernelManager(kernel_name="python3")
        self._folder = folder
        # Nobody watches where CI is set, and nothing is streamed there.
        inherited = {name: value for name, value in os.environ.items() if name != "CI"}
        self._environment = {**inherited, "PYTHONPATH": str(ROOT), **environment}
        self._client: BlockingKernelClient | None = None

    def __enter__(self) -> Self:
        self._manager.start_kernel(env=self._environment, cwd=str(self._folder))
        self._connect()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._connected.stop_channels()
        self._manager.shutdown_kernel(now=True)

    def run(self, code: str) -> Done:
        return self.end_of(self.start(code))

    def start(self, code: str) -> str:
        """Begin a cell; its id."""
        return str(self._connected.execute(code, allow_stdin=True))

    def until(self, cell: str, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Until the cell has published something of which that holds."""
        while not holds(self._published(cell)["content"]):
            pass

    def end_of(self, cell: str) -> Done:
        published = []
        while (message := self._published(cell))["content"].get("execution_state") != "idle":
            published.append(message["content"])
        while (reply := self._connected.get_shell_msg(timeout=SECONDS))["parent_header"].get("msg_id") != cell:
            pass
        content = reply["content"]
        return Done("ok" if content["status"] == "ok" else str(content.get("ename", content["status"])), published)

    def another_client(self) -> BlockingKernelClient:
        """For another front end of the same kernel, with a session of its own; not connected yet."""
        client = BlockingKernelClient(connection_file=self._manager.connection_file)
        client.load_connection_file()
        return client

    def interrupt(self) -> None:
        self._manager.interrupt_kernel()

    def restart(self) -> None:
        self._connected.stop_channels()
        self._manager.restart_kernel(now=True)
        self._connect()

    @property
    def _connected(self) -> BlockingKernelClient:
        assert self._client is not None
        return self._client

    def _connect(self) -> None:
        client = self._client = self._manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)

    def _published(self, cell: str) -> dict[str, Any]:
        """The next message of the cell."""
        while True:
            try:
                message: dict[str, Any] = self._connected.get_iopub_msg(timeout=SECONDS)
            except Empty:
                raise AssertionError(f"the kernel said nothing for {SECONDS:g} s") from None
            if message["parent_header"].get("msg_id") == cell:
                return message
