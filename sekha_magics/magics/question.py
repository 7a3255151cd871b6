"""What the options and the prompt of a chat or route line ask for, as arguments of the registry's methods."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from IPython.core.error import UsageError

from ..core.interpolate import interpolate, lookup
from ..errors import InterpolationError, InvalidInput
from .last_error import last_error

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from ..core.content import Image
    from .arguments import Arguments

__all__ = ["Question", "read_question"]

_ABOUT_AN_ERROR = "Explain this error and show how to fix it."
_SAME_NAMES = ("model", "task", "policy", "temperature", "max_tokens", "seed", "max_cost", "local_only")


class Question(NamedTuple):
    """`wishes` are keyword arguments that `Registry.chat` and `Registry.route` share; `log` is off with --no-log."""

    prompt: str
    wishes: dict[str, Any]
    conversation: str | None
    new: bool
    log: bool


def read_question(
    arguments: Arguments,
    written: str,
    shell: InteractiveShell,
    names: Mapping[str, Any],
    defaults: Mapping[str, Any],
) -> Question:
    """Fill in braces, find images and schema among the variables, and let the shell's defaults stand behind options.

    Raises UsageError, InterpolationError and InvalidInput.
    """
    values = arguments.values
    prompt = written if values.get("raw") else interpolate(written, names)
    if values.get("last_error"):
        question = prompt if prompt.strip() else _ABOUT_AN_ERROR
        prompt = f"{question}\n\n{last_error(shell)}"
    if values.get("new") and "conversation" not in values:
        raise UsageError("--new empties a conversation: name it with -c NAME")
    wishes = {name: values.get(name, defaults.get(name)) for name in _SAME_NAMES}
    if isinstance(wishes["max_cost"], float):
        wishes["max_cost"] = Decimal(str(wishes["max_cost"]))
    wishes |= {
        "preferred_model": values.get("prefer", defaults.get("prefer")),
        "system": values.get("system", defaults.get("system")),
        "images": [_image(text, names) for text in values.get("image", ())],
        "schema": _schema(values["schema"], names) if "schema" in values else None,
        "params": dict(values.get("P", ())),
        "memory": values.get("memory", defaults.get("memory")),
        "memory_exclude": values.get("memory_exclude", ()),
    }
    log = bool(defaults.get("log", True)) and not values.get("no_log")
    return Question(prompt, wishes, values.get("conversation"), bool(values.get("new")), log)


def _image(text: str, names: Mapping[str, Any]) -> Image:
    """A variable of that name, else a file or address, else an expression such as `figures["loss"]`."""
    from ..core.vision import load_image

    if text in names:
        return load_image(names[text], f"`{text}`")
    path = Path(text).expanduser()
    if path.is_file():
        return load_image(path)
    if text.startswith(("http://", "https://", "data:")):
        return load_image(text)
    try:
        return load_image(lookup(text, names), f"`{text}`")
    except InterpolationError:
        raise InvalidInput(
            f"{text} is neither a variable nor a file",
            hint=_near(text, names) or f"Files are looked for from {Path.cwd()}.",
        ) from None


def _schema(name: str, names: Mapping[str, Any]) -> Any:
    if name not in names:
        raise InvalidInput(f"{name} is not defined", hint=_near(name, names) or "Run the cell that defines it first.")
    return names[name]


def _near(name: str, names: Mapping[str, Any]) -> str:
    near = get_close_matches(name, [known for known in names if not known.startswith("_")], 1)
    return f"Did you mean {near[0]}?" if near else ""
