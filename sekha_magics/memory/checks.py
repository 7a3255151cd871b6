"""What may be said to a memory: every argument is checked here, before a file is touched."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..core.folders import normal_folder
from ..errors import InvalidInput

__all__ = [
    "ROLES",
    "check_age",
    "check_choice",
    "check_fields",
    "check_flag",
    "check_folder",
    "check_folders",
    "check_importance",
    "check_k",
    "check_name",
    "check_one",
    "check_path",
    "check_query",
    "check_texts",
    "check_time",
    "check_tokens",
    "sound",
]

ROLES = ("user", "assistant", "system", "tool")
_MOST_HITS = 10_000
_MOST_TOKENS = 10_000_000
_LONGEST_NAME = 300
_FIRST_YEAR, _LAST_YEAR = 1900, 2999


def sound(text: str) -> str:
    """`text` with half of a surrogate pair, which no file can hold, as U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def check_folder(folder: Any, what: str = "folder") -> str:
    """`folder` without a slash at its end. Raises `InvalidInput`."""
    normal = normal_folder(sound(folder)) if isinstance(folder, str) else None
    if normal is None:
        raise InvalidInput(
            f"{what} is {folder!r:.80}.", hint='It is a path from the top, such as "/uni/notes", without `.` and `..`.'
        )
    return normal


def check_folders(folders: Any, what: str) -> tuple[str, ...]:
    """One folder or several."""
    if isinstance(folders, str):
        return (check_folder(folders, what),)
    if isinstance(folders, (bytes, Mapping)) or not isinstance(folders, Iterable):
        raise InvalidInput(f"{what} is {folders!r:.80}.", hint='It is a folder or a list of folders: ["/uni/private"].')
    return tuple(check_folder(folder, what) for folder in folders)


def check_name(name: Any, what: str) -> str:
    """A name or label: text on one line, not empty."""
    if isinstance(name, str) and name.strip() and len(name) <= _LONGEST_NAME:
        clean = sound(name.strip())
        if clean.isprintable():
            return clean
    raise InvalidInput(
        f"{what} is {name!r:.80}.", hint=f"It is a text on one line, of at most {_LONGEST_NAME} characters."
    )


def check_choice(value: Any, what: str, known: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise InvalidInput(f"{what} is {value!r:.80}.", hint=f"It is one of {', '.join(known)}.")
    return value


def check_importance(value: Any) -> int:
    return _whole(value, "importance", 1, 10)


def check_k(value: Any) -> int:
    return _whole(value, "k", 1, _MOST_HITS)


def check_time(value: Any, what: str) -> str:
    """A time, or its text in ISO 8601, as the archive writes times: in UTC, which is meant where none is named."""
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        if _FIRST_YEAR <= moment.year <= _LAST_YEAR:
            return str(moment.isoformat(timespec="microseconds"))
    except (AttributeError, TypeError, ValueError, OverflowError):
        pass
    raise InvalidInput(
        f"{what} is {value!r:.80}.", hint='It is a datetime, or a text such as "2026-11-26T10:30:00+01:00".'
    )


def check_query(query: Any) -> str:
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput(f"query is {query!r:.80}.", hint="It is a text to look for.")
    return sound(query)


def check_tokens(value: Any, what: str = "token_budget") -> int:
    return _whole(value, what, 1, _MOST_TOKENS)


def check_texts(texts: Any) -> tuple[str, ...]:
    """One text or several, none of them empty."""
    if isinstance(texts, str):
        rows: tuple[Any, ...] = (texts,)
    elif isinstance(texts, (bytes, Mapping)) or not isinstance(texts, Iterable):
        raise InvalidInput(f"text is a {type(texts).__name__}.", hint="Give a text, or a list of texts.")
    else:
        rows = tuple(texts)
    for number, text in enumerate(rows):
        if not isinstance(text, str):
            raise InvalidInput(f"Text {number} is a {type(text).__name__}, not a text.", hint="Convert it with str().")
        if not text.strip():
            raise InvalidInput(f"Text {number} is empty.", hint="Leave empty texts out.")
    return tuple(sound(text) for text in rows)


def _whole(value: Any, what: str, least: int, most: int) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = least - 1
    if isinstance(value, bool) or not least <= number <= most:
        raise InvalidInput(f"{what} is {value!r:.80}.", hint=f"It is a whole number from {least} to {most}.")
    return number


def check_flag(value: Any, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"{what} is {value!r:.80}.", hint="It is True or False.")
    return value


def check_age(value: Any) -> timedelta:
    """Days, or a span of time."""
    if isinstance(value, timedelta) and value >= timedelta():
        return value
    return timedelta(days=_whole(value, "older_than", 0, 36_500))


def check_path(path: Any) -> Path:
    if not isinstance(path, (str, os.PathLike)) or not os.fspath(path):
        raise InvalidInput(f"path is {path!r:.80}.", hint='It is the path of a file: "memory.json".')
    return Path(path).expanduser().absolute()


def check_one(conversation: Any, message: Any, action: str) -> tuple[str | None, tuple[str, ...]]:
    """The name of a conversation, or ids of messages: one of both."""
    if (conversation is None) == (message is None):
        raise InvalidInput("Name a conversation or a message.", hint=f'{action}(conversation="plans")')
    if conversation is not None:
        return check_name(conversation, "conversation"), ()
    return None, check_texts(message)


def check_fields(fields: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> dict[str, Any]:
    """What is to be set, of the fields `known`; those of `needed` cannot be None."""
    if not fields or (unknown := sorted(fields.keys() - set(known))):
        raise InvalidInput(
            f"{unknown[0]!r:.80} cannot be set." if fields else "There is nothing to set.",
            hint=f"What can be set is {', '.join(known)}.",
        )
    return {name: _check_field(name, value, name in needed) for name, value in fields.items()}


def _check_field(name: str, value: Any, needed: bool) -> Any:
    if value is None:
        if needed:
            raise InvalidInput(f"{name} is None.", hint=f"A conversation cannot be without {name}.")
        return None
    match name:
        case "folder":
            return check_folder(value)
        case "label":
            return check_name(value, name)
        case "importance":
            return check_importance(value)
        case "content":
            return check_texts([value])[0]
        case _:
            return int(check_flag(value, name))
