"""Cells in a real kernel: the messages a front end gets, and what stays in the file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

import nbformat
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook

pytestmark = pytest.mark.kernel

ROOT = Path(__file__).parents[2]
SETUP = """\
%reload_ext sekha_magics
import sekha_magics as sekha
from tests.magics.parrot import Parrot, make_registry
sekha.set_registry(make_registry())
"""
HOSTILE = '{"a": 1} {x} $5 50% %d "quotes" \'single\' back\\slash 🦜\n# a comment line\n>>> 1\n  last;'
CHAT = "application/vnd.sekha.chat.v1+json"


def environment(home: Path) -> dict[str, str]:
    """Of a kernel that reads nothing of this machine's and does not know that it is tested."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SEKHA", "PYTEST", "CI", "JPY_", "COV_"))}
    return kept | {"SEKHA_HOME": str(home / "sekha"), "HOME": str(home), "PYTHONPATH": str(ROOT)}


class Kernel(NamedTuple):
    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str, *, person: bool = False, cell_id: str | None = None) -> list[dict[str, Any]]:
        """Run a cell as a front end does, and give the messages about it, each with its type."""
        session, channel = self.client.session, self.client.shell_channel
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": person, "stop_on_error": False}
        request = session.msg("execute_request", content, metadata={"cellId": cell_id} if cell_id else {})
        channel.send(request)
        return self.messages(request["header"]["msg_id"])

    def messages(self, about: str) -> list[dict[str, Any]]:
        seen = []
        while True:
            message = self.client.get_iopub_msg(timeout=60)
            if message["parent_header"].get("msg_id") != about:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return seen
            if message["msg_type"] not in {"status", "execute_input"}:
                seen.append({"type": message["msg_type"], **message["content"]})

    def value(self, expression: str) -> str:
        """`expression` as text."""
        shown = self.run(f"print({expression})")
        assert {(m["type"], m.get("name")) for m in shown} == {("stream", "stdout")}
        # One print may arrive in several messages.
        return "".join(m["text"] for m in shown).removesuffix("\n")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    home = tmp_path_factory.mktemp("home")
    manager, client = start_new_kernel(kernel_name="python3", env=environment(home), cwd=str(home))
    yield Kernel(manager, client)
    client.stop_channels()
    manager.shutdown_kernel()


@pytest.fixture
def kernel(running: Kernel) -> Kernel:
    assert running.run(SETUP) == []
    return running


def test_a_hostile_prompt_reaches_the_model_byte_for_byte_and_leaves_one_output(kernel: Kernel) -> None:
    (output,) = kernel.run(f"%%sekha_chat\n{HOSTILE}")
    assert output["type"] == "display_data"
    assert output["data"][CHAT]["text"] == HOSTILE
    assert {"decision_id", "cost_usd", "latency_ms", "replayed"} <= set(output["metadata"]["sekha"])
    assert kernel.value("Parrot.heard[-1].messages[-1].text == " + repr(HOSTILE)) == "True"
    assert kernel.value("_.text == Out[max(Out)].text == " + repr(HOSTILE)) == "True"


def test_a_question_on_one_line_asks_the_model(kernel: Kernel) -> None:
    (output,) = kernel.run("x = %sekha_chat why is the sky blue?")
    assert output["data"]["text/plain"].startswith("why is the sky blue?")
    assert kernel.value("x.text, x.cost.usd") == "why is the sky blue? 0.000015000000"


def test_frames_are_drawn_for_a_person_only_and_the_last_is_the_same(kernel: Kernel) -> None:
    kernel.run("sekha.set_registry(make_registry(pause=0.1))")
    question = "%%sekha_chat\nThe **quick** brown fox jumps over the lazy dog"
    first, *rest = kernel.run(question, person=True)
    assert first["type"] == "display_data" and CHAT not in first["data"]
    assert {message["type"] for message in rest} == {"update_display_data"}
    assert {m["transient"]["display_id"] for m in rest} == {first["transient"]["display_id"]}
    (alone,) = kernel.run(question)
    assert alone["type"] == "display_data" and not alone["transient"]
    assert alone["data"] == rest[-1]["data"]
    assert kernel.value("[call.stream for call in Parrot.heard]") == "[True, False]"


@pytest.mark.parametrize(
    ("before", "options"),
    [
        ("", "--no-stream"),
        ("%config SekhaMagics.stream = False", ""),
        ("%env CI=true", ""),
        ("%env SEKHA_STREAM=off", ""),
    ],
)
def test_a_person_may_be_spared_the_frames(kernel: Kernel, before: str, options: str) -> None:
    kernel.run(before)
    try:
        assert len(kernel.run(f"%sekha_chat {options} one two three", person=True)) == 1
    finally:
        undone = kernel.run(
            "%config SekhaMagics.stream = True\nimport os\nfor n in ('CI', 'SEKHA_STREAM'): os.environ.pop(n, None)"
        )
        assert undone == []


