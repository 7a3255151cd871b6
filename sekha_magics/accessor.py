"""`df.sekha`: many prompts from the columns of a DataFrame.

pandas is not imported for it: where pandas is loaded already the accessor is registered at once, and otherwise in the
moment in which somebody imports pandas.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

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


class _WhenPandasComes:
    """Finds pandas as it would have been found, and is gone when it has been imported.

    Somebody may only look whether pandas is there, so being asked for it is not yet the import.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != "pandas":
            return None
        others = [finder for finder in sys.meta_path if not _is_ours(finder)]
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None and spec.loader is not None:
            _after(spec.loader, self._imported)
        return spec

    def _imported(self) -> None:
        sys.meta_path[:] = [finder for finder in sys.meta_path if not _is_ours(finder)]
        _register()


def _is_ours(finder: object) -> bool:
    # By name: after the package was imported anew there may be one whose class is not this one.
    return type(finder).__name__ == _WhenPandasComes.__name__


def _after(loader: Any, then: Callable[[], None]) -> None:
    """Call `then` when `loader` has run its module."""
    run = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        vars(loader).pop("exec_module", None)
        run(module)
        then()

    loader.exec_module = exec_module


def _register() -> None:
    import pandas as pd

    if not hasattr(pd.DataFrame, "sekha"):
        pd.api.extensions.register_dataframe_accessor("sekha")(Accessor)


def install() -> None:
    """Register the accessor, now or when pandas comes. May be called twice."""
    if hasattr(sys.modules.get("pandas"), "DataFrame"):
        _register()
    elif not any(map(_is_ours, sys.meta_path)):
        sys.meta_path.insert(0, _WhenPandasComes())  # any object with `find_spec` is a finder
