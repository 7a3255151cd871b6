"""`%sekha`: looking, keys, configuration, cassettes."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import pandas as pd
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell

from sekha_magics import Registry, __version__, errors, set_registry
from sekha_magics.registry import current_registry

from .conftest import Ran
from .parrot import Parrot

Run = Callable[[str], Ran]
KEY = "sk-recognisable-0123456789"
CONFIG = (
    "llm_providers:\n- id: mine\n  type: {type}\n  base_url: {url}\n  models: [{{model_id: m, tasks: [chat_small]}}]\n"
)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, registry: Registry) -> None:
    monkeypatch.chdir(tmp_path)


# --- looking --------------------------------------------------------------------------------------


def test_models_and_health_are_frames_and_tasks_a_list(run: Run) -> None:
    models = run("%sekha models")
    assert isinstance(models.value, pd.DataFrame)
    assert list(models.value["model_id"]) == ["echo", "see"]
    assert "chat_small, chat_smart" in models.stdout and "USD per million tokens" in models.stdout
    assert run("%sekha tasks").value == ["chat_small", "chat_smart", "vision"]
    health = run("%sekha health")
    assert list(health.value["provider_id"]) == ["cage"]
    assert "as seen in this session" in health.stdout
    assert "asked just now" in run("%sekha health --probe").stdout


def test_health_shows_an_open_breaker_and_resets_it_for_one_provider_or_all(run: Run, registry: Registry) -> None:
    def refused() -> None:
        permit = registry.state.admit("cage")
        assert permit is not None
        registry.state.settle("cage", permit, errors.ConnectionFailed("nobody", refused=True))

    for line in ("%sekha health --reset", "%sekha health --reset cage"):
        refused()
        shown = run("%sekha health").value.iloc[0]
        assert (shown["state"], shown["failures"]) == ("open", 1)
        assert shown["retry_at"] > pd.Timestamp.now("UTC")
        assert list(run(line).value["state"]) == ["closed"]
    assert "There is no provider" in str(run("%sekha health --reset cag").error)


def test_health_shows_the_share_of_errors_and_the_course_of_latencies(run: Run, registry: Registry) -> None:
    quiet = run("%sekha health")
    assert "latency" not in quiet.stdout and "last error" not in quiet.stdout
    for ms in (100, 300, 200):
        registry.state.succeeded("cage", "echo", ms)
    registry.state.failed("cage", errors.ServerFailed("<b>no</b>"))
    ran = run("%sekha health")
    assert "25 % ██" in ran.stdout and "200 ms (100 to 300) ▃█▆" in ran.stdout
    html = ran.value._repr_mimebundle_()["text/html"]
    assert "the course of the last 3" in html and "<b>" not in html
    assert list(ran.value["latency_p50_ms"]) == [200] and "latency" not in ran.value.columns


def test_the_log_shows_the_newest_first_and_says_where_it_is(run: Run, registry: Registry) -> None:
    for word in ("one", "two", "three"):
        run(f"%sekha_chat -q -c {word} {word}")
    ran = run("%sekha log -n 2")
    assert len(ran.value) == 2
    assert ran.value["ts"].is_monotonic_decreasing
    assert len(run("%sekha log tail").value) == 3
    assert run("%sekha log path").value == str(registry.ledger.path)
    verified = run("%sekha log verify").value
    assert verified.ok and str(verified).startswith(f"{registry.ledger.path}: whole")


def test_a_hostile_model_name_is_only_text(run: Run, registry: Registry) -> None:
    registry.register_provider(
        {"id": "other", "type": "parrot", "models": [{"model_id": "<script>x", "tasks": ["chat_small"]}]}
    )
    bundle = run("%sekha models").value._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "<script>x" in bundle["text/plain"]


def test_many_rows_are_cut_and_said_to_be(run: Run, registry: Registry) -> None:
    models = [{"model_id": f"m{i}", "tasks": ["chat_small"]} for i in range(250)]
    registry.register_provider({"id": "many", "type": "parrot", "models": models})
    ran = run("%sekha models")
    assert len(ran.value) == 252
    assert "the first 200 of 252 rows" in ran.stdout


def test_version_names_what_it_stands_on(run: Run) -> None:
    shown = run("%sekha version").stdout
    assert __version__ in shown and "duckdb" in shown


def test_the_doctor_looks_at_the_registry_in_use_and_says_how_to_mend(run: Run, registry: Registry) -> None:
    hostile = {"id": "odd", "type": "parrot", "models": [{"model_id": "<b>x", "tasks": ["chat_small"]}]}
    registry.register_provider(hostile | {"options": {"fail": "ServerFailed"}})
    assert run("%sekha_chat -q -m odd/<b>x hi").error is not None
    ran = run("%sekha doctor")
    found = {finding.check: finding for finding in ran.value.findings}
    assert "a mapping: sound" in found["configuration"].found
    assert found["provider cage"].found.startswith("answers") and found["streaming"].level == "ok"
    assert ran.value.ok and ran.value.summary in ran.stdout
    assert "<script" not in ran.value.to_html() and "not asked now" in run("%sekha doctor --no-probe").stdout
    assert isinstance(run("%sekha doctor now").error, UsageError)
    run("%config SekhaMagics.stream = False")
    assert registry.session_id  # it was not closed
    assert run("%sekha_chat -q still here").error is None


@pytest.mark.parametrize("cell", ["%sekha", "%sekha --help", "%sekha ?", "%sekha help"])
def test_help_lists_the_subcommands(run: Run, cell: str) -> None:
    ran = run(cell)
    assert ran.error is None and "cassette" in ran.stdout


@pytest.mark.parametrize("cell", ["%sekha keys --help", "%sekha keys?", "%sekha keys ?"])
def test_help_of_a_subcommand_says_more(run: Run, cell: str) -> None:
    ran = run(cell)
    assert ran.error is None and "keys forget NAME" in ran.stdout


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("%sekha modles", "Did you mean models?"),
        ("%sekha zzz", "Known are models"),
        ("%sekha models now", "'now' is not understood"),
        ("%sekha health --prob", "Did you mean --probe?"),
        ("%sekha log tial", "Did you mean tail?"),
        ("%sekha log path x", "'x' is not understood"),
        ("%sekha config chekc", "Did you mean check?"),
        ("%sekha config show a.yaml", "Did you mean check?"),
        ("%sekha config trust", "no configuration is found"),
        ("%sekha config migrate nowhere.yaml", "cannot be read"),
        ("%sekha cassette --mode replay", "--mode needs a file"),
        ("%sekha cassette off --mode live", "off takes no --mode"),
        ("%sekha cassette a --mode rec", "Did you mean record?"),
        ("%sekha keys set", "NAME is a variable"),
        ("%sekha keys forget a-b", "NAME is a variable"),
    ],
)
def test_a_mistake_is_a_usage_error(run: Run, cell: str, message: str) -> None:
    error = run(cell).error
    assert type(error) is UsageError
    assert message in str(error)


# --- configuration --------------------------------------------------------------------------------


def test_show_tells_what_is_in_force_without_a_key(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    set_registry(None)
    ran = run("%sekha config")
    assert "OPENAI_API_KEY" in ran.stdout and "openai" in ran.stdout
    assert KEY not in ran.stdout + ran.stderr


def test_check_says_what_a_file_holds_and_what_is_wrong(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good one.yaml").write_text(CONFIG.format(type="ollama", url="http://localhost:11434"))
    ran = run('%sekha config check "good one.yaml"')
    assert "sound" in ran.stdout and "1 providers, 1 models" in ran.stdout
    (tmp_path / "bad.yaml").write_text("llm_providers: []\nroutnig: {}\n")
    error = run("%sekha config check bad.yaml").error
    assert isinstance(error, errors.ConfigError) and "routnig" in error.message and error.short


def test_a_projects_file_is_used_once_it_is_trusted(run: Run, tmp_path: Path) -> None:
    set_registry(None)
    (tmp_path / "config.yaml").write_text(CONFIG.format(type="openai", url="https://elsewhere.example/v1"))
    assert isinstance(run("%sekha models").error, errors.UntrustedConfig)
    assert isinstance(run("%sekha config check").error, errors.UntrustedConfig)
    ran = run("%sekha config trust")
    assert ran.error is None and "config.yaml is trusted" in ran.stdout
    assert list(run("%sekha models").value["model_id"]) == ["m"]


def test_migrate_prints_an_old_file_in_todays_form(run: Run, tmp_path: Path) -> None:
    (tmp_path / "old.yaml").write_text(
        "version: '1.0'\nproviders:\n- {id: a, provider_type: ollama, timeout_secs: 5}\n"
    )
    ran = run("%sekha config migrate old.yaml")
    assert "llm_providers:" in ran.stdout and "type: ollama" in ran.stdout and "timeout: 5" in ran.stdout


def test_what_was_made_of_old_variables_is_said_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_URL", "http://localhost:1")
    monkeypatch.setenv("CHAT_MODEL", "llama3.1:8b")
    set_registry(None)
    first = run("%sekha config")
    assert "ollama_migrated" in first.stdout and "OLLAMA_URL" in first.stderr
    assert run("%sekha config").stderr == ""


# --- keys -----------------------------------------------------------------------------------------


class Ring(keyring.backend.KeyringBackend):  # type: ignore[misc]
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def ring() -> Any:
    before = keyring.get_keyring()
    ring = Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody types the key at the prompt."""
    monkeypatch.setattr(getpass, "getpass", lambda prompt: KEY)


