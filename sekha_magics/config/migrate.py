"""A configuration with old names, as one with present ones: the same meaning, nothing looked up or expanded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .names import modern, plain
from .problems import Origin, config_error
from .yaml_text import decode, dump_yaml, read_yaml

__all__ = ["migrate", "migrate_yaml"]


def migrate(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration under present names, with `config_version` first. Unknown keys are kept for the check to name.

    Raises ConfigError when an old and a new name are both given.
    """
    value, problems = plain(mapping)
    out = modern(value)
    if problems or out.problems:
        raise config_error([*problems, *out.problems], Origin("The configuration", renamed=out.renamed))
    rest = {key: item for key, item in out.value.items() if key != "config_version"}
    return {"config_version": "2.0", **rest}


def migrate_yaml(text: str, name: str = "config.yaml") -> str:
    """The same for the text of a file. Comments are lost; variables and prices stay as written."""
    value = read_yaml(decode(text.encode(), name), name).value
    return dump_yaml(migrate(value if isinstance(value, Mapping) else {}))
