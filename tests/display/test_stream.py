from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from IPython.utils.capture import capture_output

from sekha_magics.display.reply import mimebundle
from sekha_magics.display.stream import StreamView, publish_to_cell

from .harmless import assert_harmless, assert_only_formulas_are_typeset
from .hostile import TEXTS
from .samples import reply


class Cell:
    """Keeps what is published. Drawing takes `cost` seconds of `clock`, which stands still otherwise."""

    def __init__(self, cost: float = 0.0) -> None:
        self.now, self.cost = 100.0, cost
        self.frames: list[tuple[dict[str, Any], dict[str, Any], str | None, bool]] = []

    def clock(self) -> float:
        return self.now

    def publish(
        self, data: Mapping[str, Any], metadata: Mapping[str, Any], *, display_id: str | None, update: bool
    ) -> None:
        self.now += self.cost
        self.frames.append((dict(data), dict(metadata), display_id, update))


def view(cell: Cell, **options: Any) -> StreamView:
    return StreamView("id-1", cell.publish, model="smollm2", clock=cell.clock, **options)


def test_the_first_piece_is_drawn_at_once_and_the_rest_when_it_is_time() -> None:
    cell = Cell()
    stream = view(cell)
    for piece in ("Par", "is", " is"):
        stream.push(piece)
    assert [frame["text/plain"] for frame, *_ in cell.frames] == ["Par\n\nsmollm2 … writing"]
    cell.now += 0.2
    stream.push(" big")
    assert cell.frames[-1][0]["text/plain"] == "Paris is big\n\nsmollm2 … writing"
    assert [(display_id, update) for *_, display_id, update in cell.frames] == [("id-1", False), ("id-1", True)]
    assert stream.text == "Paris is big"


def test_a_second_of_pieces_is_drawn_at_most_eight_times() -> None:
    cell = Cell()
    stream = view(cell)
    for _ in range(1000):
        stream.push("word ")
        cell.now += 0.001
    assert 7 <= len(cell.frames) <= 9


def test_drawing_that_takes_long_is_done_less_often() -> None:
    cell = Cell(cost=0.5)
    stream = view(cell)
    for _ in range(1000):
        stream.push("word ")
        cell.now += 0.01
    assert len(cell.frames) * cell.cost <= 0.25 * (cell.now - 100)


def test_the_final_frame_replaces_what_was_drawn() -> None:
    cell = Cell()
    stream = view(cell)
    stream.push("Paris.")
    data, metadata = mimebundle(reply())
    stream.finish(data, metadata)
    assert cell.frames[-1] == (data, metadata, "id-1", True)


def test_nobody_watching_gets_the_same_final_frame_as_an_output_of_its_own() -> None:
    cell = Cell()
    stream = view(cell, draw=False)
    stream.push("Paris.")
    assert not stream.drawn
    data, metadata = mimebundle(reply())
    stream.finish(data, metadata)
    assert cell.frames == [(data, metadata, None, False)]
    assert stream.drawn


def test_an_abandoned_stream_leaves_its_text_and_says_why() -> None:
    cell = Cell()
    stream = view(cell)
    stream.push("Par")
    stream.push("is")
    stream.abandon("interrupted <b>")
    assert cell.frames[-1][0]["text/plain"] == "Paris\n\ninterrupted <b>"
    assert_harmless(cell.frames[-1][0]["text/html"])


@pytest.mark.parametrize("draw", [True, False])
def test_a_stream_abandoned_before_anything_was_drawn_shows_nothing(draw: bool) -> None:
    cell = Cell()
    view(cell, draw=draw).abandon("refused")
    assert cell.frames == []


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_is_harmless_at_every_cut(text: str) -> None:
    cell = Cell()
    stream = StreamView("id", cell.publish, model=text, clock=cell.clock)
    for character in text:
        stream.push(character)
        cell.now += 1
    for frame, *_ in cell.frames:
        assert_harmless(frame["text/html"])
        assert_only_formulas_are_typeset(frame["text/html"])


@pytest.mark.usefixtures("shell")
def test_frames_reach_the_cell() -> None:
    with capture_output() as captured:
        publish_to_cell({"text/plain": "a"}, {"sekha": {}}, display_id="x", update=False)
        publish_to_cell({"text/plain": "b"}, {"sekha": {}}, display_id=None, update=False)
    assert [output.data for output in captured.outputs] == [{"text/plain": "a"}, {"text/plain": "b"}]
    assert captured.outputs[0].metadata == {"sekha": {}}
