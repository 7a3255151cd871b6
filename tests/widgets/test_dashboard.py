"""The dashboard from its kernel's side: whom it tells, what it answers, and what a file keeps of it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import sekha_magics as sekha
from sekha_magics import Registry
from sekha_magics.live.state import read
from sekha_magics.registry import set_registry
from sekha_magics.widgets.tables import plain_of, tables_of, to_html
from tests.display.harmless import assert_harmless
from tests.display.hostile import TEXTS
from tests.live.front import check

from .conftest import slow_registry

VIEW = "application/vnd.jupyter.widget-view+json"
SECONDS = 30


class Page:
    """A place where a dashboard is shown. It hears what the widget is told, and says what a page says."""

    def __init__(self, dashboard: sekha.Dashboard, view: str = "here") -> None:
        self._widget, self._view = dashboard.widget, view
        self._news = threading.Condition()
        self.heard: list[dict[str, Any]] = []
        self.state: dict[str, Any] = {}
        dashboard.widget.send = self._hear

    def _hear(self, message: dict[str, Any], buffers: object = None) -> None:
        check(message)
        with self._news:
            self.heard.append(message)
            self.state |= message.get("state", message.get("changes", {}))
            self._news.notify_all()

    def say(self, message: object) -> None:
        self._widget._handle_custom_msg(message, [])

    def open(self) -> None:
        self.say({"type": "open", "view": self._view})

    def leave(self) -> None:
        self.say({"type": "left", "view": self._view})

    def ask(self, type: str, **arguments: Any) -> dict[str, Any]:
        self.say({"version": 1, "id": f"{self._view} 1", "type": type, **arguments})
        return self.heard[-1]

    def until(self, holds: Any) -> dict[str, Any]:
        with self._news:
            assert self._news.wait_for(lambda: bool(self.state) and holds(self.state), SECONDS), self.state
            return self.state


def test_a_page_that_opens_is_told_all_and_then_every_change(registry: Registry) -> None:
    page = Page(sekha.Dashboard())
    assert page.heard == []
    page.open()
    assert page.heard[0]["type"] == "snapshot"
    registry.chat("What is it?")
    state = page.until(lambda s: s["session"]["calls"] == 1)
    assert state["decisions"][0]["model_id"] == "echo"
    page.leave()


def test_a_page_asks_for_limits_resets_candidates_and_is_refused_with_a_hint(registry: Registry) -> None:
    page = Page(sekha.Dashboard())
    page.open()
    decision = registry.chat("What is it?").decision
    assert page.ask("budget", limits={"session": "0.5"})["ok"]
    assert registry.budget.lines()[0].limit.usd is not None
    found = page.ask("candidates", decision_id=decision.decision_id)["candidates"]
    assert {one["model_id"] for one in found} == {"echo", "see"}
    assert page.ask("reset", provider_id="cage")["ok"]
    refused = page.ask("budget", limits={"session": "999999999"})
    assert not refused["ok"] and refused["hint"]
    page.leave()


def test_a_running_request_is_seen_and_cancelled_from_the_page() -> None:
    with slow_registry() as slow:
        set_registry(slow)
        page = Page(sekha.Dashboard())
        page.open()
        chat = sekha.Chat()
        chat.widget._handle_custom_msg({"type": "ask", "id": "1", "text": "Go on."}, [])
        running = page.until(lambda s: s["running"] and s["running"][0]["output_tokens"])["running"]
        assert page.ask("cancel", request_id=running[0]["request_id"])["ok"]
        page.until(lambda s: not s["running"] and s["decisions"][0]["outcome"] == "interrupted")
        assert chat._answering is None or chat._answering.wait(SECONDS)
        assert "stopped" in chat.turns[0].line
        page.leave()
        set_registry(None)


def test_two_views_hear_the_same_and_it_is_silent_when_both_have_left(registry: Registry) -> None:
    dashboard = sekha.Dashboard()
    first, second = Page(dashboard, "first"), Page(dashboard, "second")
    first.open()
    second.open()
    assert [message["sequence"] for message in second.heard] == [0, 1]
    first.leave()
    registry.chat("Still told?")
    second.until(lambda s: s["session"]["calls"] == 1)
    second.leave()
    before = len(second.heard)
    other = Page(sekha.Dashboard(), "other")
    other.open()
    registry.chat("And now?")
    other.until(lambda s: s["session"]["calls"] == 2)
    assert len(second.heard) == before
    other.leave()


def test_a_dashboard_that_is_closed_tells_nothing_and_its_tables_stay(registry: Registry) -> None:
    dashboard = sekha.Dashboard()
    page = Page(dashboard)
    page.open()
    dashboard.close()
    dashboard.close()
    heard = len(page.heard)
    page.open()
    assert len(page.heard) == heard
    data, _ = dashboard._repr_mimebundle_()
    assert VIEW not in data and "<table>" in data["text/html"]


@pytest.mark.parametrize(
    "message",
    [None, 3, [], {}, {"type": "open"}, {"type": "open", "view": 3}, {"type": []}, {"type": "left", "view": "never"}],
)
def test_a_message_that_is_none_is_refused_or_passed_over(registry: Registry, message: Any) -> None:
    page = Page(sekha.Dashboard())
    page.say(message)
    assert all(not heard["ok"] for heard in page.heard)
    page.open()
    assert page.state["session"]["calls"] == 0
    page.leave()


def test_the_tables_say_what_the_panel_says(registry: Registry) -> None:
    registry.chat("What is it?")
    registry.budget.set(session="0.00001", day=2)
    text = str(sekha.Dashboard())
    assert text.startswith("This session: $0.000009 in 1 call\n")
    for words in ("near the limit", "90 %", "in service", "the only one eligible of 2", "no limit", "answered"):
        assert words in text
    data, metadata = sekha.Dashboard()._repr_mimebundle_()
    assert data["text/plain"] == text
    assert metadata["sekha"]["ts"].endswith("+00:00")
    assert data[VIEW]["model_id"]


def test_without_a_registry_there_is_a_dashboard_and_none_is_made() -> None:
    set_registry(None)
    assert str(sekha.Dashboard()).startswith("This session: $0 in 0 calls")
    assert sekha.registry.current_registry() is None


def test_hostile_names_and_errors_are_harmless_in_the_tables(registry: Registry) -> None:
    registry.chat("What is it?")
    state = read(registry)
    for text in TEXTS:
        (provider,) = state["providers"]
        changed = {
            **state,
            "providers": [{**provider, "provider_id": text, "last_error": text, "simulated": text}],
            "spend": {"models": [{**state["spend"]["models"][0], "model_id": text}], "points": []},
            "decisions": [{**state["decisions"][0], "model_id": text, "reason": text, "task": text}],
            "budgets": {**state["budgets"], "lines": [], "error": text},
        }
        assert_harmless(to_html(tables_of(changed)))
        plain_of(changed).encode("utf-8")
