"""`sekha doctor` over set-ups that are really broken: files, folders, metadata, ports."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sekha_magics import Registry, __version__, set_registry
from sekha_magics.cli import main
from sekha_magics.doctor import Finding, Report, examine
from sekha_magics.ledger.store import Ledger
from sekha_magics.storage.budgets import BudgetFile

from ..ledger.events import event

KEY = "sk-recognisable-0123456789abcdef"
ROOT = Path(__file__).parents[2]
POSIX = pytest.mark.skipif(os.name == "nt", reason="modes of files are POSIX's")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder, in which no configuration is found."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter-data"))
    set_registry(None)
    yield work
    set_registry(None)


def configure(folder: Path, *providers: dict[str, Any], **sections: Any) -> str:
    # JSON is YAML too.
    file = folder / "mine.yaml"
    file.write_text(json.dumps({"llm_providers": list(providers), **sections}), encoding="utf-8")
    return str(file)


def stage(provider_id: str = "stage", **more: Any) -> dict[str, Any]:
    models = [{"model_id": "fast", "tasks": ["chat_small"], "price": {"input": 2, "output": 8}}]
    return {"id": provider_id, "type": "scripted", "models": models, **more}


def of(report: Report, check: str) -> list[Finding]:
    found = [finding for finding in report.findings if finding.check == check]
    assert found, f"nothing of {check} in\n{report}"
    assert all(problem.mend for problem in report.of("problem")), report
    return found


def only(report: Report, check: str) -> Finding:
    (found,) = of(report, check)
    return found


# --- the whole --------------------------------------------------------------------------------------


def test_a_sound_set_up_has_no_problem_and_ends_with_0(
    folder: Path,
    own_directories: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # What the checkout needs, also where it is run without being installed.
    needs = ("Requires-Dist: duckdb>=1.4", "Requires-Dist: duckdb-extension-vss; extra == 'vss'")
    install(tmp_path / "other", "sekha-magics", __version__, *needs)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    file = configure(folder, stage())
    assert main(["doctor", "--config", file]) == 0
    said = capsys.readouterr()
    assert said.err == "" and "PROBLEM" not in said.out
    for check in ("Python", "sekha-magics", "packages", "extra vss", "JupyterLab extension", "configuration", "keys",
                  "provider stage", "embedded model", "data directory", "ledger", "queue", "budgets", "private files",
                  "memory", "vector search", "cassette", "notebook", "streaming"):  # fmt: skip
        assert check in said.out, check
    assert max(map(len, said.out.splitlines())) <= 100
    assert not list(own_directories.rglob("*.duckdb")) and not list(own_directories.rglob("*.sqlite"))


def test_a_problem_ends_with_1_and_is_told_to_programs_with_its_remedy(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = configure(folder, {"id": "Bad Id", "type": "scripted"})
    assert main(["doctor", "--config", file, "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False and said["problems"] == 1
    (problem,) = [f for f in said["findings"] if f["level"] == "problem"]
    assert problem["check"] == "configuration" and "llm_providers[0].id" in problem["found"] and problem["mend"]


def test_it_is_a_program_of_its_own(folder: Path) -> None:
    words = [sys.executable, "-m", "sekha_magics", "doctor", "--no-probe", "--json"]
    done = subprocess.run(
        [*words, "--config", configure(folder, stage())], capture_output=True, check=True, timeout=120
    )
    assert json.loads(done.stdout)["ok"] is True
    refused = subprocess.run([*words, "--probe"], capture_output=True, check=False, timeout=120)
    assert refused.returncode == 2


def test_a_report_is_text_a_table_and_a_frame(folder: Path) -> None:
    report = examine(configure(folder, stage()), probe=False)
    shown = report._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html"} and report.summary in shown["text/plain"]
    assert shown["text/html"].count("<tr>") == len(report.findings) + 1
    frame = report.to_frame()
    assert list(frame.columns) == ["check", "level", "found", "mend"] and len(frame) == len(report.findings)
    assert json.loads(json.dumps(report.to_json()))["warnings"] == (frame["level"] == "warning").sum()


# --- versions ---------------------------------------------------------------------------------------


def install(folder: Path, name: str, version: str, *lines: str) -> None:
    """Metadata as pip writes them, so that the package seems to be there in that version."""
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir(parents=True)
    told = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
    (info / "METADATA").write_text("\n".join(told) + "\n", encoding="utf-8")


def test_a_version_out_of_bounds_is_named_with_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds = ("Requires-Dist: litellm<1.93,>=1.84.10", "Requires-Dist: pandas<4,>=2.2", "Requires-Dist: pytest")
    install(tmp_path / "other", "sekha-magics", __version__, *bounds)
    install(tmp_path / "other", "litellm", "1.106.2")
    install(tmp_path / "other", "pandas", "not a version")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    report = examine(probe=False)
    found = only(report, "litellm")
    assert found.level == "problem" and "1.106.2 is installed" in found.found and "<1.93" in found.found
    assert "pip install 'litellm" in found.mend and "<1.93" in found.mend
    assert only(report, "pandas").level == "problem"
    assert "fit" in only(report, "packages").found


def test_parts_of_an_extra_that_do_not_fit_each_other_are_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pair = (
        "Requires-Dist: duckdb==1.5.5; extra == 'vss'",
        "Requires-Dist: duckdb-extension-vss==1.5.5; extra == 'vss'",
    )
    install(tmp_path / "other", "sekha-magics", __version__, *pair, "Requires-Dist: jupyterlab>=4.6.2; extra == 'lab'")
    install(tmp_path / "other", "duckdb-extension-vss", "1.5.5")
    install(tmp_path / "other", "duckdb", "1.4.0")
    install(tmp_path / "other", "jupyterlab", "4.6.1")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    report = examine(probe=False)
    assert "duckdb 1.4.0 is installed" in only(report, "extra vss").found
    assert "jupyterlab 4.6.1 is installed" in only(report, "extra lab").found
    assert all(only(report, f"extra {name}").level == "problem" for name in ("vss", "lab"))


def test_extras_of_which_nothing_or_not_all_is_there_are_no_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = ["Requires-Dist: pytest>=1; extra == 'local'", "Requires-Dist: nowhere>=1; extra == 'local'",
             "Requires-Dist: nobody==3; extra == 'vss'", "Requires-Dist: nothing-here>=2"]  # fmt: skip
    install(tmp_path / "other", "sekha-magics", __version__, "Requires-Python: >=3.99", *needs)
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    report = examine(probe=False)
    local, vss = only(report, "extra local"), only(report, "extra vss")
    assert local.level == "ok" and "without nowhere" in local.found and "[local]" in local.mend
    assert vss.level == "ok" and "not installed" in vss.found and "[vss]" in vss.mend
    missing = only(report, "nothing-here")
    assert missing.level == "problem" and "is not installed" in missing.found
    assert ">=3.99 is needed" in only(report, "Python").found


def test_a_package_that_is_not_the_one_pip_installed_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "other", "sekha-magics", "0.0.1")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    found = only(examine(probe=False), "sekha-magics")
    assert found.level == "warning" and "0.0.1 is what pip installed" in found.found


# --- the extension ----------------------------------------------------------------------------------


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where JupyterLab looks first for extensions."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    place = tmp_path / "share" / "labextensions" / "sekha-magics"
    place.mkdir(parents=True)
    return place


BUILT = ROOT / "sekha_magics" / "labextension" / "package.json"


def extend(place: Path, version: str = __version__, *, built: bool = True, load: str = "") -> None:
    """Install an extension, that of the checkout where there is one."""
    if not load:
        here = json.loads(BUILT.read_text(encoding="utf-8")) if BUILT.exists() else {}
        load = here["jupyterlab"]["_build"]["load"] if here else "static/entry.js"
    package = {"name": "sekha-magics", "version": version, "jupyterlab": {"_build": {"load": load}}}
    (place / "package.json").write_text(json.dumps(package), encoding="utf-8")
    if built:
        (place / load).parent.mkdir(exist_ok=True)
        (place / load).touch()


def test_an_extension_of_this_version_is_found(lab: Path) -> None:
    extend(lab)
    found = only(examine(probe=False), "JupyterLab extension")
    assert found.level == "ok" and str(lab) in found.found and __version__ in found.found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "holds no extension"),
        ("[1]", "holds no extension"),
        ('{"version": "1"}', "holds no extension"),
        ('{"version": 1, "jupyterlab": {"_build": {"load": 5}}}', "holds no extension"),
        ("", "holds no extension"),
    ],
)
def test_an_extension_that_is_damaged_is_a_problem(lab: Path, text: str, said: str) -> None:
    (lab / "package.json").write_text(text, encoding="utf-8")
    found = only(examine(probe=False), "JupyterLab extension")
    assert found.level == "problem" and said in found.found and "pip install" in found.mend


def test_an_extension_of_another_version_or_without_its_code_is_a_problem(lab: Path) -> None:
    extend(lab, "0.0.7", built=False)
    assert "is missing" in only(examine(probe=False), "JupyterLab extension").found
    extend(lab, "0.0.7")
    found = only(examine(probe=False), "JupyterLab extension")
    assert found.level == "problem" and "0.0.7 is installed" in found.found and __version__ in found.found


@pytest.mark.skipif(not BUILT.exists(), reason="the extension of this checkout is not built")
def test_an_extension_of_another_build_is_a_warning(lab: Path) -> None:
    extend(lab, load="static/another.js")
    found = only(examine(probe=False), "JupyterLab extension")
    assert found.level == "warning" and "another build" in found.found and "pip install" in found.mend


@pytest.mark.parametrize("form", ["list", "mapping"])
def test_a_part_of_the_extension_that_is_switched_off_is_named(
    lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    extend(lab)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    config = tmp_path / "config" / "labconfig" / "page_config.json"
    config.parent.mkdir(parents=True)
    names = ["sekha-magics:spend", "somebody-else"]
    off = names if form == "list" else {**dict.fromkeys(names, True), "sekha-magics:render": False}
    config.write_text(json.dumps({"disabledExtensions": off}), encoding="utf-8")
    found = of(examine(probe=False), "JupyterLab extension")
    assert [f.level for f in found] == ["ok", "warning"]
    assert "sekha-magics:spend is disabled" in found[1].found
    assert found[1].mend == "`jupyter labextension enable sekha-magics:spend`"
    config.write_text('{"disabledExtensions": ', encoding="utf-8")
    assert "cannot be read" in of(examine(probe=False), "JupyterLab extension")[1].found


def test_an_extension_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    # Only another prefix is without what is installed beside this Python.
    venv.create(tmp_path / "venv", with_pip=False, symlinks=os.name != "nt")
    python = next(f for f in (tmp_path / "venv").glob("*/python*") if f.is_file())
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [python, "-m", "sekha_magics", "doctor", "--no-probe", "--json"],
        env=environ,
        capture_output=True,
        check=False,
        timeout=120,
    )
    found = [f for f in json.loads(done.stdout)["findings"] if f["check"] == "JupyterLab extension"]
    assert [f["level"] for f in found] == ["warning"] and "not installed" in found[0]["found"] and found[0]["mend"]


# --- configuration and keys -------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"llm_providers: [", b"llm_providers: 5", b"\xff\xfe\x00llm_providers:", b""])
def test_a_damaged_configuration_is_a_problem_and_the_rest_is_looked_at(folder: Path, content: bytes) -> None:
    (folder / "mine.yaml").write_bytes(content)
    report = examine(str(folder / "mine.yaml"))
    assert only(report, "configuration").level == "problem"
    assert "not asked" in only(report, "providers").found
    assert only(report, "ledger").level == "ok" and only(report, "queue").level == "ok"


def test_a_configuration_that_is_nowhere_is_a_problem(folder: Path) -> None:
    assert only(examine(str(folder / "nowhere.yaml")), "configuration").level == "problem"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a folder that is worked in")
def test_a_working_folder_that_is_gone_is_a_problem(folder: Path) -> None:
    folder.rmdir()
    report = examine()
    assert "working folder is gone" in only(report, "configuration").found
    assert only(report, "ledger").level == "ok"


def test_a_plugin_that_cannot_be_imported_does_not_end_the_examination(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "other", "broken-plugin", "1.0")
    entry = tmp_path / "other" / "broken_plugin-1.0.dist-info" / "entry_points.txt"
    entry.write_text("[sekha_magics.providers]\nbroken = broken_plugin_that_is_not_here:Broken\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert only(examine(probe=False), "queue").level == "ok"


def test_a_file_of_strangers_is_a_problem_until_it_is_trusted(folder: Path) -> None:
    stranger = stage() | {"type": "openai", "base_url": "https://collect.example"}
    file = folder / "config.yaml"
    file.write_text(json.dumps({"llm_providers": [stranger]}), encoding="utf-8")
    found = only(examine(), "configuration")
    assert found.level == "problem" and "collect.example" in found.found and "trust" in found.mend
    assert main(["config", "trust", str(file)]) == 0
    assert only(examine(probe=False), "configuration").found.endswith("trusted")


def test_keys_are_told_by_name_and_place_and_never_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    cloud = stage("cloud") | {"type": "anthropic", "api_key": "${ANTHROPIC_API_KEY}"}
    main(["doctor", "--no-probe", "--config", configure(folder, stage(), cloud)])
    said = capsys.readouterr().out
    assert KEY not in said and "OPENAI_API_KEY from the environment" in said
    assert "cloud has none" in said and "%sekha keys set" in said


@pytest.mark.parametrize("place", ["base_url", "id", "model_id", "unknown"])
def test_a_key_that_stands_where_it_does_not_belong_is_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    provider = stage()
    if place == "model_id":
        provider["models"] = [{"model_id": KEY, "tasks": ["chat_small"]}]
    else:
        provider[place] = KEY if place != "base_url" else f"http://{KEY}.example"
    report = examine(configure(folder, provider))
    for face in (str(report), json.dumps(report.to_json()), report.to_html(), report.to_frame().to_csv()):
        assert KEY not in face


# --- providers --------------------------------------------------------------------------------------


@pytest.fixture
def closed_port() -> int:
    """A loopback port nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_dead_provider_is_a_problem_unless_it_is_not_asked(folder: Path, closed_port: int) -> None:
    dead = {"id": "dead", "type": "ollama", "base_url": f"http://127.0.0.1:{closed_port}",
            "models": [{"model_id": "llama3.1:8b", "tasks": ["chat_small"]}]}  # fmt: skip
    file = configure(folder, dead, stage())
    report = examine(file)
    found = only(report, "provider dead")
    assert found.level == "problem" and str(closed_port) in found.found and "base_url" in found.mend
    assert only(report, "provider stage").level == "ok"
    assert only(examine(file, probe=False), "provider dead").level == "ok"
    alone = examine(configure(folder, dead))
    assert "nobody may answer" in only(alone, "providers").found


