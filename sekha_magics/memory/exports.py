"""A memory, or a conversation of it, as files for other programs and other machines.

JSON and Parquet hold all of it but the vectors, which are made again; Markdown is for people. A file is put in place
when it is whole.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ..errors import InvalidInput, MemoryStoreError
from .transfer import Conversation, Message, Summary

__all__ = ["FORMAT", "PARQUET_TABLES", "SUFFIXES", "write"]

FORMAT = "sekha memory 1"
SUFFIXES = {".json": "json", ".md": "markdown", ".markdown": "markdown", ".parquet": "parquet"}
PARQUET_TABLES: dict[str, type] = {"conversations": Conversation, "messages": Message, "summaries": Summary}
_MANY = ("messages", "summaries")
_WHOLE, _TRUTH = ("importance",), ("pinned", "archived")


def write(conversations: Iterable[Conversation], path: Path, form: str) -> list[Path]:
    """Write them to `path`: a file, or for Parquet a folder with one for each kind. Raises `MemoryStoreError`."""
    given = list(conversations)
    try:
        match form:
            case "json":
                text = json.dumps({"format": FORMAT, "conversations": [asdict(c) for c in given]}, ensure_ascii=False)
                return [_put(path, text)]
            case "markdown":
                return [_put(path, "\n".join(_markdown(c) for c in given))]
            case "parquet":
                return _parquet(given, path)
    except OSError as error:
        raise MemoryStoreError(f"{path} cannot be written: {error}", hint="Name another place.") from error
    raise InvalidInput(f"format is {form!r:.80}.", hint="It is one of json, markdown, parquet.")


def _put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _parquet(given: Sequence[Conversation], folder: Path) -> list[Path]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {"conversations": [], "messages": [], "summaries": []}
    for conversation in given:
        told = asdict(conversation)
        for kind in _MANY:
            rows[kind] += [{"conversation_id": conversation.conversation_id, **row} for row in told.pop(kind)]
        rows["conversations"].append(told)
    files = []
    for kind, made in PARQUET_TABLES.items():
        names = [field.name for field in fields(made) if field.name not in _MANY]
        names = names if kind == "conversations" else ["conversation_id", *names]
        schema = pa.schema([(name, _type(pa, name)) for name in names])
        part = folder / f".{kind}.{os.getpid()}.part"
        try:
            pq.write_table(pa.Table.from_pylist(rows[kind], schema=schema), part)
            files.append(part.replace(folder / f"{kind}.parquet"))
        finally:
            part.unlink(missing_ok=True)
    return files


def _type(pa: Any, name: str) -> Any:
    return pa.int64() if name in _WHOLE else pa.bool_() if name in _TRUTH else pa.string()


def _markdown(conversation: Conversation) -> str:
    about = [conversation.folder, f"importance {conversation.importance}"]
    about += [conversation.label] if conversation.label else []
    about += [word for word in ("pinned", "archived") if getattr(conversation, word)]
    lines = [f"# {_title(conversation.name)}", "", _title(" · ".join(about)), ""]
    for message in conversation.messages:
        lines += [f"## {message.role}, {message.ts[:16].replace('T', ' ')} UTC", "", _fenced(message.content), ""]
    for summary in conversation.summaries:
        lines += [f"## {summary.level} summary", "", _fenced(summary.content), ""]
    return "\n".join(lines)


def _title(text: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", text)


def _fenced(text: str) -> str:
    """As it was said, in a fence that nothing in it closes: a message may hold headings, and fences of its own."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{text}\n{fence}"