def test_a_key_is_typed_kept_listed_and_forgotten_without_being_shown(
    run: Run, ring: Ring, typed: None, registry: Registry
) -> None:
    ran = run("%sekha keys set OPENAI_API_KEY")
    assert ran.error is None
    assert KEY in ring.kept.values()
    assert registry.redact(f"the key {KEY}") == f"the key {KEY}" or KEY not in registry.redact(KEY)
    listed = run("%sekha keys")
    assert "typed in this session" in listed.stdout
    forgotten = run("%sekha keys forget OPENAI_API_KEY")
    assert ring.kept == {}
    for each in (ran, listed, forgotten):
        assert KEY not in each.stdout + each.stderr + str(each.value)
    assert "OPENAI_API_KEY" not in os.environ


def test_a_provider_without_its_key_has_it_from_then_on(run: Run, ring: Ring, typed: None, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        "llm_providers:\n- id: o\n  type: openai\n  api_key: ${OPENAI_API_KEY}\n"
        "  models: [{model_id: m, tasks: [chat_small]}]\n"
    )
    set_registry(None)
    assert "no_key" in str(run("%sekha_route hi").error)
    run("%sekha keys set OPENAI_API_KEY")
    assert run("%sekha_route hi").value.provider_id == "o"


def test_without_a_keyring_the_key_serves_this_session_and_the_user_is_told(run: Run, typed: None) -> None:
    ran = run("%sekha keys set OPENAI_API_KEY")
    assert isinstance(ran.error, errors.ConfigError)
    assert "this session only" in ran.error.message and KEY not in ran.stdout
    assert "typed in this session" in run("%sekha keys list").stdout