def test_without_a_configuration_a_provider_that_is_not_there_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SEKHA_HOME", os.environ["SEKHA_HOME"])
    report = examine()
    assert [f.level for f in report.findings if f.check == "provider ollama"] in (["warning"], ["ok"])


def test_nothing_a_provider_says_is_markup_or_a_control_sequence(folder: Path) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m\u202e"
    models = [{"model_id": "<img src=x onerror=y>", "tasks": ["chat_small"]}]
    odd = stage("odd", options={"fail": {"message": hostile}}) | {"models": models}
    with Registry.from_yaml(configure(folder, odd)) as registry:
        set_registry(registry)
        with pytest.raises(Exception, match="odd"):
            registry.chat("hi")
        report = examine(probe=False)
    for face in (str(report), report.to_html()):
        assert not set(face) & set("\x1b\u202e")
    assert "<script" not in report.to_html() and "<img" not in report.to_html()


# --- what is kept -----------------------------------------------------------------------------------


def test_a_ledger_in_order_is_verified_and_counted(own_directories: Path) -> None:
    ledger = Ledger()
    for n in range(3):
        ledger.append(event(decision_id=f"d{n}", prompt="a", answer="b"))
    ledger.flush()
    ledger.append(event(decision_id="d9", prompt="a", answer="b"))
    report = examine(probe=False)
    found = only(report, "ledger")
    assert found.level == "ok" and "4 decisions" in found.found and found.found.endswith("whole")
    assert "1 events wait" in only(report, "queue").found
    ledger.close()


