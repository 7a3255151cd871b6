"""The embedded model's process: how it starts, dies, and is never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from sekha_magics.core.content import Message, Text
from sekha_magics.core.wire import ChatCall, Endpoint
from sekha_magics.errors import ConnectionFailed, StreamInterrupted
from sekha_magics.providers.local.provider import LocalProvider
from sekha_magics.providers.local.server import default_threads

from ..local_model import model_file

pytest.importorskip("xllamacpp")
pytestmark = pytest.mark.model

HOLDER = Path(__file__).with_name("hold_local_model.py")
# A window of its own keeps these children apart from those of other tests.
CONTEXT = 1024


def endpoint(context: int = CONTEXT) -> Endpoint:
    return Endpoint("embedded", "local", options={"path": str(model_file()), "context": context})


def ask(text: str = "What is the capital of France?", **options: Any) -> ChatCall:
    messages = (Message("system", (Text("You are a helpful assistant."),)), Message("user", (Text(text),)))
    return ChatCall("smollm2-135m-instruct", messages, **{"max_tokens": 16, "temperature": 0.0, **options})


ENDLESS = ask("Count to one million.", max_tokens=900, params={"ignore_eos": True})


def text_of(provider: LocalProvider, call: ChatCall) -> str:
    async def collect() -> str:
        return "".join([piece async for piece in provider.chat(call) if isinstance(piece, str)])

    return anyio.run(collect)


def servers(of: int | None = None) -> list[psutil.Process]:
    """The model processes that the process `of` (this one) started."""
    found = []
    for child in psutil.Process(of).children():
        try:
            if "sekha_magics.providers.local.server" in child.cmdline():
                found.append(child)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def provider() -> Iterator[LocalProvider]:
    made = LocalProvider(endpoint())
    yield made
    anyio.run(made.aclose)


def started_by(provider: LocalProvider) -> psutil.Process:
    before = {p.pid for p in servers()}
    text_of(provider, ask(max_tokens=1))
    (new,) = [p for p in servers() if p.pid not in before]
    return new


def test_nothing_is_started_before_the_first_question(provider: LocalProvider) -> None:
    before = len(servers())
    anyio.run(provider.probe)
    assert len(servers()) == before


def test_providers_share_one_process_and_the_last_to_close_ends_it(provider: LocalProvider) -> None:
    process = started_by(provider)
    before = len(servers())
    second = LocalProvider(endpoint())
    assert "Paris" in text_of(second, ask()) and len(servers()) == before
    anyio.run(second.aclose)
    assert "Paris" in text_of(provider, ask()) and process.is_running()
    anyio.run(provider.aclose)
    assert not process.is_running()
    assert "Paris" in text_of(provider, ask())


def test_many_first_questions_at_once_start_one_process(provider: LocalProvider) -> None:
    before = len(servers())

    async def together() -> None:
        async def one() -> None:
            async for _ in provider.chat(ask(max_tokens=1)):
                pass

        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(one)

    anyio.run(together)
    assert len(servers()) == before + 1


def test_a_crash_costs_one_answer_and_the_next_is_given(provider: LocalProvider) -> None:
    process = started_by(provider)

    async def crash_in_the_middle() -> None:
        async for _ in provider.chat(ENDLESS):
            process.kill()

    with pytest.raises(StreamInterrupted) as caught:
        anyio.run(crash_in_the_middle)
    assert caught.value.partial and caught.value.provider_id == "embedded"
    assert "Paris" in text_of(provider, ask())


def test_a_crash_before_the_first_token_is_a_failed_connection(provider: LocalProvider) -> None:
    process = started_by(provider)

    async def crash_while_waiting() -> None:
        async def waiting() -> None:
            with pytest.raises(ConnectionFailed, match="exit code"):
                async for _ in provider.chat(ask("word " * 900)):
                    raise AssertionError("it answered")

        async with anyio.create_task_group() as group:
            # Stopped, it takes the connection and says nothing.
            process.suspend()
            group.start_soon(waiting)
            await anyio.sleep(0.3)
            process.kill()

    anyio.run(crash_while_waiting)
    assert "Paris" in text_of(provider, ask())


def test_one_that_died_while_idle_costs_nothing(provider: LocalProvider) -> None:
    process = started_by(provider)
    process.kill()
    psutil.wait_procs([process], timeout=30)
    assert "Paris" in text_of(provider, ask())


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such signal")
def test_an_interrupt_meant_for_the_cell_does_not_reach_it(provider: LocalProvider) -> None:
    process = started_by(provider)
    process.send_signal(signal.SIGINT)
    assert os.getpgid(process.pid) != os.getpgid(0)
    assert "Paris" in text_of(provider, ask()) and process.is_running()


def test_the_key_stands_in_no_argument_variable_or_file(provider: LocalProvider, own_directories: Path) -> None:
    from sekha_magics.providers.local import child as local_child

    process = started_by(provider)
    key = local_child.lease(local_child.Launch(model_file(), None, CONTEXT), provider).key
    assert len(key) > 30
    assert not any(key in argument for argument in process.cmdline())
    assert not any(key in value for value in process.environ().values())
    for file in own_directories.rglob("*"):
        assert not file.is_file() or key.encode() not in file.read_bytes()


def test_its_log_is_private_and_holds_no_prompt(provider: LocalProvider, own_directories: Path) -> None:
    text_of(provider, ask("a secret prompt about zebras"))
    (log,) = (own_directories / "logs").iterdir()
    assert b"zebra" not in log.read_bytes()
    if sys.platform != "win32":
        assert log.stat().st_mode & 0o077 == 0


def test_nothing_is_printed_where_the_user_reads(provider: LocalProvider, capfd: pytest.CaptureFixture[str]) -> None:
    text_of(provider, ask())
    assert capfd.readouterr() == ("", "")


# --- never left behind ------------------------------------------------------------------------------


def hold(*arguments: str, home: Path) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A process that asked the model and now waits; and the model's process."""
    process = subprocess.Popen(
        [sys.executable, str(HOLDER), str(model_file()), *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "SEKHA_HOME": str(home)},
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("ready"), line
    (server,) = servers(process.pid)
    return process, server


def is_gone(process: psutil.Process) -> bool:
    return not psutil.wait_procs([process], timeout=30)[1]


def finish(process: subprocess.Popen[str]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    process.wait(30)


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    process, server = hold(home=tmp_path)
    finish(process)
    assert process.returncode == 0 and is_gone(server)


def test_it_ends_when_its_kernel_is_killed(tmp_path: Path) -> None:
    process, server = hold(home=tmp_path)
    process.kill()
    assert is_gone(server)
    finish(process)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_starts_its_own_and_keeps_the_parents_from_nothing(tmp_path: Path) -> None:
    process, server = hold("fork", home=tmp_path)
    assert process.stdout is not None
    word, pid = process.stdout.readline().split()
    forked = psutil.Process(int(pid))
    assert word == "forked" and len(servers(forked.pid)) == 1
    own = servers(forked.pid)[0]
    assert own.pid != server.pid and server.is_running()
    process.kill()
    assert is_gone(server) and forked.is_running() and own.is_running()
    forked.kill()
    assert is_gone(own)
    finish(process)


def test_it_leaves_a_core_to_everybody_else() -> None:
    cores = os.cpu_count() or 1
    assert 1 <= default_threads() <= max(1, cores - 1)


def test_a_log_that_has_grown_long_is_begun_anew(provider: LocalProvider, own_directories: Path) -> None:
    log = own_directories / "logs" / f"local-{model_file().stem}.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * (2 << 20))
    started_by(provider)
    assert log.stat().st_size < 1 << 20