def test_a_key_given_in_the_cell_is_refused_and_not_repeated(run: Run) -> None:
    ran = run(f"%sekha keys set OPENAI_API_KEY {KEY}")
    assert type(ran.error) is UsageError
    assert KEY not in str(ran.error) + ran.stdout + ran.stderr


def test_keys_can_be_set_while_the_configuration_is_not_trusted(
    run: Run, ring: Ring, typed: None, tmp_path: Path
) -> None:
    set_registry(None)
    (tmp_path / "config.yaml").write_text(CONFIG.format(type="openai", url="https://elsewhere.example/v1"))
    assert run("%sekha keys set MY_OWN_KEY").error is None
    assert KEY in ring.kept.values()


# --- cassettes ------------------------------------------------------------------------------------


def test_what_was_recorded_is_replayed_without_asking(run: Run, parrot: Callable[..., Registry]) -> None:
    assert "no cassette" in run("%sekha cassette").stdout
    assert run("%sekha cassette answers.jsonl --mode record").error is None
    first = run("%sekha_chat hello")
    run("%sekha cassette off")
    parrot(answer="something else")
    run("%sekha cassette answers.jsonl --mode replay")
    again = run("%sekha_chat hello")
    assert Parrot.heard == []
    assert again.outputs[0].data == first.outputs[0].data
    assert again.value.replayed
    assert isinstance(run("%sekha_chat something new").error, errors.CassetteMiss)
    replaying = run("%sekha_cost").stdout
    assert "$0.000003 in this session" in replaying
    assert "Replayed answers" not in replaying
    run("%sekha cassette off")
    live = run("%sekha_cost").stdout
    assert "$0 in this session" in live
    assert "Replayed answers once cost $0.000003 and count for nothing here" in live


