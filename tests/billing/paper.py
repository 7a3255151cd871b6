"""Notebook files on paper: cells with outputs that carry what a chat leaves in its metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def facts(decision_id: str = "d1", **changes: Any) -> dict[str, Any]:
    """The metadata of one answer."""
    cost = changes.get("cost_usd", "0.0125")
    return {
        "decision_id": decision_id,
        "provider_id": "stage",
        "provider_type": "scripted",
        "model_id": "fast",
        "task": "chat_small",
        "input_tokens": 10,
        "output_tokens": 4,
        "cost_usd": cost,
        "cost_source": "computed" if cost is not None else "unpriced",
        "latency_ms": 120.5,
        "replayed": False,
        "ts": "2026-11-23T08:05:07.708224+00:00",
        **changes,
    }


def output(sekha: Any) -> dict[str, Any]:
    return {"output_type": "display_data", "data": {"text/plain": "Paris."}, "metadata": {"sekha": sekha}}


def cell(source: str = "%%sekha_chat\nHi", *sekha: Any, number: int | None = 1, **more: Any) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "execution_count": number,
        "metadata": {},
        "source": source,
        "outputs": [output(value) for value in sekha],
        **more,
    }


def notebook(*cells: Mapping[str, Any]) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}


def write(path: Path, *cells: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(notebook(*cells)), encoding="utf-8")
    return path
