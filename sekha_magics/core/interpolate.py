"""`{{ name }}` in a prompt becomes the value of that name in the notebook.

Inside stand names, attributes and literal subscripts; nothing is called and no private attribute is read. What does
not begin like a name (`{{2}}`, `{{"a": 1}}`, `{{}}`) and what stands between single braces is text and stays as it is.
What was filled in is not looked at again, so a value may contain braces.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

from ..errors import InterpolationError

__all__ = ["holes", "interpolate", "lookup"]

# Quotes are closed inside, so that a subscript may contain braces; possessive, so that no text makes it slow.
_HOLE = re.compile(r"""\{\{(?!\{)(?P<inner>(?:[^{}"'\n]|"[^"\n]*"|'[^'\n]*')*+)\}\}""")
_NAME_START = re.compile(r"[^\W\d]")
_OUTPUT_NAMES = re.compile(r"_{1,3}|_\d+")
_NO_VALUES = (FunctionType, BuiltinFunctionType, MethodType, ModuleType, type)
_PREVIEW_ROWS, _PREVIEW_COLUMNS, _PREVIEW_CELL = 20, 20, 40
_PREVIEW_LENGTH = 20_000


def interpolate(prompt: str, namespace: Mapping[str, Any]) -> str:
    """`prompt` with every `{{ name }}` filled in. Raises InterpolationError for one that cannot be."""

    def fill(hole: re.Match[str]) -> str:
        inner = hole["inner"].strip()
        if not _NAME_START.match(inner):
            return hole.group()
        return _shown(lookup(inner, namespace), inner)

    return _HOLE.sub(fill, prompt)


def holes(prompt: str) -> tuple[str, ...]:
    """What stands between the braces that `interpolate` would fill in, each once."""
    inner = (hole["inner"].strip() for hole in _HOLE.finditer(prompt))
    return tuple(dict.fromkeys(name for name in inner if _NAME_START.match(name)))


def lookup(expression: str, namespace: Mapping[str, Any]) -> Any:
    """The value of a name, with attributes and literal subscripts behind it."""
    try:
        tree = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _not_a_path(expression) from None
    steps: list[tuple[str, Callable[[Any], Any]]] = []
    while not isinstance(tree, ast.Name):
        match tree:
            case ast.Attribute(value=inner, attr=attribute):
                if attribute.startswith("_"):
                    raise InterpolationError(f"{{{{ {expression} }}}} reads the private attribute {attribute}")
                steps.append((_source(inner, expression), _attribute(attribute)))
            case ast.Subscript(value=inner, slice=key):
                steps.append((_source(inner, expression), _item(_literal(key, expression))))
            case _:
                raise _not_a_path(expression)
        tree = inner
    value = _named(tree.id, namespace)
    for owner, step in reversed(steps):
        try:
            value = step(value)
        except InterpolationError as error:
            raise InterpolationError(f"{{{{ {expression} }}}}: {owner} {error.message}") from None
        except Exception as error:
            raise InterpolationError(
                f"{{{{ {expression} }}}}: reading it from {owner} raised {type(error).__name__}: {error}",
                hint="Read the value in a cell of its own first.",
            ) from error
    return value


def _source(node: ast.expr, expression: str) -> str:
    return expression.encode()[: node.end_col_offset].decode()


def _not_a_path(expression: str) -> InterpolationError:
    shown = expression if len(expression) <= 80 else expression[:79] + "…"
    return InterpolationError(
        f"{{{{ {shown} }}}} is not a name with attributes and literal subscripts",
        hint="Give the value a name in a cell and use that name, or use --raw to send braces as written.",
    )


def _named(name: str, namespace: Mapping[str, Any]) -> Any:
    if name.startswith("__") and not _OUTPUT_NAMES.fullmatch(name):
        raise InterpolationError(f"{{{{ {name} }}}}: names that begin with two underscores are not filled in")
    try:
        return namespace[name]
    except KeyError:
        raise InterpolationError(f"{name} is not defined{_near(name, namespace)}") from None


def _near(name: object, known: Iterable[object]) -> str:
    names = [str(other) for other in known if not str(other).startswith("_")]
    near = get_close_matches(str(name), names, 3)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _literal(node: ast.expr, expression: str) -> Any:
    match node:
        case ast.Slice(lower=lower, upper=upper, step=step):
            return slice(*(None if part is None else _literal(part, expression) for part in (lower, upper, step)))
        case ast.Tuple(elts=elements):
            return tuple(_literal(element, expression) for element in elements)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise _not_a_path(expression) from None


def _attribute(name: str) -> Callable[[Any], Any]:
    def read(owner: Any) -> Any:
        try:
            return getattr(owner, name)
        except AttributeError:
            # A property that fails with AttributeError is a failure of its own, not a missing name.
            if name in dir(owner):
                raise
            raise InterpolationError(f"has no attribute {name}{_near(name, dir(owner))}") from None

    return read


def _item(key: Any) -> Callable[[Any], Any]:
    def read(owner: Any) -> Any:
        try:
            return owner[key]
        except KeyError:
            known = owner.keys() if hasattr(owner, "keys") else ()
            raise InterpolationError(f"has no key {key!r}{_near(key, known)}") from None
        except IndexError:
            size = f" of {len(owner)}" if hasattr(owner, "__len__") else ""
            raise InterpolationError(f"has no item {key!r}{size}") from None

    return read


def _shown(value: Any, expression: str) -> str:
    """What the model reads. A text stays whole; tables and other large values become a preview that says so."""
    if isinstance(value, str):
        return value
    if isinstance(value, _NO_VALUES):
        raise InterpolationError(
            f"{{{{ {expression} }}}} is a {type(value).__name__}, not a value",
            hint="Nothing is called inside braces: give the result a name in a cell first.",
        )
    try:
        preview = _table(value)
        text = str(value) if preview is None else preview
    except Exception as error:
        raise InterpolationError(
            f"{{{{ {expression} }}}}: turning it into text raised {type(error).__name__}: {error}",
            hint="Make a text of it in a cell first.",
        ) from error
    # An answer is a text like any other, however long.
    if len(text) <= _PREVIEW_LENGTH or type(value).__module__.startswith("sekha_magics."):
        return text
    return f"{text[:_PREVIEW_LENGTH]}\n[{len(text) - _PREVIEW_LENGTH} more characters left out]"


def _table(value: Any) -> str | None:
    """The preview of a DataFrame, Series or array; None for anything else. Imports none of the libraries."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and isinstance(value, pandas.DataFrame):
        rows, columns = value.shape
        part = value.iloc[:_PREVIEW_ROWS, :_PREVIEW_COLUMNS]
        whole = part.shape == value.shape
        head = f"DataFrame, {rows} rows x {columns} columns"
        shown = part.to_string(max_colwidth=_PREVIEW_CELL)
        return f"{head if whole else f'{head}; the first {part.shape[0]} x {part.shape[1]}'}\n{shown}"
    if pandas is not None and isinstance(value, pandas.Series):
        part = value.iloc[:_PREVIEW_ROWS]
        head = f"Series {value.name!s}, {len(value)} values, {value.dtype}"
        shown = part.map(_cut).to_string(dtype=False, name=False)
        return f"{head if len(part) == len(value) else f'{head}; the first {len(part)}'}\n{shown}"
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray) and value.ndim:
        shown = numpy.array2string(value, threshold=200, edgeitems=5, max_line_width=120)
        return f"array, shape {value.shape}, {value.dtype}\n{shown}"
    return None


def _cut(value: Any) -> Any:
    return value[: _PREVIEW_CELL - 1] + "…" if isinstance(value, str) and len(value) > _PREVIEW_CELL else value
