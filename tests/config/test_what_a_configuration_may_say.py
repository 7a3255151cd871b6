from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.config.schema import Config
from sekha_magics.core.provider_types import BUILT_IN, ProviderType
from sekha_magics.errors import ConfigError

from .rooms import from_file, loaded, one_model, one_provider


def test_every_key_of_a_configuration_arrives(tmp_path: Path) -> None:
    config = from_file(
        tmp_path,
        """
config_version: "2.0"
llm_providers:
  - id: ollama_local
    type: ollama
    base_url: http://localhost:11434
    api_key: ${OPENAI_API_KEY}
    priority: 1
    timeout: 120.5
    enabled: false
    local: false
    options: {threads: 2, top: 0.5, nested: [{a: 1.25}]}
    models:
      - model_id: llama3.1:8b
        tasks: [chat_small, chat_smart]
        context_window: 8192
        max_output_tokens: 2048
        base_model: llama3
        supports_vision: false
        supports_audio: true
        supports_function_calling: true
        vision_capabilities: {max_images: 3, max_image_size_mb: 2.5, supported_formats: [png]}
        price: {input: 2.50, output: 10.00, cached_input: 1.25}
      - {model_id: nomic, tasks: [embedding], dimension: 768}
default_models: {embedding: nomic, chat_fast: null, chat_smart: ollama_local/llama3.1:8b, chat_vision: null}
routing: {default_task: chat_smart, policy: fastest, auto_fallback: false, require_vision_for_images: false,
          max_cost_per_request: 0.10}
ledger: {path: mine.duckdb, content: hash}
memory: {path: mine, enabled: true, index: hnsw, exclude: [/private/, /a/b, /private]}
""",
    ).config
    provider = config.provider("ollama_local")
    assert (provider.priority, provider.timeout, provider.enabled, provider.local) == (1, 120.5, False, False)
    assert provider.options == {"threads": 2, "top": 0.5, "nested": [{"a": 1.25}]}
    assert type(provider.options["top"]) is float
    model, embedder = provider.models
    assert (model.context_window, model.max_output_tokens, model.base_model) == (8192, 2048, "llama3")
    assert (model.supports_vision, model.supports_audio, model.supports_function_calling) == (False, True, True)
    assert model.vision_capabilities.max_image_size_mb == 2.5
    assert model.vision_capabilities.supported_formats == ("png",)
    assert model.price is not None
    assert str(model.price.input) == "2.50"
    assert embedder.dimension == 768
    assert config.default_models.chat_smart == "ollama_local/llama3.1:8b"
    assert config.routing.policy == "fastest"
    assert config.routing.max_cost_per_request == Decimal("0.10")
    assert config.ledger.path == tmp_path / "mine.duckdb"
    assert config.ledger.content == "hash"
    assert (config.memory.path, config.memory.enabled, config.memory.index) == (tmp_path / "mine", True, "hnsw")
    assert config.memory.exclude == ("/private", "/a/b")
    with pytest.raises(KeyError):
        config.provider("nobody")


def test_what_is_not_said_has_its_default() -> None:
    config = loaded(one_provider()).config
    provider = config.llm_providers[0]
    assert (provider.priority, provider.timeout, provider.enabled, provider.local) == (50, 120, True, None)
    assert provider.models[0].supports_vision is None
    assert config.routing.policy == "priority"
    assert config.ledger.path is None


def test_sections_with_nothing_in_them_say_nothing(tmp_path: Path) -> None:
    text = (
        "llm_providers:\n  - id: a\n    type: ollama\n    models:\n    options:\nrouting:\nledger:\ndefault_models:\n"
    )
    assert from_file(tmp_path, text).config.routing.policy == "priority"


@pytest.mark.parametrize(
    ("text", "exact"), [("0.1", "0.1"), ("2.50", "2.50"), ("0.000000000001", "1E-12"), ("3", "3"), ("1e-3", "0.001")]
)
def test_a_price_never_passes_through_a_float(tmp_path: Path, text: str, exact: str) -> None:
    head = "llm_providers: [{id: a, type: ollama, models: [{model_id: m, tasks: [chat_small], price: "
    price = (
        from_file(tmp_path, f"{head}{{input: {text}, output: '{text}'}}}}]}}]").config.llm_providers[0].models[0].price
    )
    assert price is not None
    assert price.input == price.output == Decimal(exact)


