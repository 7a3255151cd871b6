"""Files of conversations, read with suspicion: our own exports, and those of ChatGPT and Claude.

What of ours is not as we write it is an error that says where; what of others is odd is left out and counted.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InvalidInput, MemoryStoreError
from . import checks
from .exports import FORMAT, PARQUET_TABLES
from .foreign import from_chatgpt, from_claude
from .transfer import Conversation, Message, Summary

__all__ = ["Found", "read"]

_INSIDE = "conversations.json"
_MANY = ("messages", "summaries")
_UNDERSTOOD = "It takes exports of this package (JSON, or a folder of Parquet files), of ChatGPT and of Claude."


class Found(NamedTuple):
    """The conversations of a file, who made it, and how many entries and messages were left out."""

    conversations: list[Conversation]
    maker: str
    skipped: int


def read(path: Path, folder: str | None) -> Found:
    """What is in the file, its archive (.zip) or its folder. `folder` is where what is not from here comes to stand.

    Raises `InvalidInput` for what is not understood, `MemoryStoreError` for what cannot be read.
    """
    try:
        if path.is_dir() and (path / "messages.parquet").exists():
            return Found(list(_from_parquet(path)), "sekha", 0)
        value = json.loads(_text_of(path / _INSIDE if path.is_dir() else path))
    except (OSError, zipfile.BadZipFile) as error:
        raise MemoryStoreError(f"{path} cannot be read: {error}", hint=_UNDERSTOOD) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} holds no JSON: {error!s:.200}", hint=_UNDERSTOOD) from None
    if isinstance(value, Mapping) and value.get("format") == FORMAT:
        return Found([_ours(row, f"conversation {n}") for n, row in enumerate(_list(value, path))], "sekha", 0)
    if isinstance(value, list):
        for maker, sign, reader in (("chatgpt", "mapping", from_chatgpt), ("claude", "chat_messages", from_claude)):
            if any(isinstance(entry, Mapping) and sign in entry for entry in value):
                found = [reader(entry, folder or f"/imported/{maker}") for entry in value]
                kept = [one.conversation for one in found if one.conversation is not None]
                return Found(kept, maker, sum(one.skipped for one in found))
    raise InvalidInput(f"{path} holds no conversations that are understood here.", hint=_UNDERSTOOD)


def _text_of(path: Path) -> str:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            inside = next((name for name in archive.namelist() if name.rsplit("/", 1)[-1] == _INSIDE), None)
            if inside is None:
                raise InvalidInput(f"{path} holds no {_INSIDE}.", hint=_UNDERSTOOD)
            return archive.read(inside).decode("utf-8-sig")
    return path.read_bytes().decode("utf-8-sig")


def _list(value: Mapping[str, Any], path: Path) -> list[Any]:
    found = value.get("conversations")
    if not isinstance(found, list):
        raise InvalidInput(f"{path} has no list of conversations.", hint=_UNDERSTOOD)
    return found


def _from_parquet(folder: Path) -> Iterator[Conversation]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows: dict[str, list[dict[str, Any]]] = {}
    for kind in PARQUET_TABLES:
        try:
            rows[kind] = pq.read_table(folder / f"{kind}.parquet").to_pylist()
        except pa.ArrowException as error:
            raise InvalidInput(f"{folder / kind}.parquet is no Parquet file: {error}", hint=_UNDERSTOOD) from error
    of: dict[Any, dict[str, list[dict[str, Any]]]] = {}
    for kind in _MANY:
        for row in rows[kind]:
            of.setdefault(row.pop("conversation_id", None), {}).setdefault(kind, []).append(row)
    for number, row in enumerate(rows["conversations"]):
        more = of.get(row.get("conversation_id"), {})
        yield _ours({**row, **{kind: more.get(kind, []) for kind in _MANY}}, f"conversation {number}")


def _ours(row: Any, where: str) -> Conversation:
    own = _fields(Conversation, row, where)
    many = {kind: own.pop(kind) for kind in _MANY}
    if own.get("folder", "/") is None or own.get("importance", 5) is None:
        raise InvalidInput(f"{where} has no folder or no importance.", hint=_UNDERSTOOD)
    messages = tuple(Message(**_fields(Message, m, f"{where}, message {n}")) for n, m in enumerate(many["messages"]))
    summaries = tuple(Summary(**_fields(Summary, s, f"{where}, summary {n}")) for n, s in enumerate(many["summaries"]))
    return Conversation(**own, messages=messages, summaries=summaries)


def _fields(made: type, row: Any, where: str) -> dict[str, Any]:
    """The fields of `made` in `row`, each checked as if it had been given to a method."""
    if not isinstance(row, Mapping):
        raise InvalidInput(f"{where} is a {type(row).__name__}, not a mapping.", hint=_UNDERSTOOD)
    told: dict[str, Any] = {}
    for field in fields(made):
        if field.name in row:
            try:
                told[field.name] = _checked(field.name, row[field.name], field.default is MISSING)
            except InvalidInput as error:
                error.message = f"{where}: {error.message}"
                raise
        elif field.default is MISSING:
            raise InvalidInput(f"{where} has no {field.name}.", hint=_UNDERSTOOD)
        elif field.name in _MANY:
            told[field.name] = []
    return told


def _checked(name: str, value: Any, needed: bool) -> Any:
    if name in _MANY:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise InvalidInput(f"{name} is a {type(value).__name__}, not a list.")
        return value
    if value is None and not needed and name not in ("folder", "importance"):
        return None
    match name:
        case "folder":
            return None if value is None else checks.check_folder(value)
        case "importance":
            return None if value is None else checks.check_importance(value)
        case "pinned" | "archived":
            return checks.check_flag(value, name)
        case "role":
            return checks.check_choice(value, name, checks.ROLES)
        case "content":
            return checks.check_texts([value])[0]
        case "ts" | "created_at" | "updated_at" | "starts_at" | "ends_at":
            return _moment(value, name)
        case "sources":
            return _ids(value)
        case "name" | "label":
            return checks.check_name(value, name)
        case _:
            if not isinstance(value, str) or not value:
                raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is a text.")
            return checks.sound(value)


def _moment(value: Any, name: str) -> str:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{name} is {value!r:.80}.", hint="It is a time in ISO 8601.") from None
    if moment.tzinfo == UTC:
        return str(value)
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC).isoformat()


def _ids(value: Any) -> str:
    try:
        listed = json.loads(value)
    except (TypeError, ValueError):
        listed = None
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise InvalidInput(f"sources is {value!r:.80}.", hint="It is a JSON list of ids.")
    return str(value)