def test_an_interrupt_ends_the_request_and_leaves_what_was_seen(kernel: Kernel) -> None:
    kernel.run("sekha.set_registry(make_registry(pause=0.3))")
    client = kernel.client
    about = client.execute("%%sekha_chat\n" + "word " * 200, allow_stdin=True)
    message = client.get_iopub_msg(timeout=60)
    while message["msg_type"] != "display_data":
        message = client.get_iopub_msg(timeout=60)
    kernel.manager.interrupt_kernel()
    messages = kernel.messages(about)
    assert [m["ename"] for m in messages if m["type"] == "error"] == ["KeyboardInterrupt"]
    (*_, last) = [m for m in messages if m["type"] == "update_display_data"]
    assert last["data"]["text/plain"].endswith("interrupted")
    outcomes = kernel.value("sekha.get_registry().ledger.decisions()['outcome'].tolist()[-1]")
    assert outcomes == "interrupted"


def test_asking_every_provider_is_seen_to_go_on_by_a_person_alone(kernel: Kernel) -> None:
    (alone,) = kernel.run("%sekha health --probe")
    assert alone["type"] == "execute_result" and "asked just now" in alone["data"]["text/plain"]
    *before, last = [m for m in kernel.run("%sekha health --probe", person=True) if m["type"] != "comm_open"]
    assert before and last["type"] == "execute_result"
    assert last["data"] == alone["data"]


def test_asking_every_provider_can_be_interrupted(kernel: Kernel) -> None:
    kernel.run("sekha.set_registry(make_registry(silent=600))")
    about = kernel.client.execute("%sekha health --probe", allow_stdin=True)
    # The bar is there: as a widget, or as text where there are none.
    while kernel.client.get_iopub_msg(timeout=60)["msg_type"] not in {"display_data", "stream"}:
        pass
    kernel.manager.interrupt_kernel()
    assert [m["ename"] for m in kernel.messages(about) if m["type"] == "error"] == ["KeyboardInterrupt"]
    assert kernel.value("1 + 1") == "2"


def test_an_interrupt_during_a_simulated_wait_ends_the_request_and_costs_nothing(kernel: Kernel) -> None:
    kernel.run("%sekha simulate --provider cage --latency 10m")
    about = kernel.client.execute("print('asking', flush=True)\n%sekha_chat hello")
    while kernel.client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    kernel.manager.interrupt_kernel()
    assert [m["ename"] for m in kernel.messages(about) if m["type"] == "error"] == ["KeyboardInterrupt"]
    calls = "sekha.get_registry().ledger.calls().query('simulated')"
    assert kernel.value(f"sum({calls}['cost_usd']) == 0") == "True"
    assert kernel.value("'ok' in set(" + calls + "['status'])") == "False"


def test_an_error_is_red_and_short(kernel: Kernel) -> None:
    (error,) = kernel.run("%sekha_chat --model nope hello")
    assert (error["type"], error["ename"]) == ("error", "NoEligibleModel")
    shown = "\n".join(error["traceback"])
    assert "not_pinned" in shown and "Hint: " in shown
    assert "File" not in shown and "Traceback" not in shown


def test_a_failing_provider_is_short_too(kernel: Kernel) -> None:
    kernel.run("sekha.set_registry(make_registry(fail='ServerFailed'))")
    (error,) = kernel.run("%%sekha_chat\nhello", person=True)
    assert error["ename"] == "AllProvidersFailed"
    assert "ServerFailed on purpose" in "\n".join(error["traceback"])
    assert "\x1b" not in "".join(error["traceback"]) + error["evalue"]


def test_an_error_in_python_keeps_its_frames(kernel: Kernel) -> None:
    (error,) = kernel.run("sekha.get_registry().chat('hi', model='nope')")
    assert error["ename"] == "NoEligibleModel"
    assert "asking.py" in "\n".join(error["traceback"])


def test_tab_works_through_the_kernel(kernel: Kernel) -> None:
    def complete(code: str) -> tuple[list[str], str]:
        reply = kernel.client.complete(code, len(code), reply=True, timeout=60)["content"]
        return reply["matches"], code[reply["cursor_start"] : reply["cursor_end"]]

    assert complete("%%sekha_chat --max-t") == (["--max-tokens"], "--max-t")
    assert complete("%sekha_chat -m cage/") == (["cage/echo", "cage/see"], "cage/")
    assert complete("%sekha mod") == (["models"], "mod")
    kernel.run("weather_report = 'wet'")
    assert complete("%%sekha_chat\n{{ weath") == (["weather_report"], "weath")


