"""What one kernel recorded from a server, another plays without configuration, key or server, and shows the same."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .running import configured, files_with, run

KEY = "sk-recognisable-0123456789abcdef"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="
)
CELLS = [
    "import sekha_magics as sekha; reg = sekha.get_registry(); pieces = []",
    "try: reg.chat('refuse me')\nexcept sekha.SekhaError as error: print(type(error).__name__, error)",
    "%%sekha_chat\nhello",
    "%%sekha_chat -i dot.png\nWhat is this?",
    "r = reg.chat('in pieces', on_token=pieces.append); print(''.join(pieces) == r.text, r.text, r.usage, r.cost.usd)",
    "print([p async for p in reg.astream('and these?')] != [], reg.chat('again').text, reg.chat('again').text)",
    "print(reg.embed(['x', 'y'], model='text-embedding-3-small').vectors.tolist())",
    "reg.map(['one', 'two', 'three', ''], template='Say {{ text }}', concurrency=3).to_frame()"
    "[['answer', 'error', 'input_tokens', 'model_id']]",
    "%sekha_route and who would answer?",
    "%sekha_cost",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notebook"
    folder.mkdir()
    (folder / "dot.png").write_bytes(PIXEL)
    return folder


def seen(outputs: list[list[Any]]) -> list[list[Any]]:
    """What nbval compares: everything but metadata and the numbers of executions."""
    return [[output.get("data") or output.get("text") for output in cell] for cell in outputs]


def test_all_that_was_recorded_is_played_and_nobody_is_asked(upstream: Upstream, folder: Path) -> None:
    upstream.script(Answer(status=400, code="invalid", message=f"not with {KEY}"))
    one = {"id": "one", "type": "openai", "base_url": upstream.url("openai"), "api_key": KEY}
    chat = {"model_id": "gpt-4o-mini", "tasks": ["chat_small", "vision"], "supports_vision": True,
            "price": {"input": 2, "output": 10}, "context_window": 100_000}  # fmt: skip
    embedding = {"model_id": "text-embedding-3-small", "tasks": ["embedding"], "dimension": 8}
    config = configured(folder, {**one, "models": [chat, embedding]})
    tape = folder / "tape.jsonl"
    recorded = run(CELLS, folder, SEKHA_CONFIG=config, SEKHA_CASSETTE=str(tape), SEKHA_MODE="record")
    asked = len(upstream.requests)
    Path(config).unlink()
    upstream.close()
    played = run(CELLS, folder, SEKHA_CASSETTE=str(tape), SEKHA_MODE="replay")
    assert seen(played) == seen(recorded)
    assert len(upstream.requests) == asked
    assert "BadRequest" in recorded[1][0].text
    # Neither the key nor a byte of the picture, and a line for each answer.
    assert files_with(folder, KEY) == []
    assert PIXEL[:24] not in tape.read_bytes() and base64.b64encode(PIXEL)[:32] not in tape.read_bytes()
    assert len(tape.read_text("utf-8").splitlines()) >= asked
    missed = run(["%%sekha_chat\nhello!"], folder, allow_errors=True, SEKHA_CASSETTE=str(tape), SEKHA_MODE="replay")
    assert missed[0][-1].ename == "CassetteMiss"
    assert "hello" in missed[0][-1].evalue
