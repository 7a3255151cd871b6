"""`df.sekha`: many prompts from the columns of a DataFrame.

pandas is not imported for it: where pandas is loaded already the accessor is registered at once, and otherwise in the
moment in which somebody imports pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from .registry import Registry

__all__ = ["Accessor", "install"]


class Accessor:
    """`df.sekha`."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def map(
        self,
        template: str,
        *,
        schema: Any = None,
        into: str = "answer",
        registry: Registry | None = None,
        **options: Any,
    ) -> pd.DataFrame:
        """A copy of the DataFrame with the answers to `template`, filled in for each row, in new columns.

        The new columns are `into`, or one for each field of `schema`, and `<into>_error`, the reason where there is no
        answer. A field named like a column that the frame has becomes `<into>_<field>`; columns named so already are
        replaced. `options` are those of `Registry.map`; without `registry` it is the one the magics use.
        """
        from .errors import InvalidInput
        from .mapping.columns import answer_columns, column
        from .registry import get_registry

        if not isinstance(into, str) or not into:
            raise InvalidInput(f"into is {into!r:.80}, not a name for a column.")
        job = (registry or get_registry()).map(self._frame, template, schema=schema, **options)
        answers = list(job)
        new = answer_columns(answers, schema, into, list(self._frame.columns))
        new[f"{into}_error"] = [answer.error for answer in answers]
        return self._frame.assign(**{name: column(values, self._frame.index) for name, values in new.items()})


class _WhenPandasComes(MetaPathFinder):
    """Waits for the first import of pandas, finds it as it would have been found, and is gone."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "pandas":
            return None
        sys.meta_path.remove(self)
        spec = find_spec("pandas")
        loader = spec.loader if spec is not None else None
        if loader is not None and hasattr(loader, "exec_module"):
            _after(loader, _register)
        return spec


def _after(loader: Any, then: Callable[[], None]) -> None:
    """Call `then` when `loader` has run its module, once."""
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        del loader.exec_module
        run(module)
        then()

    loader.exec_module = exec_module


def _register() -> None:
    from pandas.api.extensions import register_dataframe_accessor

    register_dataframe_accessor("sekha")(Accessor)


def install() -> None:
    """Register the accessor, now or when pandas comes. May be called twice."""
    pandas = sys.modules.get("pandas")
    if pandas is not None and hasattr(pandas, "DataFrame"):
        if not hasattr(pandas.DataFrame, "sekha"):
            _register()
    elif not any(isinstance(finder, _WhenPandasComes) for finder in sys.meta_path):
        sys.meta_path.insert(0, _WhenPandasComes())
