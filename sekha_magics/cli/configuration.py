"""`sekha config`: is a file sound, what is in force, old files in today's form, and who is trusted."""

from __future__ import annotations

import os
from argparse import Namespace as Options
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from .terminal import note, say

if TYPE_CHECKING:
    from ..config.load import Loaded

__all__ = ["check", "migrate", "show", "trust"]


def check(options: Options) -> None:
    loaded = _loaded(options)
    providers = loaded.config.llm_providers
    say(f"{loaded.source}: sound")
    say(f"{len(providers)} providers, {sum(len(p.models) for p in providers)} models")
    for provider_id, why in loaded.missing_keys.items():
        say(f"no key: {provider_id}: {why}")
    for provider_id in loaded.discover:
        say(f"{provider_id} is asked for its models when it is first needed")
    for line in loaded.notes:
        note(line)


def show(options: Options) -> None:
    from ..config.show import show_yaml

    loaded = _loaded(options)
    say(f"# {loaded.source}\n{show_yaml(loaded)}".rstrip("\n"))


def migrate(options: Options) -> None:
    from ..config.migrate import migrate_yaml

    path = _file(options)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {type(error).__name__}") from error
    say(migrate_yaml(text, str(path)).rstrip("\n"))


def trust(options: Options) -> None:
    from ..config.trust import trust as remember

    path = _file(options)
    say(f"{path} is trusted as it is now (SHA-256 {remember(path)[:12]}…); a change of it asks again.")


def _file(options: Options) -> Path:
    """The file named, or the one that would be found from here."""
    if options.file:
        return Path(options.file).expanduser().absolute()
    from ..config.discovery import find

    document = find(os.environ, Path.cwd()).document
    if document is None:
        raise InvalidInput(f"no configuration is found from {Path.cwd()}", hint="Name a file.")
    return document.path


def _loaded(options: Options) -> Loaded:
    from ..config.load import load
    from ..providers import provider_types

    return load(options.file, environ=os.environ, cwd=Path.cwd(), provider_types=provider_types())
