"""What a configuration may say: every key, its type, its bounds, and nothing else.

These are the checks of single values; what holds between them (ids that must differ, models that must be served) is
checked in `checks`. Values are immutable. A key is held as the text of the file, `${OPENAI_API_KEY}`, in a `SecretStr`:
neither `repr` nor JSON shows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from ..core.folders import normal_folder
from ..core.types import TASKS

__all__ = [
    "DEFAULT_FOR",
    "BudgetConfig",
    "BudgetLimits",
    "CircuitBreakerConfig",
    "Config",
    "DefaultModels",
    "LedgerConfig",
    "MemoryConfig",
    "ModelConfig",
    "PriceConfig",
    "ProviderConfig",
    "RoutingConfig",
    "TaskName",
    "TimeoutsConfig",
    "VisionCapabilities",
]

TaskName = Literal["embedding", "chat_small", "chat_large", "chat_smart", "vision", "audio", "image_generation"]
if get_args(TaskName) != TASKS:  # a type checker cannot read the tuple
    raise AssertionError("the tasks of the schema are not those of the package")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def _number(value: Any) -> Any:
    """`true` is no number, and a float keeps the digits it is written with."""
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004 - pydantic takes no other
    return Decimal(str(value)) if isinstance(value, float) else value


def _empty_section(value: Any) -> Any:
    """`routing:` with nothing below it says nothing."""
    return {} if value is None else value


def _empty_list(value: Any) -> Any:
    return () if value is None else value


_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.]+\]")


def _address(value: str) -> str:
    """An address other parsers cannot read differently: no user, no backslash, nothing after the path."""
    if not re.fullmatch(r"[!-~]+", value) or "\\" in value:
        raise ValueError("must be an address like https://host/path, without spaces")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError("must be an address like https://host:1234/path; this one cannot be read") from None
    if parts.scheme not in {"http", "https"}:
        raise ValueError("must begin with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user or password; a key belongs in `api_key`")
    host = re.sub(r":[0-9]*$", "", parts.netloc)
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError("must be an address like https://host:1234/path; its host cannot be read")
    if "?" in value or "#" in value:
        raise ValueError("must end with its path, without `?` or `#`")
    return value


def _word(value: str) -> str:
    if not value or value != value.strip() or not value.isprintable():
        raise ValueError("must be text, not empty, without spaces around it")
    return value


def _folder(value: str) -> str:
    if (normal := normal_folder(value)) is None:
        raise ValueError("must be a folder of the memory, a path from the top such as /uni/notes")
    return normal


def _distinct(value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(value))


def _without_decimals(value: Any) -> Any:
    """`options` go to a provider's own class, which expects the numbers Python programs use."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {k: _without_decimals(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_decimals(v) for v in value]
    return value


def _version(value: Any) -> Any:
    """`2.0` without quotes is a number, and means the same."""
    text = str(value) if isinstance(value, Decimal | int | float) and not isinstance(value, bool) else value
    return "2.0" if text == "2" else text


Word = Annotated[str, Field(max_length=300), AfterValidator(_word)]
Folder = Annotated[str, AfterValidator(_folder)]
Number = BeforeValidator(_number)
Tokens = Annotated[int, Number, Field(ge=1, le=1_000_000_000)]
# The ledger keeps twelve digits behind the point.
Usd = Annotated[Decimal, Number, Field(ge=0, le=100_000, decimal_places=12)]


class PriceConfig(_Section):
    """USD per million tokens. A missing `cached_input` is charged as input."""

    input: Usd
    output: Usd
    cached_input: Usd | None = None


class VisionCapabilities(_Section):
    """Limits of one request. `max_image_size_mb` is in units of 1024 * 1024 bytes."""

    max_images: Annotated[int, Number, Field(ge=1, le=10_000)] = 10
    max_image_size_mb: Annotated[float, Number, Field(gt=0, le=1000, allow_inf_nan=False)] = 20
    supported_formats: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[a-z0-9]{2,8}$")], ...], Field(min_length=1), AfterValidator(_distinct)
    ] = ("jpg", "jpeg", "png", "gif", "webp")