def test_a_ledger_with_a_gap_is_a_problem(own_directories: Path) -> None:
    ledger = Ledger()
    for n in range(3):
        ledger.append(event(decision_id=f"d{n}", prompt="a", answer="b"))
    ledger.close()
    with sqlite3.connect(own_directories / "queue.sqlite") as queue:
        queue.execute("DELETE FROM events")
    import duckdb

    with duckdb.connect(str(own_directories / "ledger.duckdb")) as file:
        file.execute("DELETE FROM receipts WHERE number = 2")
        file.execute("DELETE FROM decisions WHERE decision_id = 'd1'")
    found = of(examine(probe=False), "ledger")[0]
    assert found.level == "problem" and "gap" in found.found and "verify" in found.mend


def test_a_ledger_that_is_a_folder_is_a_problem(own_directories: Path) -> None:
    (own_directories / "ledger.duckdb").mkdir(parents=True)
    found = only(examine(probe=False), "ledger")
    assert found.level == "problem" and "is a folder" in found.found and found.mend


@pytest.mark.parametrize("name", ["ledger.duckdb", "queue.sqlite", "budgets.sqlite", "memory/memory.sqlite"])
def test_a_damaged_file_is_a_problem_of_its_own_check(own_directories: Path, name: str) -> None:
    ledger = Ledger()
    ledger.append(event(decision_id="d", prompt="a", answer="b"))
    ledger.close()
    path = own_directories / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"this is no database, and longer than any header of one" * 100)
    report = examine(probe=False)
    check = {"queue.sqlite": "ledger", "ledger.duckdb": "ledger"}.get(name, Path(name).stem)
    levels = {finding.level for finding in of(report, check)}
    assert "problem" in levels or (name == "queue.sqlite" and "warning" in levels), str(report)
    assert only(report, "vector search").level == "ok"


