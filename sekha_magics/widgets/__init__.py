"""Widgets of a notebook: a conversation, and what is spent. Each is a text and a table, too, for a saved file."""

from __future__ import annotations

from .chat import Chat
from .dashboard import Dashboard

__all__ = ["Chat", "Dashboard"]