class ModelConfig(_Section):
    """One model. None for a window, a limit or a capability means: what the table of known models says.

    A model with the task `vision` or `audio` supports it unless the file says otherwise.
    """

    model_id: Word
    tasks: Annotated[tuple[TaskName, ...], Field(min_length=1), AfterValidator(_distinct)]
    context_window: Tokens | None = None
    max_output_tokens: Tokens | None = None
    base_model: Word | None = None
    dimension: Annotated[int, Number, Field(ge=1, le=100_000)] | None = None
    supports_vision: bool | None = None
    supports_audio: bool | None = None
    supports_function_calling: bool | None = None
    vision_capabilities: Annotated[VisionCapabilities, BeforeValidator(_empty_section)] = VisionCapabilities()
    price: PriceConfig | None = None

    @model_validator(mode="before")
    @classmethod
    def _a_task_implies_its_capability(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not isinstance(tasks := value.get("tasks"), list | tuple):
            return value
        implied = {f"supports_{task}": True for task in ("vision", "audio") if task in tasks}
        return {**implied, **{k: v for k, v in value.items() if k not in implied or v is not None}}


def _one_model_each(models: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
    """Two entries of one model are one model with the tasks of both, unless they contradict each other."""
    by_id: dict[str, ModelConfig] = {}
    for model in models:
        first = by_id.get(model.model_id)
        if first is None:
            by_id[model.model_id] = model
            continue
        for name in first.model_fields_set & model.model_fields_set - {"tasks"}:
            if getattr(first, name) != getattr(model, name):
                raise ValueError(f"`{model.model_id}` stands twice, with a different `{name}`")
        added = {name: getattr(model, name) for name in model.model_fields_set}
        by_id[model.model_id] = first.model_copy(update={**added, "tasks": _distinct((*first.tasks, *model.tasks))})
    return tuple(by_id.values())


class TimeoutsConfig(_Section):
    """Seconds until the first token of a stream, between two of its tokens, and in all; None is no limit of its own."""

    first_token: Annotated[float, Number, Field(gt=0, le=600, allow_inf_nan=False)] | None = None
    idle: Annotated[float, Number, Field(gt=0, le=600, allow_inf_nan=False)] | None = 60.0
    total: Annotated[float, Number, Field(ge=1, le=600, allow_inf_nan=False)] | None = None


class ProviderConfig(_Section):
    """One endpoint with one key. `timeout` is in seconds, a short way to write `timeouts.total`.

    `local` None leaves it to the type.

    `options` is for the class behind `type`, which alone understands it.
    """

    id: Annotated[str, Field(pattern=r"^[a-z0-9_-]+$", max_length=64)]
    type: Word
    base_url: Annotated[str, Field(max_length=2000), AfterValidator(_address)] | None = None
    api_key: SecretStr | None = None
    priority: Annotated[int, Number, Field(ge=1, le=100)] = 50
    timeout: Annotated[float, Number, Field(ge=1, le=600, allow_inf_nan=False)] = 120.0
    timeouts: Annotated[TimeoutsConfig, BeforeValidator(_empty_section)] = TimeoutsConfig()
    enabled: bool = True
    local: bool | None = None
    options: Annotated[
        dict[str, Any], BeforeValidator(_empty_section), AfterValidator(_without_decimals), Field(repr=False)
    ] = {}
    models: Annotated[tuple[ModelConfig, ...], BeforeValidator(_empty_list), AfterValidator(_one_model_each)] = ()

    @model_validator(mode="before")
    @classmethod
    def _timeout_is_the_total(cls, value: Any) -> Any:
        limits = value.get("timeouts") if isinstance(value, dict) else None
        if not isinstance(limits, dict) or limits.get("total") is None or "timeout" in value:
            return value
        return {**value, "timeout": limits["total"]}

    @model_validator(mode="after")
    def _one_total(self) -> Self:
        if self.timeouts.total not in (None, self.timeout):
            raise ValueError("has `timeout` and `timeouts.total`, which mean the same and differ; keep one")
        return self


class DefaultModels(_Section):
    """`model_id` or `provider_id/model_id`, first among equals for a task."""

    embedding: Word | None = None
    chat_fast: Word | None = None
    chat_smart: Word | None = None
    chat_vision: Word | None = None


DEFAULT_FOR = {"embedding": "embedding", "chat_fast": "chat_small", "chat_smart": "chat_smart", "chat_vision": "vision"}
"""The task each key of `default_models` is for."""


class CircuitBreakerConfig(_Section):
    """When a provider that fails is left alone, for how long, and how many successes end it."""

    failure_threshold: Annotated[int, Number, Field(ge=1, le=1000)] = 3
    timeout_secs: Annotated[float, Number, Field(gt=0, le=86_400, allow_inf_nan=False)] = 60.0
    success_threshold: Annotated[int, Number, Field(ge=1, le=1000)] = 2


class RoutingConfig(_Section):
    """`max_cost_per_request` is USD; `max_retries` counts further attempts on the same candidate."""

    default_task: TaskName = "chat_small"
    policy: Literal["priority", "cheapest", "fastest"] = "priority"
    auto_fallback: bool = True
    require_vision_for_images: bool = True
    max_cost_per_request: Usd | None = None
    max_retries: Annotated[int, Number, Field(ge=0, le=20)] = 2
    circuit_breaker: Annotated[CircuitBreakerConfig, BeforeValidator(_empty_section)] = CircuitBreakerConfig()


class BudgetLimits(_Section):
    """The most that may be spent in a period, in USD; days and months are those of UTC."""

    session: Usd | None = None
    notebook: Usd | None = None
    day: Usd | None = None
    month: Usd | None = None


class BudgetConfig(BudgetLimits):
    """`providers` is by provider id, `models` by `model_id` or `provider_id/model_id`."""

    warn_at: Annotated[Decimal, Number, Field(gt=0, le=1, decimal_places=12)] = Decimal("0.8")
    allow_unpriced: bool = False
    providers: Annotated[dict[Word, BudgetLimits], BeforeValidator(_empty_section)] = {}
    models: Annotated[dict[Word, BudgetLimits], BeforeValidator(_empty_section)] = {}


class LedgerConfig(_Section):
    """`path` is absolute once a configuration is loaded; None is the data directory's."""

    path: Path | None = None
    content: Literal["full", "hash", "none"] = "full"


class MemoryConfig(_Section):
    """`path` is a folder, absolute once a configuration is loaded; None is `memory` in the data directory.

    `enabled` keeps every named conversation. `hnsw` needs the extra `vss`; without it search is exact. What stands in a
    folder of `exclude`, or below it, is never put before a model.
    """

    path: Path | None = None
    enabled: bool = False
    index: Literal["exact", "hnsw"] = "exact"
    exclude: Annotated[tuple[Folder, ...], BeforeValidator(_empty_list), AfterValidator(_distinct)] = ()


class Config(_Section):
    config_version: Annotated[Literal["2.0"], BeforeValidator(_version)] = "2.0"
    llm_providers: Annotated[tuple[ProviderConfig, ...], BeforeValidator(_empty_list)]
    default_models: Annotated[DefaultModels, BeforeValidator(_empty_section)] = DefaultModels()
    routing: Annotated[RoutingConfig, BeforeValidator(_empty_section)] = RoutingConfig()
    budget: Annotated[BudgetConfig, BeforeValidator(_empty_section)] = BudgetConfig()
    ledger: Annotated[LedgerConfig, BeforeValidator(_empty_section)] = LedgerConfig()
    memory: Annotated[MemoryConfig, BeforeValidator(_empty_section)] = MemoryConfig()

    def provider(self, provider_id: str) -> ProviderConfig:
        """The provider of this id. Raises KeyError."""
        for provider in self.llm_providers:
            if provider.id == provider_id:
                return provider
        raise KeyError(provider_id)