@POSIX
def test_files_and_folders_others_may_read_are_named_with_the_command_that_mends_them(own_directories: Path) -> None:
    ledger = Ledger()
    ledger.append(event(decision_id="d", prompt="a", answer="b"))
    ledger.close()
    assert only(examine(probe=False), "private files").level == "ok"
    (own_directories / "ledger.duckdb").chmod(0o644)
    own_directories.chmod(0o755)
    found = of(examine(probe=False), "private files")
    assert [f.level for f in found] == ["warning", "warning"]
    for finding in found:
        subprocess.run(finding.mend.strip("`"), shell=True, check=True)
    assert only(examine(probe=False), "private files").level == "ok"


@POSIX
def test_a_file_system_without_sqlites_log_is_a_warning(own_directories: Path) -> None:
    for name in ("queue.sqlite", "budgets.sqlite"):
        # A folder in the place of the memory that processes share makes SQLite refuse in earnest.
        (own_directories / f"{name}-shm").mkdir(parents=True)
        (own_directories / name).touch()
    report = examine(probe=False)
    assert "each kernel writes lines to" in of(report, "queue")[0].found
    assert "each kernel alone" in of(report, "budgets")[0].found
    assert all(of(report, check)[0].level == "warning" for check in ("queue", "budgets"))


def test_a_data_directory_that_is_a_file_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "taken").touch()
    for place, said in (("taken", "is a file"), ("taken/below", "cannot be made")):
        monkeypatch.setenv("SEKHA_HOME", str(tmp_path / place))
        found = only(examine(probe=False), "data directory")
        assert found.level == "problem" and said in found.found and "SEKHA_HOME" in found.mend