def test_a_float_given_from_python_keeps_the_digits_it_is_written_with() -> None:
    price = loaded(one_model(price={"input": 0.1, "output": 2})).config.llm_providers[0].models[0].price
    assert price is not None
    assert price.input == Decimal("0.1")


@given(st.decimals(min_value=0, max_value=100_000, places=12))
def test_any_price_comes_out_of_a_file_as_it_was_written(price: Decimal) -> None:
    from sekha_magics.config.yaml_text import read_yaml

    value, _ = read_yaml(f"llm_providers: [{{id: a, type: scripted, models: [{{model_id: m, tasks: [chat_small], "
                         f"price: {{input: {price:f}, output: 0}}}}]}}]", "c")  # fmt: skip
    found = loaded(value).config.llm_providers[0].models[0].price
    assert found is not None
    assert found.input == price


@pytest.mark.parametrize(
    ("mapping", "path", "says"),
    [
        ({**one_provider(), "ruting": {}}, "ruting", "did you mean `routing`?"),
        ({**one_provider(), "xylophones": {}}, "xylophones", "here stand config_version, llm_providers"),
        ({**one_provider(), "xylophones": {}}, "xylophones", "is not a key"),
        ({**one_provider(), "routing": {"max_retries": -1}}, "routing.max_retries", "at least 0"),
        ({**one_provider(), "routing": {"experiments": []}}, "routing.experiments", "is not a key"),
        ({**one_provider(), "routing": {"circuit_breaker": {"failure_treshold": 3}}}, "treshold", "failure_threshold"),
        ({**one_provider(), "routing": {"circuit_breaker": {"timeout_secs": 0}}}, "timeout_secs", "more than 0"),
        (one_provider(timeouts={"totl": 3}), "llm_providers[0].timeouts.totl", "did you mean `total`?"),
        (one_provider(timeout=5, timeouts={"total": 3}), "llm_providers[0]", "mean the same and differ"),
        ({**one_provider(), "routing": {"policy": "measured"}}, "routing.policy", "must be one of priority, cheapest"),
        (one_provider(base_ulr="http://x"), "llm_providers[0].base_ulr", "did you mean `base_url`?"),
        (one_provider(provder_type="x"), "llm_providers[0].provder_type", "did you mean `provider_type`?"),
        (one_model(modle_id="x"), "llm_providers[0].models[0].modle_id", "did you mean `model_id`?"),
        (one_model(price={"input": 1, "output": 1, "cached": 1}), "[0].price.cached", "did you mean `cached_input`?"),
        (one_model(price={"input": 1}), "llm_providers[0].models[0].price.output", "is required"),
        (one_model(price={"input": -1, "output": 1}), "llm_providers[0].models[0].price.input", "at least 0"),
        (one_model(price={"input": True, "output": 1}), "llm_providers[0].models[0].price.input", "must be a number"),
        (one_model(price={"input": "nan", "output": 1}), "llm_providers[0].models[0].price.input", "finite"),
        (one_model(price={"input": "1e-13", "output": 1}), "llm_providers[0].models[0].price.input", "12 digits"),
        (one_model(tasks=[]), "llm_providers[0].models[0].tasks", "must not be empty"),
        (one_model(tasks=["chat_smal"]), "llm_providers[0].models[0].tasks[0]", "did you mean `chat_small`?"),
        (one_model(tasks="chat_small"), "llm_providers[0].models[0].tasks", "must be a list"),
        (one_model(tasks=["embedding"]), "llm_providers[0].models[0].dimension", "required for an embedding model"),
        (one_model(dimension=0), "llm_providers[0].models[0].dimension", "at least 1"),
        (one_model(context_window=8192.5), "llm_providers[0].models[0].context_window", "whole number"),
        (one_model(context_window="big"), "llm_providers[0].models[0].context_window", "whole number"),
        (one_model(context_window=True), "llm_providers[0].models[0].context_window", "must be a number"),
        (one_model(max_output_tokens=0), "llm_providers[0].models[0].max_output_tokens", "at least 1"),
        (one_model(supports_vision="perhaps"), "llm_providers[0].models[0].supports_vision", "true or false"),
        (one_model(model_id=7), "llm_providers[0].models[0].model_id", "must be text; put it in quotes"),
        (one_model(model_id=" x"), "llm_providers[0].models[0].model_id", "without spaces"),
        (one_model(model_id="x\x1b[31m"), "llm_providers[0].models[0].model_id", "must be text"),
        (one_model(model_id="x" * 301), "llm_providers[0].models[0].model_id", "longer than 300"),
        (one_model(vision_capabilities={"max_images": 0}), "vision_capabilities.max_images", "at least 1"),
        (one_model(vision_capabilities={"max_image_size_mb": 0}), "max_image_size_mb", "more than 0"),
        (one_model(vision_capabilities={"supported_formats": ["PNG"]}), "supported_formats[0]", "may hold only a-z"),
        (one_model(vision_capabilities={"supported_formats": []}), "supported_formats", "must not be empty"),
        (one_model(vision_capabilities=[]), "vision_capabilities", "must be a section"),
        (one_provider(priority=0), "llm_providers[0].priority", "at least 1"),
        (one_provider(priority=101), "llm_providers[0].priority", "at most 100"),
        (one_provider(priority=None), "llm_providers[0].priority", "whole number"),
        (one_provider(timeout=0.5), "llm_providers[0].timeout", "at least 1"),
        (one_provider(timeout=601), "llm_providers[0].timeout", "at most 600"),
        (one_provider(timeout=float("nan")), "llm_providers[0].timeout", "at least 1"),
        (one_provider(timeout=float("inf")), "llm_providers[0].timeout", "must be"),
        (one_provider(timeout="soon"), "llm_providers[0].timeout", "must be a number"),
        (one_provider(id="Has Spaces"), "llm_providers[0].id", "may hold only a-z, 0-9, `_` and `-`"),
        (one_provider(id=None), "llm_providers[0].id", "must be text"),
        (one_provider(type="opnai"), "llm_providers[0].type", "did you mean `openai`?"),
        (one_provider(type="zzzzz"), "llm_providers[0].type", "there are anthropic, litellm"),
        (one_provider(type=3), "llm_providers[0].type", "must be text"),
        (one_provider(type="openai", models=[]), "llm_providers[0].models", "is required"),
        (one_provider(models={}), "llm_providers[0].models", "must be a list"),
        (one_provider(models=["m"]), "llm_providers[0].models[0]", "must be a section"),
        (one_provider(options=[]), "llm_providers[0].options", "must be a section"),
        (one_provider(api_key=["k"]), "llm_providers[0].api_key", "must be text"),
        (one_provider(enabled=[]), "llm_providers[0].enabled", "true or false"),
        ({"llm_providers": "x"}, "llm_providers", "must be a list"),
        ({"llm_providers": ["x"]}, "llm_providers[0]", "must be a section"),
        ({}, "llm_providers", "is required"),
        ({**one_provider(), "config_version": "3.0"}, "config_version", "must be one of 2.0"),
        ({**one_provider(), "config_version": True}, "config_version", "must be one of 2.0"),
        ({**one_provider(), "default_models": {"chat_fast": "lama3.1:8b"}}, "default_models.chat_fast", "no provider"),
        ({**one_provider(), "default_models": {"chat_fst": "x"}}, "models.chat_fst", "did you mean `chat_fast`?"),
        ({**one_provider(), "default_models": 3}, "default_models", "must be a section"),
        ({**one_provider(), "ledger": {"content": "hashed"}}, "ledger.content", "did you mean `hash`?"),
        ({**one_provider(), "ledger": {"path": 3}}, "ledger.path", "must be a path"),
        ({**one_provider(), "memory": {"path": 3}}, "memory.path", "must be a path"),
        ({**one_provider(), "memory": {"enabled": "often"}}, "memory.enabled", "true or false"),
        ({**one_provider(), "memory": {"exclude": ["private"]}}, "memory.exclude", "a path from the top such as"),
        ({**one_provider(), "memory": {"exclude": "/private"}}, "memory.exclude", "must be a list"),
        ({**one_provider(), "memory": {"index": "hnws"}}, "memory.index", "did you mean `hnsw`?"),
        ({**one_provider(), "routing": {"default_task": 3}}, "routing.default_task", "must be one of"),
        ({**one_provider(), "routing": {"max_cost_per_request": "free"}}, "max_cost_per_request", "must be a number"),
        ({1: 2, **one_provider()}, "1", "a key must be text"),
        ({**one_provider(), "ledger": {"path": b"x"}}, "ledger.path", "bytes is not a value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_path(mapping: Any, path: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(mapping)
    assert path in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    "address",
    [
        "localhost:11434", "ftp://host/", "http://", "https:///path", "http://user:pw@host/", "http://a b/", "http://host:99999/",
        "http://host:port/", "http://host\\@evil.example/", "http://host/?key=1", "http://host/#x", "http://[::1", "", "http://hö.example",
        "http://host:0/", "http://-host/", "http://[not:an:address:%]/", "//host/path", "http://host\n.example/",
    ],
)  # fmt: skip
def test_an_address_that_can_be_misread_is_refused(address: str) -> None:
    with pytest.raises(ConfigError, match=r"llm_providers\[0\]\.base_url"):
        loaded(one_provider(base_url=address))


@pytest.mark.parametrize(
    "address",
    ["http://localhost:11434", "https://api.openai.com/v1", "http://[::1]:8000/v1", "http://10.0.0.7/", "https://a-b.example:8443/x/y_z/"],
)  # fmt: skip
def test_ordinary_addresses_stay_as_written(address: str) -> None:
    assert loaded(one_provider(base_url=address)).config.llm_providers[0].base_url == address


def test_all_problems_of_a_file_are_told_at_once_in_its_order(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        from_file(
            tmp_path,
            """\
llm_providers:
  - id: A
    type: opnai
    timeout: 900
    models:
      - modle_id: x
        tasks: [chat_small]
      - {model_id: e, tasks: [embedding]}
  - {id: A, type: ollama, base_url: "${NOPE}"}
ruting: {}
""",
        )
    message = caught.value.message
    assert message.startswith(f"{tmp_path / 'config.yaml'} has 10 problems:")
    expected = [
        "llm_providers[0].id (line 2)",
        "llm_providers[0].type (line 3)",
        "llm_providers[0].timeout (line 4): must be at most 600",
        "llm_providers[0].models[0].model_id (line 6): is required",
        "llm_providers[0].models[0].modle_id (line 6): is not a key of a configuration; did you mean `model_id`?",
        "llm_providers[0].models[1].dimension (line 8)",
        "llm_providers[1].base_url (line 9): provider `A`: the variable NOPE is not set",
        "llm_providers[1].id (line 9): `A` is already the id of llm_providers[0]",
        "ruting (line 10)",
    ]
    places = [message.index(text) for text in expected]
    assert places[0] < places[1] < places[2] < places[3] < places[5] < places[6] < places[8]


def test_two_providers_may_serve_one_model_and_share_a_type() -> None:
    model = {"model_id": "gpt-4.1", "tasks": ["chat_small"]}
    config = loaded(
        {"llm_providers": [{"id": i, "type": "openai", "api_key": f"key-{i}", "models": [model]} for i in ("a", "b")]}
    )
    assert [p.models[0].model_id for p in config.config.llm_providers] == ["gpt-4.1", "gpt-4.1"]
    assert {i: k.reveal() for i, k in config.keys.items()} == {"a": "key-a", "b": "key-b"}


def test_a_model_listed_twice_is_one_model_with_both_tasks() -> None:
    models = [
        {"model_id": "m", "task": "chat_small", "context_window": 4096},
        {"model_id": "m", "task": "vision", "max_output_tokens": 100},
        {"model_id": "other", "task": "chat_small"},
    ]
    merged, other = loaded(one_provider(models=models)).config.llm_providers[0].models
    assert merged.tasks == ("chat_small", "vision")
    assert (merged.context_window, merged.max_output_tokens, merged.supports_vision) == (4096, 100, True)
    assert other.model_id == "other"


def test_a_model_listed_twice_with_a_contradiction_is_refused() -> None:
    models = [{"model_id": "m", "task": "chat_small", "context_window": n} for n in (1, 2)]
    with pytest.raises(ConfigError, match="`m` stands twice, with a different `context_window`"):
        loaded(one_provider(models=models))


@pytest.mark.parametrize(
    ("said", "supports"), [({}, True), ({"supports_vision": None}, True), ({"supports_vision": False}, False)]
)
def test_a_vision_model_sees_unless_it_is_said_not_to(said: dict[str, Any], supports: bool) -> None:
    assert loaded(one_model(tasks=["vision"], **said)).config.llm_providers[0].models[0].supports_vision is supports


def test_a_default_model_may_name_its_provider() -> None:
    mapping = {**one_provider(), "default_models": {"chat_fast": "here/llama3.1:8b"}}
    assert loaded(mapping).config.default_models.chat_fast == "here/llama3.1:8b"
    mapping["default_models"] = {"chat_fast": "there/llama3.1:8b"}
    with pytest.raises(ConfigError, match=r"did you mean `here/llama3\.1:8b`"):
        loaded(mapping)


def test_a_default_model_that_has_no_effect_is_noted() -> None:
    notes = loaded({**one_provider(), "default_models": {"chat_vision": "llama3.1:8b"}}).notes
    assert notes == (
        "default_models.chat_vision: `llama3.1:8b` does not serve the task vision, so this has no effect.",
    )


def test_what_an_ollama_without_models_serves_is_asked_for_later() -> None:
    mapping = {**one_provider(models=[]), "default_models": {"chat_fast": "whatever"}}
    assert loaded(mapping).discover == ("here",)
    assert loaded(one_provider(models=[], enabled=False)).discover == ()


def test_a_provider_of_a_plugin_is_known_by_its_name() -> None:
    from sekha_magics.config.load import from_mapping

    types = {**BUILT_IN, "carrier_pigeon": ProviderType("carrier_pigeon")}
    mapping = one_provider(type="carrier_pigeon", options={"loft": "north", "speed": Decimal("1.5")})
    provider = from_mapping(mapping, environ={}, provider_types=types).config.llm_providers[0]
    assert provider.options == {"loft": "north", "speed": 1.5}


def test_no_providers_at_all_is_allowed_when_it_is_said() -> None:
    assert loaded({"llm_providers": []}).config.llm_providers == ()


@pytest.mark.parametrize("version", ["2.0", 2.0, Decimal("2.0"), 2, "2"])
def test_the_version_may_stand_without_quotes(version: Any) -> None:
    assert loaded({**one_provider(), "config_version": version}).config.config_version == "2.0"


def test_a_configuration_does_not_change() -> None:
    config = loaded(one_provider()).config
    with pytest.raises(ValueError, match="frozen"):
        config.routing.policy = "fastest"
    assert isinstance(config, Config)


# --- old names ------------------------------------------------------------------------------------------


def test_old_names_mean_the_same(tmp_path: Path) -> None:
    text = """
version: "2.0"
providers:
  - id: here
    provider_type: ollama
    timeout_secs: 33
    models: [{model_id: m, task: chat_smart}]
"""
    config = from_file(tmp_path, text).config
    assert config.llm_providers[0].timeout == 33
    assert config.llm_providers[0].models[0].tasks == ("chat_smart",)


@pytest.mark.parametrize(
    ("mapping", "path"),
    [
        ({**one_provider(), "version": "2.0", "config_version": "2.0"}, "version: is the old name of `config_version`"),
        ({**one_provider(), "providers": []}, "providers: is the old name of `llm_providers`"),
        (one_provider(provider_type="ollama"), "llm_providers[0].provider_type: is the old name of `type`"),
        (one_provider(timeout=1, timeout_secs=2), "llm_providers[0].timeout_secs: is the old name of `timeout`"),
        (one_model(task="vision"), "llm_providers[0].models[0].task: is the old name of `tasks`"),
    ],
)
def test_an_old_and_a_new_name_at_once_is_an_error(mapping: Any, path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(mapping)
    assert path in caught.value.message


def test_an_error_names_the_key_as_it_was_written(tmp_path: Path) -> None:
    text = """\
providers:
  - id: a
    provider_type: ollama
    timeout_secs: 0
    models:
      - {model_id: m, task: chat}
"""
    with pytest.raises(ConfigError) as caught:
        from_file(tmp_path, text)
    assert "providers[0].timeout_secs (line 4)" in caught.value.message
    assert "providers[0].models[0].task (line 6)" in caught.value.message


# --- whatever else one may be given -----------------------------------------------------------------------


def test_a_mapping_that_contains_itself_is_refused() -> None:
    mapping: dict[str, Any] = one_provider()
    mapping["llm_providers"][0]["options"] = mapping
    with pytest.raises(ConfigError, match="nested too deeply"):
        loaded(mapping)


@pytest.mark.parametrize("value", [None, [], "text", 3])
def test_what_is_no_mapping_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="must be a mapping"):
        loaded(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_KEYS = st.sampled_from(
    ["id", "type", "models", "model_id", "tasks", "price", "api_key", "options", "routing", "llm_providers",
     "providers", "default_models", "ledger", "path", "base_url", "chat_fast", "provider_type", "task", "version"]
)  # fmt: skip
_NEARLY = st.recursive(_JSON, lambda inner: st.dictionaries(_KEYS, inner, max_size=4) | st.lists(inner, max_size=2))


@given(st.dictionaries(_KEYS, _NEARLY, max_size=5))
def test_anything_at_all_is_a_configuration_or_a_configuration_error(mapping: dict[str, Any]) -> None:
    try:
        assert isinstance(loaded(mapping).config, Config)
    except ConfigError as error:
        assert error.message