def test_the_cell_and_notebook_are_in_the_ledger(kernel: Kernel) -> None:
    kernel.run("%env SEKHA_NOTEBOOK=analysis.ipynb")
    kernel.run("%sekha_chat -q hello", cell_id="cell-42")
    rows = "sekha.get_registry().ledger.decisions()[['cell_id', 'notebook']].values.tolist()[-1]"
    assert kernel.value(rows) == "['cell-42', 'analysis.ipynb']"


def test_a_call_is_logged_under_the_cell_that_asked_also_when_it_ends_during_another(kernel: Kernel) -> None:
    slow = {
        "id": "slow",
        "type": "scripted",
        "options": {"delay": 0.4},
        "models": [{"model_id": "s", "task": "chat_small"}],
    }
    kernel.run(f"import asyncio; slow = sekha.Registry.from_dict({{'llm_providers': [{slow}]}})")
    kernel.run("task = asyncio.ensure_future(slow.achat('early')); await asyncio.sleep(0.1)", cell_id="cell-1")
    kernel.run("await task; None", cell_id="cell-2")
    rows = "slow.ledger.sql(\"SELECT cell_id FROM decisions WHERE model_id = 's'\")['cell_id'].tolist()"
    assert kernel.value(rows) == "['cell-1']"


def test_a_key_is_asked_for_without_echo(kernel: Kernel) -> None:
    key = "sk-typed-0123456789"
    about = kernel.client.execute("%sekha keys set MY_TEST_KEY", allow_stdin=True)
    request = kernel.client.get_stdin_msg(timeout=60)
    assert request["content"] == {"prompt": "MY_TEST_KEY: ", "password": True}
    kernel.client.input(key)
    assert key not in str(kernel.messages(about))
    assert kernel.value("sekha.get_registry().keys.where('MY_TEST_KEY')") == "session"
    assert kernel.value(f"{key!r} in str(dict(os.environ))".replace("os.", "__import__('os').")) == "False"


def test_a_key_is_not_asked_for_where_nobody_can_type_it(kernel: Kernel) -> None:
    (error,) = kernel.run("%sekha keys set MY_TEST_KEY")
    assert error["ename"] == "InvalidInput"
    assert "nobody is there" in "\n".join(error["traceback"])
    with pytest.raises(Empty):
        kernel.client.get_stdin_msg(timeout=0.1)


# --- files ----------------------------------------------------------------------------------------


def executed(path: Path, *sources: str, **cells: Any) -> Path:
    """A notebook of these cells as nbclient leaves it."""
    notebook = new_notebook(cells=[new_code_cell(source, **cells) for source in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    NotebookClient(notebook, resources={"metadata": {"path": str(path.parent)}}).execute(env=environment(path.parent))
    nbformat.write(notebook, path)
    return path


def nbval(notebook: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", *(options or ("--nbval",)), "--nbval-current-env", "-q", str(notebook)]
    return subprocess.run(
        [*command, "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(notebook.parent)],
        env=environment(notebook.parent), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def test_a_notebook_keeps_one_output_a_cell_and_nbval_compares_it(tmp_path: Path) -> None:
    path = executed(
        tmp_path / "good.ipynb", SETUP, "%%sekha_chat --explain\nhello; there", "%sekha_route\n", "%sekha_cost\n"
    )
    _, chat, route, cost = nbformat.read(path, 4).cells
    assert [len(cell.outputs) for cell in (chat, route, cost)] == [1, 1, 1]
    assert set(chat.outputs[0].data) == {"text/plain", "text/html", CHAT}
    done = nbval(path)
    assert done.returncode == 0, done.stdout
    tampered = nbformat.read(path, 4)
    tampered.cells[1].outputs[0].data["text/plain"] += "tampered"
    nbformat.write(tampered, path)
    assert nbval(path).returncode == 1


def test_a_cell_that_fails_stops_a_headless_run_and_fails_nbval(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="NoEligibleModel"):
        executed(tmp_path / "bad.ipynb", SETUP, "%sekha_chat --model nope hello")
    notebook = new_notebook(cells=[new_code_cell(SETUP), new_code_cell("%sekha_chat --model nope hello")])
    nbformat.write(notebook, tmp_path / "bad.ipynb")
    assert nbval(tmp_path / "bad.ipynb", "--nbval-lax").returncode == 1
