"""A front end for tests: it opens the two comms at a real kernel, as JupyterLab does, and checks all it hears."""

from __future__ import annotations

import itertools
import json
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from queue import Empty
from typing import Any

from jsonschema import Draft202012Validator
from jupyter_client.blocking.client import BlockingKernelClient

SCHEMA = json.loads((Path(__file__).parents[2] / "sekha_magics" / "live" / "live.v1.schema.json").read_text("utf-8"))
SECONDS = 60.0

Json = dict[str, Any]


def check(message: Json) -> None:
    """Fails for a message that the schema does not know."""
    Draft202012Validator(SCHEMA).validate(message)


class Front:
    """With a session and connections of its own. `state` is what it would show; `close` it."""

    def __init__(self, client: BlockingKernelClient, version: int = 1) -> None:
        self._client = client
        client.start_channels()
        client.wait_for_ready(timeout=SECONDS)
        self._numbers = itertools.count()
        self._subshell = self._asked_on_control("create_subshell_request")["subshell_id"]
        self.state: Json = {}
        self.sequence = -1
        self.heard: list[Json] = []
        self.answers: dict[str | None, Json] = {}
        self.closed: set[str] = set()
        self.state_comm = self.control_comm = ""
        # The first snapshot says that both are open.
        self.control_comm = self._open("sekha.control", version)
        self.state_comm = self._open("sekha.state", version)

    def until(self, holds: Callable[[Json], Any], seconds: float = SECONDS) -> Json:
        """Listen until that holds of the state."""
        end = time.monotonic() + seconds
        while not (self.state and holds(self.state)):
            assert time.monotonic() < end, json.dumps(self.state, indent=1)
            self._hear()
        return self.state

    def ask(self, type: str, **arguments: Any) -> Json:
        """The answer to a request, which is asked while a cell may be running."""
        return self.say({"version": 1, "id": f"q{next(self._numbers)}", "type": type, **arguments})

    def say(self, request: Any, id: str | None = None) -> Json:
        wanted = request.get("id") if isinstance(request, dict) and isinstance(request.get("id"), str) else id
        self._send("comm_msg", {"comm_id": self.control_comm, "data": request}, self._subshell)
        end = time.monotonic() + SECONDS
        while wanted not in self.answers:
            assert time.monotonic() < end, f"{request} was not answered"
            self._hear()
        return self.answers.pop(wanted)

    def until_closed(self, comm: str) -> None:
        end = time.monotonic() + SECONDS
        while comm not in self.closed:
            assert time.monotonic() < end
            self._hear()

    def listen(self, seconds: float) -> list[Json]:
        """What is heard meanwhile."""
        before, end = len(self.heard), time.monotonic() + seconds
        while time.monotonic() < end:
            self._hear()
        return self.heard[before:]

    def close(self) -> None:
        for comm in (self.state_comm, self.control_comm):
            self._send("comm_close", {"comm_id": comm, "data": {}})
        self.disconnect()

    def disconnect(self) -> None:
        """As a page that is gone without a word."""
        self._client.stop_channels()

    def _open(self, target: str, version: int) -> str:
        comm = uuid.uuid4().hex
        content = {"comm_id": comm, "target_name": target, "data": {"version": version}}
        check(content["data"])
        self._send("comm_open", content)
        return comm

    def _send(self, kind: str, content: Json, subshell: str | None = None) -> None:
        message = self._client.session.msg(kind, content)
        if subshell is not None:
            message["header"]["subshell_id"] = subshell
        self._client.shell_channel.send(message)

    def _asked_on_control(self, kind: str) -> Json:
        message = self._client.session.msg(kind)
        self._client.control_channel.send(message)
        while True:
            reply = self._client.control_channel.get_msg(timeout=SECONDS)
            if reply["parent_header"].get("msg_id") == message["header"]["msg_id"]:
                content: Json = reply["content"]
                return content

    def _hear(self) -> None:
        try:
            message = self._client.get_iopub_msg(timeout=0.1)
        except Empty:
            return
        content = message["content"]
        comm = content.get("comm_id") if message["msg_type"].startswith("comm_") else None
        if comm not in (self.state_comm, self.control_comm):
            return
        if message["msg_type"] == "comm_close":
            self.closed.add(comm)
        if message["msg_type"] == "comm_msg":
            check(content["data"])
            self._take(comm, content["data"])

    def _take(self, comm: str, data: Json) -> None:
        self.heard.append(data)
        if comm == self.control_comm:
            if "ok" in data:
                self.answers[data["id"]] = data
            return
        if data["type"] == "snapshot":
            self.state, self.sequence = data["state"], data["sequence"]
        elif data["type"] == "change":
            assert data["sequence"] == self.sequence + 1
            self.state, self.sequence = {**self.state, **data["changes"]}, data["sequence"]
