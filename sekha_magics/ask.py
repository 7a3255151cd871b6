"""One request as its caller meant it: everything checked once, before anything is decided, priced or sent."""

from __future__ import annotations

import json
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any

from .core.content import Audio, Message, Text
from .core.messages import parse_messages
from .core.tokens import added, estimate_messages, estimate_text
from .core.types import NO_QUOTATION, TASKS, ImageFacts, Origin, Quotation, Request
from .counting import count_messages, count_texts
from .errors import InvalidInput
from .memory.checks import check_folders, check_tokens

__all__ = ["Ask", "EmbedAsk", "Wishes", "prepare_chat", "prepare_embedding", "with_messages", "with_quotation"]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a caller may say beside the prompt. `max_cost` is USD, `context_size` a least window in tokens.

    `memory` is how many tokens of what is remembered may stand before the prompt, none of it from a folder of
    `memory_exclude`.
    """

    task: str | None = None
    model: str | None = None
    preferred_model: str | None = None
    policy: str | None = None
    require_vision: bool | None = None
    max_cost: Decimal | None = None
    max_tokens: int | None = None
    context_size: int | None = None
    local_only: bool = False
    temperature: float | None = None
    seed: int | None = None
    schema: Any = None
    params: Mapping[str, Any] = field(default_factory=dict)
    memory: int | None = None
    memory_exclude: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any], policies: Iterable[str]) -> Wishes:
        """Checked wishes; raises `InvalidInput` that names the argument, its value and what it may be."""
        checked = {name: _CHECKS[name](name, value) for name, value in given.items() if value is not None}
        for name, allowed in (("task", TASKS), ("policy", tuple(policies))):
            if name in checked and checked[name] not in allowed:
                raise InvalidInput(f"{name} is {checked[name]!r}.", hint=f"It may be {', '.join(allowed)}.")
        return cls(**checked)


@dataclass(frozen=True, slots=True)
class Ask:
    """A chat request, ready to be decided. `own` are the caller's new messages, without the conversation before them.

    `origin` is where the caller was when it asked; its cell may have ended by the time the answer is logged. `options`
    is what identifies the request beside its messages; `parse` makes a value of the answer's text. `families` are those
    of the models that may answer, by which the prompt is counted. `bare` is the same request without what the memory
    gave to it, where it gave something: by that a recording is found.
    """

    messages: tuple[Message, ...]
    own: tuple[Message, ...]
    request: Request
    wishes: Wishes
    options: Mapping[str, Any]
    origin: Origin
    schema: Mapping[str, Any] | None = None
    parse: Callable[[str], Any] | None = None
    stream: bool = True
    log: bool = True
    families: frozenset[str] = frozenset()
    quotation: Quotation = NO_QUOTATION
    bare: Ask | None = None


@dataclass(frozen=True, slots=True)
class EmbedAsk:
    texts: tuple[str, ...]
    request: Request
    options: Mapping[str, Any]
    origin: Origin
    log: bool = True
    quotation: Quotation = NO_QUOTATION

    @property
    def messages(self) -> tuple[Message, ...]:
        """The texts as the ledger keeps prompts."""
        return tuple(Message("user", (Text(text),)) for text in self.texts)


def prepare_chat(
    prompt: str | Sequence[Any],
    wishes: Wishes,
    origin: Origin,
    *,
    images: Iterable[Any] = (),
    system: str | None = None,
    before: Sequence[Message] = (),
    stream: bool = True,
    log: bool = True,
    families: frozenset[str] = frozenset(),
) -> Ask:
    """The request for `prompt` after the messages `before`; raises `InvalidInput`."""
    own = parse_messages(prompt, images, system)
    said_system = tuple(m for m in own if m.role == "system")
    turns = tuple(m for m in own if m.role != "system")
    earlier = tuple(m for m in before if m.role != "system" or not said_system)
    messages = (*said_system, *earlier, *turns)
    schema, parse = _schema(wishes.schema)
    request = Request(
        task=wishes.task,
        model=wishes.model,
        preferred_model=wishes.preferred_model,
        policy=wishes.policy,
        require_vision=wishes.require_vision,
        needs_functions=bool(wishes.params.get("tools")),
        max_tokens=wishes.max_tokens,
        context_size=wishes.context_size,
        max_cost=wishes.max_cost,
        local_only=wishes.local_only,
    )
    options = {f.name: getattr(wishes, f.name) for f in fields(wishes)} | {"schema": schema}
    ask = Ask((), own, request, wishes, options, origin, schema, parse, stream, log, families)
    return with_messages(ask, messages)


def with_messages(ask: Ask, messages: tuple[Message, ...]) -> Ask:
    """The same request with these messages in place of its own. Its schema, slow to read, is not read again."""
    extras = _sent_beside(ask)
    pictures = [image for message in messages for image in message.images]
    request = replace(
        ask.request,
        images=tuple(ImageFacts(i.format, None if i.data is None else len(i.data)) for i in pictures),
        needs_audio=any(isinstance(part, Audio) for message in messages for part in message.parts),
        input_tokens=added([estimate_messages(messages), *map(estimate_text, extras)]),
        counted=count_messages(messages, ask.families, extras),
    )
    return replace(ask, messages=messages, request=request)


def with_quotation(ask: Ask, quotation: Quotation) -> Ask:
    """The same request with that before its last question, and counted with it.

    It is text, whatever it holds: no picture is looked for in it. The conversation keeps the question alone.
    """
    request = replace(
        ask.request,
        input_tokens=added([ask.request.input_tokens, quotation.tokens]),
        counted=tuple((family, added([tokens, quotation.tokens])) for family, tokens in ask.request.counted),
    )
    messages = ask.messages
    if quotation.text:
        last = max(i for i, message in enumerate(messages) if message.role == "user")
        asked = Message("user", (Text(quotation.text), *messages[last].parts))
        messages = (*messages[:last], asked, *messages[last + 1 :])
    return replace(ask, messages=messages, request=request, quotation=quotation, bare=ask)


def _sent_beside(ask: Ask) -> list[str]:
    """What a provider puts before the messages, and charges for: how the answer has to look, and the tools."""
    beside = [ask.schema, *(ask.wishes.params.get(name) for name in ("tools", "functions"))]
    return [json.dumps(value, default=str) for value in beside if value]


def prepare_embedding(
    texts: str | Sequence[str],
    wishes: Wishes,
    origin: Origin,
    families: frozenset[str] = frozenset(),
    *,
    log: bool = True,
) -> EmbedAsk:
    """The request to embed `texts`; raises `InvalidInput`."""
    rows = (texts,) if isinstance(texts, str) else tuple(_texts(texts))
    if not rows:
        raise InvalidInput("There is nothing to embed.", hint='Give a list of texts: reg.embed(["a", "b"]).')
    for number, text in enumerate(rows):
        if not isinstance(text, str):
            raise InvalidInput(f"Text {number} is a {type(text).__name__}, not a text.", hint="Convert it with str().")
        if not text.strip():
            raise InvalidInput(f"Text {number} is empty.", hint="Leave empty texts out before embedding.")
    estimates = [estimate_text(text) for text in rows]
    request = Request(
        task=wishes.task,
        model=wishes.model,
        preferred_model=wishes.preferred_model,
        policy=wishes.policy,
        # The window limits one text, the price counts them all.
        context_size=max(e.expected for e in estimates),
        input_tokens=added(estimates),
        counted=count_texts(rows, families),
        max_cost=wishes.max_cost,
        local_only=wishes.local_only,
        operation="embed",
    )
    names = ("task", "model", "preferred_model", "policy", "max_cost", "local_only")
    return EmbedAsk(rows, request, {name: getattr(wishes, name) for name in names}, origin, log)


def _texts(texts: Any) -> Iterable[str]:
    if isinstance(texts, (bytes, Mapping)) or not isinstance(texts, Iterable):
        raise InvalidInput(f"texts is a {type(texts).__name__}, not a list of texts.", hint='Write ["a", "b"].')
    return texts


# --- checks of single arguments -------------------------------------------------------------------


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInput(f"{name} is {value!r:.80}, not a name.", hint="It is a text that is not empty.")
    return value


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It may be True or False.")
    return value


def _whole(least: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        try:
            number = operator.index(value)
        except TypeError:
            number = least - 1
        if isinstance(value, bool) or number < least or number >= 2**63:
            raise InvalidInput(f"{name} is {value!r:.80}.", hint=f"It is a whole number of {least} or more.")
        return number

    return check


def _seed(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is a whole number.")
    return value


def _temperature(name: str, value: Any) -> float:
    if isinstance(value, (bool, str)):
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is a number from 0 to 2.")
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number <= 2:
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is a number from 0 to 2.")
    return number


def _usd(name: str, value: Any) -> Decimal:
    try:
        # By way of its text: 0.1 means a tenth, not the binary fraction nearest to it.
        usd = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation:
        usd = Decimal("NaN")
    if not usd.is_finite() or usd < 0 or usd.adjusted() > 15:
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is an amount in USD, such as 0.05.")
    return usd


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InvalidInput(f"{name} is {value!r:.80}.", hint='It is a mapping, such as {"top_p": 0.9}.')
    return dict(value)


def _anything(_: str, value: Any) -> Any:
    return value


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "task": _text,
    "model": _text,
    "preferred_model": _text,
    "policy": _text,
    "require_vision": _flag,
    "max_cost": _usd,
    "max_tokens": _whole(1),
    "context_size": _whole(1),
    "local_only": _flag,
    "temperature": _temperature,
    "seed": _seed,
    "schema": _anything,
    "params": _mapping,
    "memory": lambda name, value: check_tokens(value, name),
    "memory_exclude": lambda name, value: check_folders(value, name),
}


def _schema(schema: Any) -> tuple[Mapping[str, Any] | None, Callable[[str], Any] | None]:
    """A JSON schema, and what reads an answer by it: of a mapping (a JSON schema) or of any type pydantic knows."""
    if schema is None:
        return None, None
    if isinstance(schema, Mapping):
        from jsonschema import Draft202012Validator, SchemaError

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidInput(f"schema is no JSON schema: {error.message:.200}") from None
        validator = Draft202012Validator(dict(schema))

        def parse(text: str) -> Any:
            value = json.loads(text)
            validator.validate(value)
            return value

        return dict(schema), parse
    from pydantic import PydanticSchemaGenerationError, TypeAdapter
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        adapter = TypeAdapter(schema)
        return adapter.json_schema(), adapter.validate_json
    except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema, TypeError) as error:
        raise InvalidInput(
            f"schema is {schema!r:.80}, of which no JSON schema can be made: {str(error).splitlines()[0]:.200}",
            hint="Give a pydantic model, a dataclass, a TypedDict or a JSON schema.",
        ) from None