def test_limits_in_force_are_told(folder: Path, own_directories: Path) -> None:
    report = examine(configure(folder, stage(), budget={"session": "0.5", "day": 5}), probe=False)
    assert only(report, "budgets").found == "session $0.5, day $5"
    assert not BudgetFile(own_directories / "budgets.sqlite").per_kernel


# --- models, vectors, cassettes ---------------------------------------------------------------------


def test_a_model_file_that_is_cut_short_or_no_model_is_a_problem(own_directories: Path) -> None:
    file = own_directories / "models" / "smollm2-135m-instruct.gguf"
    file.parent.mkdir(parents=True)
    for content, said in ((b"no model", "is not a GGUF file"), (b"GGUF\3\0\0\0" + b"\0" * 100, "108 bytes")):
        file.write_bytes(content)
        found = only(examine(probe=False), "embedded model")
        assert found.level == "problem" and said in found.found and "sekha models pull" in found.mend
    file.unlink()
    assert "sekha models pull" in only(examine(probe=False), "embedded model").mend


def test_a_vss_of_another_duckdb_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "other" / "duckdb_extension_vss"
    (package / "extensions" / "v0.9.9").mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    monkeypatch.delitem(sys.modules, "duckdb_extension_vss", raising=False)
    found = only(examine(probe=False), "vector search")
    assert found.level == "warning" and "v0.9.9" in found.found and "[vss]" in found.mend


