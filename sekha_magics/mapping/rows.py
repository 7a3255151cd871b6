"""What a user hands over as many prompts, as one prompt per row, or the reason why a row has none.

A missing value (None, NaN, NA) and an empty text give a row a reason and no prompt; what can never be a prompt is an
error before anything is sent.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..core.content import Message
from ..core.interpolate import holes, interpolate, lookup
from ..errors import InterpolationError, InvalidInput

__all__ = ["Prompt", "Row", "Rows", "read"]

Prompt = str | Sequence[Message | Mapping[str, Any]]

_FORM = 'Give a list of texts, a column (df["text"]), or a DataFrame and template="... {{ column }} ...".'


class Row(NamedTuple):
    """`problem` says why there is no `prompt`."""

    prompt: Prompt | None
    problem: str | None = None


@dataclass(frozen=True)
class Rows:
    """`index` is that of the Series or DataFrame they come from."""

    rows: Sequence[Row]
    index: Any = None


def read(prompts: Any, template: str | None) -> Rows:
    """One row per item of `prompts`, in order.

    Without a template each item is a prompt: a text, or a list of messages. With one, the columns of a DataFrame and
    the keys of a mapping stand in it by name, all of them as `{{ row["any name"] }}`; any other item is `{{ text }}`,
    and that of a Series also goes by the Series' own name. Numbers and other values are written as `str` does. Raises
    `InvalidInput`, and `InterpolationError` when the template can be filled in for no row at all.
    """
    if isinstance(prompts, (str, bytes, Mapping)) or not isinstance(prompts, Iterable):
        raise InvalidInput(f"prompts is a {type(prompts).__name__}, not a list of prompts.", hint=_FORM)
    if template is not None and not isinstance(template, str):
        raise InvalidInput(f"template is a {type(template).__name__}, not a text.", hint=_FORM)
    pandas = sys.modules.get("pandas")
    is_frame = pandas is not None and isinstance(prompts, pandas.DataFrame)
    is_column = pandas is not None and isinstance(prompts, pandas.Series)
    index = getattr(prompts, "index", None) if is_frame or is_column else None
    if template is not None:
        return Rows(_filled(template, _namespaces(prompts, is_frame)), index)
    if is_frame:
        raise InvalidInput("A DataFrame needs a template.", hint=_FORM)
    return Rows([_row(item, number) for number, item in enumerate(prompts)], index)


def _row(item: Any, number: int) -> Row:
    if _is_missing(item):
        return Row(None, "the prompt is missing")
    if isinstance(item, str):
        return Row(item) if item.strip() else Row(None, "the prompt is empty")
    if isinstance(item, Sequence) and not isinstance(item, (bytes, bytearray)):
        return Row(item)
    raise InvalidInput(
        f"Prompt {number} is a {type(item).__name__}, not a text.",
        hint='Convert the values with str(), or give template="{{ text }}", which writes them as text.',
    )


def _namespaces(prompts: Any, is_frame: bool) -> Iterator[Mapping[str, Any]]:
    if is_frame:
        names = list(prompts.columns)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidInput(f"The DataFrame has two columns {twice!r}.", hint="Give each column a name of its own.")
        for values in prompts.itertuples(index=False, name=None):
            row = dict(zip(names, values, strict=True))
            yield {"row": row, **{name: value for name, value in row.items() if isinstance(name, str)}}
        return
    own = getattr(prompts, "name", None)
    for item in prompts:
        if isinstance(item, Mapping):
            yield {"row": item, **{key: value for key, value in item.items() if isinstance(key, str)}}
        else:
            yield {"text": item, **({own: item} if isinstance(own, str) else {})}


def _filled(template: str, namespaces: Iterable[Mapping[str, Any]]) -> list[Row]:
    names = holes(template)
    if not names:
        raise InvalidInput(
            "The template names no column, so every prompt would be the same.", hint='Write "Classify: {{ text }}".'
        )
    rows: list[Row] = []
    first: InterpolationError | None = None
    failed = 0
    for namespace in namespaces:
        try:
            rows.append(_prompt(template, names, namespace))
        except InterpolationError as error:
            first, failed = first or error, failed + 1
            rows.append(Row(None, f"{type(error).__name__}: {error.message}"))
    if first is not None and failed == len(rows):
        first.hint = "A template names columns, with attributes and literal subscripts; nothing in it is called."
        raise first
    return rows


def _prompt(template: str, names: Iterable[str], namespace: Mapping[str, Any]) -> Row:
    for name in names:
        if _is_missing(lookup(name, namespace)):
            return Row(None, f"{name} is missing")
    return Row(interpolate(template, namespace))


def _is_missing(value: Any) -> bool:
    if value is None or (isinstance(value, float) and value != value):  # noqa: PLR0124 - NaN is what differs from itself
        return True
    pandas = sys.modules.get("pandas")
    return pandas is not None and pandas.api.types.is_scalar(value) and bool(pandas.isna(value))
