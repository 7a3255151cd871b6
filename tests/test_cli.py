"""The command `sekha`."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from sekha_magics import __version__
from sekha_magics.cli import main
from sekha_magics.providers.local.files import DEFAULT_MODEL, path_of

from .local_model import model_file, place_model

STAGE: dict[str, Any] = {
    "id": "stage",
    "type": "scripted",
    "options": {"replies": ["Paris."], "cost": "0.0125"},
    "models": [
        {"model_id": "fast", "tasks": ["chat_small"], "context_window": 4096, "price": {"input": 2, "output": 8}}
    ],
}

CLOUD: dict[str, Any] = {
    "id": "cloud",
    "type": "openai",
    "api_key": "${OPENAI_API_KEY}",
    "models": [{"model_id": "gpt-4.1-mini", "task": "chat_small"}],
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No configuration is found from the working folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def configure(folder: Path, *providers: Mapping[str, Any], name: str = "mine.yaml") -> str:
    # JSON is YAML too.
    (folder / name).write_text(json.dumps({"llm_providers": list(providers)}), encoding="utf-8")
    return str(folder / name)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(words)
    said = capsys.readouterr()
    return code, said.out, said.err


# --- asking -----------------------------------------------------------------------------------------


def test_an_answer_goes_to_standard_output_and_the_rest_beside_it(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configure(own_folder, STAGE)
    code, out, err = run(capsys, "chat", "What is the capital of France?", "--config", file)
    assert (code, out) == (0, "Paris.\n")
    assert "fast at stage" in err and "$0.0125" in err


def test_a_prompt_comes_from_standard_input_byte_for_byte(own_folder: Path) -> None:
    echo = STAGE | {"options": {}}
    prompt = '{"a": 1} {x} $5 %d "q" \\ ; 😀\n# line'
    done = subprocess.run(
        [sys.executable, "-m", "sekha_magics", "chat", "--config", configure(own_folder, echo)],
        input=prompt.encode(), capture_output=True, check=True, timeout=120,
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout.decode().replace("\r\n", "\n") == prompt + "\n"


def test_what_is_asked_for_reaches_the_provider_also_when_it_is_zero(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = STAGE | {"options": {"replies": ["x"], "ignores": ["temperature", "seed", "max_tokens"]}}
    file = configure(own_folder, stage)
    _, _, err = run(
        capsys, "chat", "Hi", "--config", file, "--temperature", "0", "--seed", "0", "--max-tokens", "3"
    )  # fmt: skip
    assert all(name in err for name in ("temperature", "seed", "max_tokens"))
    _, _, err = run(capsys, "chat", "Hi", "--config", file)
    assert "temperature" not in err


def test_explain_shows_every_candidate(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configure(own_folder, STAGE, STAGE | {"id": "other", "priority": 60})
    _, out, err = run(capsys, "chat", "Hi", "--config", file, "--explain", "-m", "stage/fast")
    assert out == "Paris.\n" and "not_pinned" in err and "other" in err


def test_control_sequences_of_a_model_do_not_reach_the_terminal(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = "red \x1b[31mX\x1b]0;title\x07 \x9b2J back\rover \u202ereversed"
    for pieces in (1, 3, 100):
        stage = STAGE | {"options": {"replies": [hostile], "pieces": pieces}}
        _, out, _ = run(capsys, "chat", "Hi", "--config", configure(own_folder, stage))
        assert not set(out) & set("\x1b\x07\x9b\r\u202e") and "red" in out


def test_without_a_prompt_a_terminal_is_not_waited_for(
    own_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    file = configure(own_folder, STAGE)
    for stdin in (Terminal(), None):
        monkeypatch.setattr(sys, "stdin", stdin)
        code, _, err = run(capsys, "chat", "--config", file)
        assert code == 1 and "no prompt" in err


def test_a_route_says_who_would_answer_and_sends_nothing(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = STAGE | {"options": {"fail": {"status": 500}}}
    code, out, _ = run(capsys, "route", "Hi", "--config", configure(own_folder, stage))
    assert code == 0 and "fast at stage" in out and "chat_small" in out


def test_an_error_is_its_message_and_its_hint_and_code_1(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configure(own_folder, STAGE)
    for words in (
        ("chat", "Hi", "-m", "nobody"),
        ("chat", ""),
        ("chat", "Hi", "--max-cost", "much"),
        ("chat", "Hi", "-i", "nowhere.png"),
        ("route", "Hi", "-p", "luckiest"),
    ):
        code, out, err = run(capsys, *words, "--config", file)
        assert code == 1 and out == "" and "Hint:" in err and "Traceback" not in err, words


def test_a_provider_that_fails_is_an_error_that_says_so(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage = STAGE | {"options": {"fail": {"status": 500, "message": "on fire \x1b[31m"}}}
    code, _, err = run(capsys, "chat", "Hi", "--config", configure(own_folder, stage))
    assert code == 1 and "on fire" in err and "\x1b" not in err


@pytest.mark.parametrize(
    "words", [(), ("bogus",), ("chat", "Hi", "--bogus"), ("chat", "Hi", "--seed", "x"), ("chat", "a", "b"),
              ("cost", "--by", "mood"), ("cost", "--since", "then"), ("config",), ("models", "push"),
              ("chat", "Hi", "--temp", "1")],
)  # fmt: skip
def test_a_wrong_command_line_is_code_2(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, *words)
    assert code == 2 and out == "" and "usage: sekha" in err


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (("--help",), ("chat", "--help"), ("models", "pull", "--help")):
        code, out, _ = run(capsys, *words)
        assert code == 0 and "usage: sekha" in out
    assert run(capsys, "version") == (0, f"{__version__}\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_is_code_130(own_folder: Path) -> None:
    slow = STAGE | {"options": {"replies": ["word " * 1000], "pieces": 5, "delay": 0.05}}
    process = subprocess.Popen(
        [sys.executable, "-m", "sekha_magics", "chat", "Hi", "--config", configure(own_folder, slow)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.read(4) == "word"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break differently there")
def test_a_reader_that_has_seen_enough_is_no_crash(own_folder: Path) -> None:
    long = STAGE | {"options": {"replies": ["word " * 20000], "pieces": 1000}}
    process = subprocess.Popen(
        [sys.executable, "-m", "sekha_magics", "chat", "Hi", "--config", configure(own_folder, long)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.read(4)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) == 1 and "Traceback" not in err and "Exception" not in err


# --- money and log ------------------------------------------------------------------------------------


def test_what_was_spent_is_summed_exactly_and_by_group(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = configure(own_folder, STAGE, {"id": "free", "type": "scripted", "priority": 60,
                                         "models": [{"model_id": "gratis", "task": "chat_small"}]})  # fmt: skip
    assert "(no calls)" in run(capsys, "cost", "--config", file)[1]
    for _ in range(2):
        run(capsys, "chat", "Hi", "--config", file)
    run(capsys, "chat", "Hi", "--config", file, "-m", "gratis")
    code, out, _ = run(capsys, "cost", "--config", file)
    assert code == 0 and out.startswith("$0.025 in all sessions") and "fast" in out and "gratis" in out
    for group in ("provider", "task", "notebook", "day"):
        assert "$0.025" in run(capsys, "cost", "--by", group, "--config", file)[1]
    assert "(no calls)" in run(capsys, "cost", "--since", "2999-01-01", "--config", file)[1]
    assert "$0.025" in run(capsys, "cost", "--since", "2020-01-01", "--config", file)[1]


def test_the_ledger_is_folded_and_exported(
    own_folder: Path, own_directories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configure(own_folder, STAGE)
    run(capsys, "chat", "Hi", "--config", file)
    code, out, _ = run(capsys, "ledger", "fold", "--config", file)
    assert code == 0 and (own_directories / "ledger.duckdb").exists() and "ledger.duckdb" in out
    code, out, _ = run(capsys, "ledger", "export", "calls.csv", "--config", file)
    assert code == 0 and Path(out.strip()) == own_folder / "calls.csv"
    assert "stage" in (own_folder / "calls.csv").read_text(encoding="utf-8")
    code, _, err = run(capsys, "ledger", "export", "x.csv", "--table", "nonsense", "--config", file)
    assert code == 1 and "nonsense" in err


def test_a_whole_ledger_verifies_and_one_with_a_row_taken_away_ends_with_1(
    own_folder: Path, own_directories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configure(own_folder, STAGE)
    run(capsys, "chat", "Hi", "--config", file)
    code, out, _ = run(capsys, "ledger", "verify", "--config", file)
    assert code == 0 and "ledger.duckdb: whole" in out and "1 decisions" in out
    run(capsys, "ledger", "fold", "--config", file)
    with duckdb.connect(str(own_directories / "ledger.duckdb")) as connection:
        connection.execute("DELETE FROM calls")
    code, out, err = run(capsys, "ledger", "verify", "--config", file)
    assert code == 1 and "NOT whole" in out and "missing    calls" in out and "not whole: " in err


# --- configuration ------------------------------------------------------------------------------------


def test_a_sound_configuration_is_called_sound(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "config", "check", configure(own_folder, STAGE, CLOUD))
    assert code == 0 and "sound" in out and "2 providers, 2 models" in out and "OPENAI_API_KEY" in out


def test_what_was_done_while_loading_is_said(
    own_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OLLAMA_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("CHAT_MODEL", "llama3.1:8b")
    for words in (("config", "check"), ("models",)):
        code, out, err = run(capsys, *words)
        assert code == 0 and "CHAT_MODEL" in err, (out, err)
    monkeypatch.delenv("OLLAMA_URL")
    monkeypatch.delenv("CHAT_MODEL")
    assert "is asked for its models" in run(capsys, "config", "check")[1]


def test_a_wrong_key_in_a_configuration_is_named(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "config", "check", configure(own_folder, STAGE | {"prioritty": 1}))
    assert code == 1 and "prioritty" in err and "priority" in err


def test_what_is_in_force_is_shown_without_its_keys(
    own_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-recognisable-0123456789")
    code, out, err = run(capsys, "config", "show", configure(own_folder, CLOUD))
    assert code == 0 and "gpt-4.1-mini" in out and "recognisable" not in out + err


def test_an_old_configuration_is_printed_under_todays_names(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (own_folder / "old.yaml").write_text("providers:\n- {id: a, provider_type: ollama, timeout_secs: 9}\n")
    code, out, _ = run(capsys, "config", "migrate", "old.yaml")
    assert code == 0 and "llm_providers:" in out and "type: ollama" in out and "timeout: 9" in out
    assert run(capsys, "config", "migrate", "nowhere.yaml")[0] == 1
    assert run(capsys, "config", "migrate")[0] == 1


def test_a_found_file_is_obeyed_after_it_was_trusted(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    foreign = {key: value for key, value in CLOUD.items() if key != "api_key"} | {
        "base_url": "https://models.example/v1"
    }
    configure(own_folder, foreign, name="config.yaml")
    code, _, err = run(capsys, "models")
    assert code == 1 and "UntrustedConfig" in err
    code, out, _ = run(capsys, "config", "trust")
    assert code == 0 and "config.yaml" in out
    code, out, _ = run(capsys, "models")
    assert code == 0 and "gpt-4.1-mini" in out and "unpriced" in out


# --- models -----------------------------------------------------------------------------------------


def test_models_are_listed_with_window_and_price(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "models", "--config", configure(own_folder, STAGE))
    assert code == 0 and all(word in out for word in ("stage", "fast", "chat_small", "4,096", "2 / 8"))


@pytest.mark.model
def test_an_embedded_model_that_is_not_here_is_said_to_be_missing(
    own_folder: Path, own_directories: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    local = {"id": "local", "type": "local", "models": [{"model_id": DEFAULT_MODEL, "task": "chat_small"}]}
    file = configure(own_folder, local)
    assert "sekha models pull" in run(capsys, "models", "--config", file)[1]
    place_model(own_directories)
    out = run(capsys, "models", "--config", file)[1]
    assert "sekha models pull" not in out and "free" in out


@pytest.mark.model
def test_the_embedded_model_is_pulled_from_a_file_and_asked(
    own_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("xllamacpp")
    code, out, err = run(capsys, "models", "pull", "--from", str(model_file()))
    assert code == 0 and str(path_of(DEFAULT_MODEL)) in out and "Apache-2.0" in out and "copying" in err
    assert run(capsys, "models", "pull")[0] == 0
    system = ("-s", "You are a helpful assistant.", "--temperature", "0", "-m", DEFAULT_MODEL)
    code, out, err = run(capsys, "chat", "What is the capital of France?", *system)
    assert code == 0 and "Paris" in out and f"{DEFAULT_MODEL} at local" in err
    path_of(DEFAULT_MODEL).unlink()


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
def test_on_a_terminal_a_pull_counts_on_one_line() -> None:
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "sekha_magics", "models", "pull", "--from", str(model_file())],
        stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    # Reading past the end of a terminal is an error on Linux.
    with suppress(OSError):
        while chunk := os.read(ours, 1 << 16):
            shown += chunk
    os.close(ours)
    assert process.wait(60) == 0
    assert shown.endswith(b"98 of 98 MB\r\n") and shown.count(b"\n") == 1
    path_of(DEFAULT_MODEL).unlink()


def test_a_model_file_that_is_none_is_refused(own_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (own_folder / "page.gguf").write_text("<html>")
    for words in (("mine", "--from", "page.gguf"), ("mine",), ("../mine", "--from", "page.gguf")):
        code, out, err = run(capsys, "models", "pull", *words)
        assert code == 1 and out == "" and "Hint:" in err


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C cannot be sent to one process there")
def test_ctrl_c_in_a_pull_leaves_nothing_half(own_directories: Path) -> None:
    asked, go_on = threading.Event(), threading.Event()

    class Endless(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"GGUF" + bytes(3 << 20))
            asked.set()
            go_on.wait(60)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endless)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    process = subprocess.Popen(
        [sys.executable, "-m", "sekha_magics", "models", "pull", "--from", "hub"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}"},
    )  # fmt: skip
    assert asked.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    go_on.set()
    server.shutdown()
    server.server_close()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert [p.name for p in (own_directories / "models").iterdir()] == [".pull.lock"]