def test_a_vss_that_cannot_be_loaded_is_a_problem_where_it_is_asked_for(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import duckdb

    package = tmp_path / "o'ther" / "duckdb_extension_vss"
    (package / "extensions" / f"v{duckdb.__version__}").mkdir(parents=True)
    (package / "extensions" / f"v{duckdb.__version__}" / "vss.duckdb_extension").write_bytes(b"nothing of the kind")
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(package.parent))
    monkeypatch.delitem(sys.modules, "duckdb_extension_vss", raising=False)
    assert only(examine(probe=False), "vector search").level == "warning"
    asked = examine(configure(folder, stage(), memory={"index": "hnsw"}), probe=False)
    assert only(asked, "vector search").level == "problem"


def test_a_cassette_in_force_is_told_and_a_missing_one_is_a_problem(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "none" in only(examine(probe=False), "cassette").found
    tape = folder / "tape.jsonl"
    monkeypatch.setenv("SEKHA_CASSETTE", str(tape))
    monkeypatch.setenv("SEKHA_MODE", "replay")
    assert only(examine(), "cassette").level == "problem"
    monkeypatch.setenv("SEKHA_CASSETTE", str(folder))
    assert "is no file" in only(examine(), "cassette").found
    monkeypatch.setenv("SEKHA_CASSETTE", str(tape))
    monkeypatch.setenv("SEKHA_MODE", "record")
    with Registry.from_yaml(configure(folder, stage())) as registry:
        registry.chat("hi")
    monkeypatch.setenv("SEKHA_MODE", "replay")
    report = examine()
    assert "replayed from" in only(report, "cassette").found and report.ok
    assert "none is needed" in only(report, "configuration").found
