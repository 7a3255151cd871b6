"""`%sekha memory list|set|export|import|prune|reindex|forget`: looking after what is remembered.

What cannot be undone, or costs money, is only said until `--yes` stands behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError

from ..standing import registry

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ACTIONS"]

Values = Mapping[str, Any]
_NOTHING_YET = "nothing is changed yet: --yes does it"
_MARKS = {"pin": ("pinned", True), "unpin": ("pinned", False), "archive": ("archived", True),
          "unarchive": ("archived", False)}  # fmt: skip


def _list(operand: str, values: Values) -> pd.DataFrame:
    _nothing(operand, values)
    return _shown(
        registry().memory.conversations(),
        caption="conversations",
        only=("conversation", "messages", "folder", "label", "importance", "pinned", "archived", "updated_at"),
        empty="nothing is remembered yet",
        column={"updated_at": _minute},
    )


def _set(operand: str, values: Values) -> pd.DataFrame:
    _only(values, "folder", "label", "importance", *_MARKS)
    name = _needed(operand, "name a conversation: %sekha memory set CONVERSATION --folder /uni")
    fields = {key: value for key, value in values.items() if key not in _MARKS}
    for mark, (field, truth) in _MARKS.items():
        if mark in values:
            if field in fields:
                raise UsageError(f"--{mark} and its opposite are given")
            fields[field] = truth
    if not fields:
        raise UsageError("say what to set: --folder, --label, --importance, --pin, --unpin, --archive, --unarchive")
    memory = registry().memory
    memory.set_conversation(name, **fields)
    frame = memory.conversations()
    return _shown(
        frame[frame["conversation"] == name],
        caption=f"set for {name}",
        only=("conversation", "messages", "folder", "label", "importance", "pinned", "archived"),
    )


def _export(operand: str, values: Values) -> pd.DataFrame:
    import pandas as pd

    _only(values, "conversation")
    path = _needed(operand, "name a file: %sekha memory export memory.json")
    files = registry().memory.export(path, conversation=values.get("conversation"))
    rows = [(str(file), file.stat().st_size) for file in files]
    return _shown(pd.DataFrame(rows, columns=["file", "bytes"]), caption="exported")


def _import(operand: str, values: Values) -> pd.DataFrame:
    from dataclasses import asdict

    import pandas as pd

    _only(values, "folder")
    path = _needed(operand, "name a file: %sekha memory import conversations.json")
    brought = registry().memory.import_from(path, folder=values.get("folder"))
    notes = ("known: messages that were here already; skipped: what was not understood",)
    return _shown(pd.DataFrame([asdict(brought)]), caption="imported", footnotes=notes)


def _prune(operand: str, values: Values) -> pd.DataFrame:
    _only(values, "older_than", "importance", "folder", "delete", "yes")
    _no_operand(operand)
    rules = {name: values[name] for name in ("older_than", "importance", "folder") if name in values}
    if not rules:
        raise UsageError("say what is to go: %sekha memory prune --older-than 365 --importance 3 --folder /old")
    action, yes = "delete" if values.get("delete") else "archive", bool(values.get("yes"))
    frame = registry().memory.prune(**rules, action=action, dry_run=not yes)  # type: ignore[arg-type]
    done = f"{action}d" if yes else f"would be {action}d"
    return _shown(
        frame,
        caption=f"conversations that {'were' if yes else ''} {done}".replace("  ", " "),
        footnotes=() if yes or frame.empty else (_NOTHING_YET,),
        empty="no conversation fits",
        column={"newest": _minute},
    )


def _reindex(operand: str, values: Values) -> pd.DataFrame:
    import pandas as pd

    from ...display.money import format_usd

    _only(values, "yes")
    model = _needed(operand, "name an embedding model: %sekha memory reindex MODEL")
    yes = bool(values.get("yes"))
    found = registry().memory.reindex(model, dry_run=not yes)
    notes = [] if yes or not found.messages else [_NOTHING_YET]
    if yes and found.messages:
        notes.append(f"{found.messages} wait for another kernel, or no model takes them: run it again later")
    frame = pd.DataFrame([found._asdict()])
    shown = ("model", "done") if yes else ("model", "messages", "tokens", "price_usd")
    caption = "vectors made" if yes else "messages without a vector of the model, and the price"
    return _shown(frame, caption=caption, footnotes=tuple(notes), only=shown, column={"price_usd": format_usd})


def _forget(operand: str, values: Values) -> pd.DataFrame:
    _only(values, "message", "yes")
    yes = bool(values.get("yes"))
    if bool(operand) == ("message" in values):
        raise UsageError("name a conversation or a message: %sekha memory forget CONVERSATION, or --message ID")
    frame = registry().memory.forget(conversation=operand or None, message=values.get("message"), dry_run=not yes)
    counts = ", ".join(f"{count} {what}" for what, count in frame.attrs.items() if count and what != "messages")
    notes = [f"with them: {counts}"] if counts else []
    return _shown(
        frame,
        caption="forgotten" if yes else "this would be forgotten, for good",
        footnotes=(*notes, *(() if yes else (_NOTHING_YET,))),
        empty="the conversation has no message",
        column={"ts": _minute},
    )


def _shown(frame: pd.DataFrame, **how: Any) -> pd.DataFrame:
    from ..shown import ShownFrame

    return ShownFrame(frame, **how)


def _minute(moment: pd.Timestamp) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _needed(operand: str, otherwise: str) -> str:
    if not operand:
        raise UsageError(otherwise)
    return operand


def _no_operand(operand: str) -> None:
    if operand:
        raise UsageError(f"{operand!r} is not understood here")


def _nothing(operand: str, values: Values) -> None:
    _no_operand(operand)
    _only(values)


def _only(values: Values, *own: str) -> None:
    if unfit := sorted(values.keys() - set(own)):
        raise UsageError(f"--{unfit[0].replace('_', '-')} is not understood here")


ACTIONS: Mapping[str, Callable[[str, Values], Any]] = {
    "list": _list,
    "set": _set,
    "export": _export,
    "import": _import,
    "prune": _prune,
    "reindex": _reindex,
    "forget": _forget,
}
