"""Where keys come from: what was typed at a prompt that does not echo, the environment, the operating system's keyring.

They are looked up in that order and passed on as `Secret`. Nothing here shows a key, and nothing writes one into the
environment of the process, where every child and every library would find it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.provider_types import BUILT_IN, ProviderType
from ..core.wire import Secret
from ..errors import ConfigError, InvalidInput
from .expand import expand, variables_in

if TYPE_CHECKING:
    from .schema import Config

__all__ = ["KeyPlace", "KeyStore", "ResolvedKeys", "resolve_keys"]

SERVICE = "sekha"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LONGEST = 8192

PLACES = {"session": "typed in this session", "environment": "the environment", "keyring": "the keyring"}


class KeyPlace(NamedTuple):
    """`place` is session, environment, keyring or missing; `source` says it in words."""

    name: str
    place: str
    source: str


class KeyStore:
    """Keys by the name of their variable, from all three places. Safe to use from several threads.

    `keyring` is a backend with `get_password`, `set_password` and `delete_password`; None is this machine's own, loaded
    when it is first needed. A keyring that fails when it is read counts as empty, for without it the other two places
    still work; one that fails when it is written to is an error.
    """

    def __init__(self, environ: Mapping[str, str], *, keyring: Any = None) -> None:
        self._environ = environ
        self._keyring = keyring
        self._lock = threading.Lock()  # protects the three below, not the keyring itself
        self._session: dict[str, Secret] = {}
        self._from_keyring: dict[str, Secret | None] = {}
        self._asked: set[str] = set()

    def __repr__(self) -> str:
        return f"KeyStore({', '.join(self.names())})"

    def get(self, name: str) -> Secret | None:
        """The key, without white space around it, or None when it stands nowhere or is empty."""
        return self._find(name)[1]

    def where(self, name: str) -> str:
        """`session`, `environment`, `keyring` or `missing`."""
        return self._find(name)[0]

    def set(self, name: str, value: str, *, remember: bool) -> None:
        """Use `value` in this session, and with `remember` also keep it in the keyring.

        Raises InvalidInput for what cannot be a name or a key, ConfigError when there is no keyring that keeps it.
        """
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InvalidInput("The name of a key is that of a variable: letters, digits and underscores.")
        value = value.strip() if isinstance(value, str) else ""
        # HTTP headers carry no control characters and nothing beyond Latin-1, and fail with the key in the message.
        if not value or len(value) > _LONGEST or not re.fullmatch(r"[!-~]+", value):
            raise InvalidInput(
                f"What was given for {name} cannot be a key: it is empty, too long or has odd characters."
            )
        with self._lock:
            self._session[name] = Secret(value)
        if remember:
            self._remember(name, value)

    def forget(self, name: str) -> None:
        """Drop the key from the session and the keyring. A variable of the environment stays what it is."""
        with self._lock:
            self._session.pop(name, None)
            self._from_keyring.pop(name, None)
            self._asked.discard(name)
        if self._read_keyring(name) is None:
            return
        try:
            self._backend().delete_password(SERVICE, name)
        except Exception as error:  # noqa: BLE001 - backends raise what they like, and their messages are not ours to trust
            raise ConfigError(
                f"The keyring keeps {name}: {type(error).__name__}.", hint="Remove it with the system's own tool."
            ) from None
        with self._lock:
            self._from_keyring.pop(name, None)

    def refresh(self) -> None:
        """Ask the keyring again for what it was asked before."""
        with self._lock:
            self._from_keyring.clear()

    def names(self) -> tuple[str, ...]:
        """Every name that was set or asked for here, and those the built-in types of provider customarily use."""
        customary = {t.key_variable for t in BUILT_IN.values() if t.key_variable}
        with self._lock:
            return tuple(sorted(customary | self._session.keys() | self._asked))

    def describe(self, more: Iterable[str] = ()) -> tuple[KeyPlace, ...]:
        """Where each of `names()` and `more` stands; never a value."""
        out = []
        for name in sorted({*self.names(), *more}):
            place = self.where(name)
            out.append(KeyPlace(name, place, PLACES.get(place, "nowhere")))
        return tuple(out)

    def _find(self, name: str) -> tuple[str, Secret | None]:
        with self._lock:
            self._asked.add(name)
            typed = self._session.get(name)
        if typed is not None:
            return "session", typed
        if value := self._environ.get(name, "").strip():
            return "environment", Secret(value)
        stored = self._read_keyring(name)
        return ("keyring", stored) if stored else ("missing", None)

    def _backend(self) -> Any:
        if self._keyring is None:
            import keyring

            self._keyring = keyring.get_keyring()
        return self._keyring

    def _read_keyring(self, name: str) -> Secret | None:
        with self._lock:
            if name in self._from_keyring:
                return self._from_keyring[name]
        try:
            value = self._backend().get_password(SERVICE, name)
        except Exception:  # noqa: BLE001 - no backend, a locked one, no desktop: all mean that no key is to be had here
            value = None
        found = Secret(value.strip()) if isinstance(value, str) and value.strip() else None
        with self._lock:
            return self._from_keyring.setdefault(name, found)

    def _remember(self, name: str, value: str) -> None:
        why = "it did not keep it"
        try:
            backend = self._backend()
            backend.set_password(SERVICE, name, value)
            # The backend that stands for "none" accepts everything and keeps nothing.
            kept = backend.get_password(SERVICE, name) == value
        except Exception as error:  # noqa: BLE001 - see above
            kept, why = False, type(error).__name__
        with self._lock:
            self._from_keyring.pop(name, None)
        if not kept:
            raise ConfigError(
                f"{name} could not be put into this machine's keyring ({why}); it is used in this session only.",
                hint=f"Set {name} in the environment before the kernel starts, or set up a keyring.",
            )


# --- the keys of a configuration ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResolvedKeys:
    """By provider id: the key, or a sentence that says why there is none; and where each stands, in words."""

    keys: dict[str, Secret] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)


def resolve_keys(config: Config, provider_types: Mapping[str, ProviderType], keys: KeyStore) -> ResolvedKeys:
    """Look up the keys a configuration names, and no other: to be called again when a key was set or forgotten."""
    out = ResolvedKeys()
    for provider in config.llm_providers:
        kind = provider_types[provider.type]
        text = provider.api_key.get_secret_value() if provider.api_key else ""
        if not text.strip():
            if kind.needs_key:
                variable = kind.key_variable or "SOME_VARIABLE"
                out.missing[provider.id] = (
                    f"{provider.type} needs a key and the configuration of `{provider.id}` names none: "
                    f"add `api_key: ${{{variable}}}`"
                )
            continue
        expanded = expand(text, lambda name: found.reveal() if (found := keys.get(name)) else None)
        if expanded.unset:
            names = " and ".join(expanded.unset)
            out.missing[provider.id] = f"{names} {'is' if len(expanded.unset) == 1 else 'are'} not set"
        elif value := expanded.text.strip():
            out.keys[provider.id] = Secret(value)
            out.sources[provider.id] = _source(text, expanded.values, keys)
        elif kind.needs_key:
            out.missing[provider.id] = f"{' and '.join(expanded.defaults) or 'api_key'} is empty"
    return out


def _source(text: str, used: Mapping[str, str], keys: KeyStore) -> str:
    if not used:
        named = variables_in(text)
        default = f"the default for {', '.join(named)}" if named else "written out"
        return f"{default} in the configuration"
    return ", ".join(f"{name}: {PLACES.get(keys.where(name), 'nowhere')}" for name in used)
