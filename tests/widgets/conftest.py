"""A page for tests: what a widget is told stands in a list, and what a page says is said by calling it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from sekha_magics import Registry, set_registry
from sekha_magics.widgets import Chat
from tests.display.conftest import shell
from tests.magics.parrot import make_registry

__all__ = ["shell"]


@pytest.fixture
def registry() -> Iterator[Registry]:
    """One parrot, which echoes."""
    made = make_registry()
    set_registry(made)
    yield made
    set_registry(None)
    made.close()


def slow_registry(**options: Any) -> Registry:
    """Its answers take a minute, unless somebody stops them."""
    return make_registry(**{"answer": "slow " * 1200, "pause": 0.05, **options})


def say(chat: Chat, message: Mapping[str, Any] | object) -> None:
    """As the page does it: by a message, which ipywidgets hands to whoever listens."""
    chat.widget._handle_custom_msg(message, [])


def when(chat: Chat, name: str, *, among: Any) -> threading.Event:
    """Set as soon as the trait `name` has a value that is `among` (a predicate)."""
    seen = threading.Event()

    def look(change: Any = None) -> None:
        if among(getattr(chat.widget, name)):
            seen.set()

    chat.widget.observe(look, name)
    look()
    return seen


def wait_for(event: threading.Event) -> None:
    assert event.wait(30), "it never happened"