def test_a_replay_needs_no_usable_configuration(run: Run, tmp_path: Path, shell: InteractiveShell) -> None:
    run("%sekha cassette answers.jsonl --mode record")
    run("%sekha_chat hello")
    set_registry(None)
    (tmp_path / "config.yaml").write_text(CONFIG.format(type="openai", url="https://elsewhere.example/v1"))
    assert isinstance(run("%sekha cassette other.jsonl --mode record").error, errors.UntrustedConfig)
    assert run("%sekha cassette answers.jsonl --mode replay").error is None
    assert run("%sekha_chat hello").value.text == "hello"
    standing = current_registry()
    assert standing is not None
    standing.close()


# --- budget ---------------------------------------------------------------------------------------


def test_a_budget_is_shown_set_and_lifted(run: Run, registry: Registry) -> None:
    shown = run("%sekha budget")
    assert list(shown.value.columns) == ["scope", "limit", "spent", "reserved", "left", "used"]
    assert shown.value["limit"].tolist() == [None] * 4
    run("%sekha_chat -q one two three")
    ran = run("%sekha budget session 0.00002")
    row = ran.value.iloc[0]
    assert (row["scope"], row["limit"], row["spent"]) == ("session", Decimal("0.00002"), Decimal("0.000009"))
    assert "$0.00002" in ran.stdout and "████░░░░░░ 45 %" in ran.stdout
    assert "██" in ran.value._repr_mimebundle_()["text/html"]
    refused = run("%sekha_chat once more").error
    assert isinstance(refused, errors.BudgetExceeded) and "session" in str(refused)
    assert run("%sekha budget session none").value["limit"].tolist() == [None] * 4
    assert run("%sekha_chat -q once more").error is None


def test_a_limit_of_nothing_is_all_used(run: Run) -> None:
    assert "██████████ 100 %" in run("%sekha budget day 0").stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the memory that processes share elsewhere")
def test_a_budget_that_no_other_kernel_shares_says_so(run: Run, registry: Registry, own_directories: Path) -> None:
    assert "this kernel alone" not in run("%sekha budget").stdout
    # A folder in the place of the memory that processes share makes SQLite refuse in earnest.
    registry.close()
    (own_directories / "budgets.sqlite-shm").mkdir(parents=True)
    (own_directories / "budgets.sqlite").touch()
    with pytest.warns(RuntimeWarning, match="this kernel alone"):
        shown = run("%sekha budget")
    assert "hold for this kernel alone" in shown.stdout and "SEKHA_HOME" in shown.stdout
    assert registry.budget.per_kernel


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%sekha budget session", "USD, such as 0.50"),
        ("%sekha budget sesion 1", "Did you mean session?"),
        ("%sekha budget session much", "amount in USD"),
        ("%sekha budget session -1", "-1"),
    ],
)
def test_a_budget_that_is_none_is_refused_in_a_sentence(run: Run, line: str, said: str) -> None:
    error = run(line).error
    assert isinstance(error, UsageError | errors.InvalidInput) and said in str(error)
