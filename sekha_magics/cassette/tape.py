"""The file: JSON lines, of which the first says what it is and which models it was made with.

`replay` never writes and never lets a request through; `record` never plays, and begins the file anew with its first
answer; `auto` plays what there is and appends what there is not; `live` leaves the file alone. A line is appended
whole, as soon as there is an answer: what was paid for is kept, whatever happens next.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from ..core.catalogue import Catalogue
from ..errors import CassetteMiss, ConfigError, InvalidInput
from .order import Order, alone
from .recording import Recording
from .rendered import Rendered, difference, redacted, summary

__all__ = ["MODES", "Cassette", "Mode", "from_environment"]

Mode = Literal["record", "replay", "auto", "live"]
MODES: tuple[Mode, ...] = get_args(Mode)
VERSION = 1


def from_environment(environ: Mapping[str, str]) -> tuple[Path, Mode] | None:
    """What `SEKHA_CASSETTE` and `SEKHA_MODE` ask for; a cassette without a mode is played and completed (`auto`)."""
    path, mode = environ.get("SEKHA_CASSETTE", "").strip(), environ.get("SEKHA_MODE", "").strip().lower()
    known = _mode(mode, "SEKHA_MODE") if mode else "auto"
    if path:
        return Path(path), known
    if mode and known != "live":
        raise ConfigError(
            f"SEKHA_MODE is {mode}, but SEKHA_CASSETTE names no file", hint="Set SEKHA_CASSETTE, or unset SEKHA_MODE."
        )
    return None


def _mode(name: str, where: str) -> Mode:
    for known in MODES:
        if name == known:
            return known
    raise ConfigError(f"{where} is {name!r}", hint=f"It may be {', '.join(MODES[:-1])} or {MODES[-1]}.")


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    request: Mapping[str, Any]
    recording: Recording


class _Content(NamedTuple):
    catalogue: Catalogue | None
    recordings: dict[str, list[_Line]]
    lines: int


class Cassette:
    """One cassette, open in one mode. Safe for threads; a forked child continues with its own copy of the position.

    `catalogue` holds the providers and models of the last header, None when nothing was recorded yet.
    """

    def __init__(self, path: Path, mode: Mode, content: _Content, redact: Callable[[str], str]) -> None:
        self.path, self.mode, self._redact = path, mode, redact
        self.catalogue, self._recordings, self._lines = content
        self._played: dict[str, int] = {}
        self._begun = mode != "record"
        self._found = _signature(path)
        self._lock, self._pid = threading.Lock(), os.getpid()
        self._orders: weakref.WeakSet[Order] = weakref.WeakSet()

    @classmethod
    def open(cls, path: str | os.PathLike[str], mode: str, *, redact: Callable[[str], str] = str) -> Cassette:
        """Open `path`; `redact` removes key values from all text that is written.

        Raises `CassetteMiss` when there is nothing to replay, and `ConfigError` for a file that is no cassette, is
        damaged, or (in `record`) cannot be written: before anything is sent.
        """
        known = _mode(mode, "the cassette's mode")
        target = Path(path).expanduser()
        try:
            target = target.resolve()
            if known != "live" and target.exists() and not target.is_file():
                raise ConfigError(f"{target} is no file, so it cannot be a cassette")
            if known == "record":
                _refuse_to_overwrite(target)
                _try_to_write(target, anew=True)
            readable = known in ("replay", "auto") and target.exists()
            content = _read(target) if readable else _Content(None, {}, 0)
        except OSError as error:
            raise _unusable(target, error) from error
        if known == "replay" and not content.recordings:
            there = "holds no recording" if readable else "does not exist"
            raise CassetteMiss(f"The cassette {target} {there}.")
        return cls(target, known, content, redact)

    @property
    def recordings(self) -> int:
        """How many answers there are."""
        # Not `__len__`: an empty cassette would be taken for none.
        return sum(map(len, self._recordings.values()))

    def __repr__(self) -> str:
        return f"Cassette({str(self.path)!r}, {self.mode!r}, {self.recordings} recordings)"

    def play(self, request: Rendered) -> Recording | None:
        """The next recording of `request`; None when the answer has to be live.

        In `replay` a request without one raises `CassetteMiss`, and in `auto` one that could not be recorded raises
        `ConfigError`.
        """
        if self.mode in ("record", "live"):
            return None
        with self._guard():
            lines, position = self._recordings.get(request.key, []), self._played.get(request.key, 0)
            if position < len(lines):
                self._played[request.key] = position + 1
                return lines[position].recording
        if self.mode == "replay":
            raise self._miss(request, lines)
        try:
            _try_to_write(self.path, anew=False)
        except OSError as error:
            raise _unusable(self.path, error) from error
        return None

    def record(self, request: Rendered, recording: Recording, catalogue: Catalogue) -> None:
        """Append the answer to `request`, and before it `catalogue` where the file does not say it already.

        Does nothing in `live`. Raises `ConfigError` when the file cannot be written.
        """
        if self.mode == "live":
            return
        if self.mode == "replay":
            raise InvalidInput("a cassette that is replayed is not written")
        fields = redacted(request.to_json(), self._redact)
        line = {"key": request.key, "request": fields, **recording.to_json(self._redact)}
        with self._guard():
            lines = [line] if self.catalogue == catalogue else [_header(catalogue), line]
            try:
                with alone():
                    self._write(lines, catalogue, line)
            except OSError as error:
                raise _unusable(self.path, error) from error
            self.catalogue = catalogue
            self._lines += len(lines)
            self._recordings.setdefault(request.key, []).append(_Line(self._lines, fields, recording))
            self._played[request.key] = self._played.get(request.key, 0) + 1
            for order in self._orders:
                order.note(request.key, _encode([line]))

    def order(self, keys: Iterable[str]) -> Order:
        """Lets what is recorded from now on for the requests of `keys` stand in their order, as often as it is settled.

        Until then it stands in the order it came.
        """
        made = Order(keys, self._settle)
        with self._guard():
            self._orders.add(made)
        return made

    def _settle(self, order: Order) -> None:
        with self._guard(), alone():
            if not self._begun or not self.path.exists():
                return
            lines = self.path.read_bytes().splitlines(keepends=True)
            if (arranged := order.arranged(lines)) is not None:
                _replace(self.path, b"".join(arranged))

    def rewind(self) -> None:
        """Play every request from its first recording again."""
        with self._guard():
            self._played.clear()

    def _guard(self) -> threading.Lock:
        # A lock that another thread held when this process was forked is never released in the child.
        if self._pid != os.getpid():
            self._lock, self._pid = threading.Lock(), os.getpid()
        return self._lock

    def _write(self, lines: list[dict[str, Any]], catalogue: Catalogue, line: dict[str, Any]) -> None:
        # Changed since it was opened: a forked child or another kernel began the file anew already, so go on in it.
        if self._begun or _signature(self.path) != self._found:
            _append(self.path, _encode(lines))
        else:
            _replace(self.path, _encode([_header(catalogue), line]))
        self._begun = True

    def _miss(self, request: Rendered, lines: list[_Line]) -> CassetteMiss:
        now = redacted(request.to_json(), self._redact)
        if lines:
            times = f"{len(lines)} time{'s' if len(lines) > 1 else ''}"
            return CassetteMiss(
                f"{self.path.name} holds {summary(now)} {times} (line {lines[-1].number} last), "
                f"and all of that has been played.",
                hint="Open the cassette again to play from its beginning, or run once with SEKHA_MODE=auto.",
            )
        closest = _closest([line for known in self._recordings.values() for line in known], now)
        first = difference(closest.request, now) or "text that was removed from the recording because it was a key"
        return CassetteMiss(
            f"{self.path.name} holds no recording of {summary(now)}. The closest is line {closest.number}, "
            f"{summary(closest.request)}; the first difference is in {first}."
        )


def _closest(lines: list[_Line], now: Mapping[str, Any]) -> _Line:
    """Same words under other options come first, then the most similar words."""
    wanted = _likeness(now)
    same = [line for line in lines if _likeness(line.request) == wanted]
    if not same:
        texts = {_likeness(line.request): line for line in reversed(lines)}
        same = [texts[text] for text in get_close_matches(wanted, texts, n=1, cutoff=0.0)]
    return min(same, key=lambda line: sum(line.request.get(k) != now.get(k) for k in {*line.request, *now}))


def _likeness(request: Mapping[str, Any]) -> str:
    # Only the end, where the latest message stands: comparing texts takes time in the square of their length.
    return json.dumps([request.get("operation"), request.get("messages"), request.get("texts")])[-1500:]


def _header(catalogue: Catalogue) -> dict[str, Any]:
    return {"cassette": VERSION, "catalogue": catalogue.to_json()}


def _encode(lines: list[dict[str, Any]]) -> bytes:
    return "".join(_visible(json.dumps(line, ensure_ascii=False)) + "\n" for line in lines).encode()


def _visible(text: str) -> str:
    # Text as text, for people and diffs; but a control or direction character would change what they see, and a lone
    # surrogate cannot be written at all.
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def _append(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                data = b"\n" + data
        # One write, at the end by the mode of the file: lines of several processes do not mix.
        rest = memoryview(data)
        while rest:
            rest = rest[file.write(rest) or 0 :]


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _try_to_write(path: Path, *, anew: bool) -> None:
    exists = path.exists()
    if exists:
        path.open("ab").close()
    if anew or not exists:
        path.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path.parent).close()


def _refuse_to_overwrite(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb") as file:
        first = file.readline(10_000_000)
    if first.strip() and "cassette" not in _object(first, path, 1):
        raise _foreign(path)


def _signature(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _read(path: Path) -> _Content:
    catalogue: Catalogue | None = None
    recordings: dict[str, list[_Line]] = {}
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    # Split at line feeds alone: text in the file may hold every other character that ends a line elsewhere.
    for number, raw in enumerate(data.split(b"\n"), 1):
        if not raw.strip():
            continue
        value = _object(raw, path, number)
        if "cassette" in value:
            catalogue = _catalogue(value, path, number)
        elif catalogue is None:
            raise _foreign(path)
        else:
            key, request = value.get("key"), value.get("request")
            if not isinstance(key, str) or not isinstance(request, dict):
                raise _damaged(path, number, "`key` or `request` is missing")
            try:
                line = _Line(number, request, Recording.from_json(value))
            except ValueError as error:
                raise _damaged(path, number, str(error)) from error
            recordings.setdefault(key, []).append(line)
    return _Content(catalogue, recordings, data.removesuffix(b"\n").count(b"\n") + bool(data))


def _object(raw: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        value = json.loads(raw.decode())
    except (ValueError, RecursionError) as error:
        if number == 1:
            raise _foreign(path) from error
        raise _damaged(path, number, "it is not JSON, or cut short") from error
    if not isinstance(value, dict):
        raise _foreign(path) if number == 1 else _damaged(path, number, "it holds no mapping")
    return value


def _catalogue(header: Mapping[str, Any], path: Path, number: int) -> Catalogue:
    version = header["cassette"]
    if version != VERSION:
        raise ConfigError(
            f"{path} line {number}: this is a cassette of version {version!r}; version {VERSION} can be read",
            hint="Install a newer sekha-magics, or record the cassette again.",
        )
    try:
        return Catalogue.from_json(header["catalogue"])
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise _damaged(path, number, "the models in it cannot be read") from error


def _damaged(path: Path, number: int, what: str) -> ConfigError:
    return ConfigError(f"{path} line {number} is damaged: {what}", hint="Mend or delete the line, or record again.")


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} is not a cassette: its first line is not the header of one", hint="Check SEKHA_CASSETTE for a typo."
    )


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"The cassette {path} cannot be used: {error.strerror or error}",
        hint="Check the path and its permissions, or set SEKHA_MODE=live.",
    )
