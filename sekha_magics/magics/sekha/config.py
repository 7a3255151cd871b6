"""`%sekha config`: what is in force, whether a file is sound, who is trusted, and old files in today's form."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.core.error import UsageError

from ...display.text import to_plain
from ..arguments import Arguments
from ..options import SUBCOMMANDS
from ..standing import registry
from .words import one_action

if TYPE_CHECKING:
    from ...config.load import Loaded

__all__ = ["config"]


def config(arguments: Arguments) -> None:
    action = one_action(arguments, SUBCOMMANDS["config"].words, "show")
    if action.name == "show":
        if action.operand:
            raise UsageError("show takes no file: it shows what is in force. Did you mean check?")
        _show()
    else:
        {"check": _check, "trust": _trust, "migrate": _migrate}[action.name](action.operand)


def _say(text: str) -> None:
    sys.stdout.write(to_plain(text).rstrip("\n") + "\n")


def _show() -> None:
    from ...config.show import show_yaml

    in_use = registry()
    _say(f"# {in_use.state.loaded.source}\n{show_yaml(in_use.state.loaded)}")


def _check(operand: str) -> None:
    from ...config.load import load
    from ...providers import provider_types

    loaded = load(operand or None, environ=os.environ, cwd=Path.cwd(), provider_types=provider_types())
    _say("\n".join(_findings(loaded)))


def _findings(loaded: Loaded) -> list[str]:
    providers = loaded.config.llm_providers
    models = sum(len(provider.models) for provider in providers)
    said = [f"{loaded.source}: sound", f"{len(providers)} providers, {models} models"]
    said += [f"no key: {provider_id}: {why}" for provider_id, why in loaded.missing_keys.items()]
    said += [f"{provider_id} is asked for its models when it is first needed" for provider_id in loaded.discover]
    return [*said, *loaded.notes]


def _trust(operand: str) -> None:
    from ...config.trust import trust

    path = _file(operand, "trust")
    digest = trust(path)
    _say(f"{path} is trusted as it is now (SHA-256 {digest[:12]}…); a change of it asks again.")


def _migrate(operand: str) -> None:
    from ...config.migrate import migrate_yaml

    path = _file(operand, "migrate")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read: {type(error).__name__}") from None
    _say(migrate_yaml(text, str(path)))


def _file(operand: str, action: str) -> Path:
    """The file named, or the one that would be found from here."""
    if operand:
        return Path(operand).expanduser().absolute()
    from ...config.discovery import find

    document = find(os.environ, Path.cwd()).document
    if document is None:
        raise UsageError(f"no configuration is found from {Path.cwd()}: name a file, `%sekha config {action} PATH`")
    return document.path
