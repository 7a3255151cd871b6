"""Every form in which people hold a prompt or an image, and every form that is none."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from sekha_magics.core.content import Audio, Image, Message, Text
from sekha_magics.core.messages import parse_messages
from sekha_magics.core.tokens import estimate_messages, estimate_text
from sekha_magics.core.vision import load_image, sniff
from sekha_magics.errors import InvalidInput


def encoded(form: str = "PNG", size: tuple[int, int] = (2, 3)) -> bytes:
    buffer = io.BytesIO()
    Pillow.new("RGB", size, (200, 10, 10)).save(buffer, format=form)
    return buffer.getvalue()


PNG = encoded()
B64 = base64.b64encode(PNG).decode()
URI = f"data:image/png;base64,{B64}"


@given(st.text().filter(lambda text: text.strip() and "data:image/" not in text))
def test_a_text_is_one_user_message_unchanged(text):
    assert parse_messages(text) == (Message("user", (Text(text),)),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": URI}},
        {"type": "image_url", "image_url": URI},
        {"type": "input_image", "image_url": URI},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": B64}},
        {"type": "text", "text": URI},
        {"type": "input_text", "text": URI},
    ],
)
def test_an_image_is_found_in_every_common_form(part):
    (message,) = parse_messages([{"role": "user", "content": [{"type": "text", "text": "look"}, part]}])
    assert message.text == "look"
    assert [image.data for image in message.images] == [PNG]
    assert message.images[0].media_type == "image/png"


def test_an_address_as_a_part_is_an_image_and_in_prose_is_text():
    address = "https://example.org/cat.jpg?x=1"
    (message,) = parse_messages([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": address}}]}])
    assert (message.images[0].url, message.images[0].format) == (address, "jpeg")
    assert parse_messages(f"What is on {address} ?")[0].images == ()
    block = {"type": "image", "source": {"type": "url", "url": address}}
    assert parse_messages([{"role": "user", "content": [block]}])[0].images[0].url == address


def test_a_data_uri_in_a_prompt_becomes_an_image_in_its_place():
    (message,) = parse_messages(f"before {URI} after")
    assert [type(part).__name__ for part in message.parts] == ["Text", "Image", "Text"]
    assert message.text == "before  after"


def test_a_data_uri_without_a_picture_stays_text():
    text = "what does data:image/png;base64,AAAA mean?"
    assert parse_messages(text)[0].parts == (Text(text),)


def test_images_are_only_looked_for_in_the_users_own_words():
    said = parse_messages([{"role": "assistant", "content": URI}, {"role": "user", "content": "and now?"}])
    assert said[0].images == ()


def test_images_given_beside_the_prompt_join_the_last_user_message():
    messages = parse_messages([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"},
                               {"role": "user", "content": "c"}], [PNG])  # fmt: skip
    assert [len(m.images) for m in messages] == [0, 0, 1]


def test_system_comes_first_and_developer_means_system():
    messages = parse_messages([{"role": "developer", "content": "x"}, {"role": "user", "content": "y"}], system="z")
    assert [(m.role, m.text) for m in messages] == [("system", "z"), ("system", "x"), ("user", "y")]


def test_audio_is_decoded():
    block = {"type": "input_audio", "input_audio": {"format": "wav", "data": base64.b64encode(b"RIFF").decode()}}
    assert parse_messages([{"role": "user", "content": [block]}])[0].parts == (Audio("wav", b"RIFF"),)


@pytest.mark.parametrize(
    "prompt",
    [None, 3, b"bytes", "", "   ", [], [3], ["text"], [{}], [{"role": "robot", "content": "x"}],
     [{"role": "user"}], [{"role": "user", "content": 3}], [{"role": "user", "content": [3]}],
     [{"role": "user", "content": [{"type": "video"}]}], [{"role": "user", "content": [{"type": "image_url"}]}],
     [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "data": "%%"}}]}],
     [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "%%"}}]}],
     [{"role": "system", "content": "only rules"}], {"role": "user", "content": "not in a list"}],
)  # fmt: skip
def test_what_is_no_prompt_is_an_error_with_a_hint(prompt):
    with pytest.raises(InvalidInput) as raised:
        parse_messages(prompt)
    assert raised.value.message


@pytest.mark.parametrize("images", ["plot.png", b"bytes", 3, {"a": 1}])
def test_images_are_a_list(images):
    with pytest.raises(InvalidInput, match="not a list"):
        parse_messages("x", images)


def test_images_need_a_user_message_to_stand_in():
    with pytest.raises(InvalidInput, match="no user message"):
        parse_messages([{"role": "assistant", "content": "x"}], [PNG])


# --- images ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "name"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp"),
                                            ("BMP", "bmp"), ("TIFF", "tiff")])  # fmt: skip
def test_the_format_is_told_by_the_bytes_not_by_the_name(form, name, tmp_path: Path):
    data = encoded(form)
    assert sniff(data) == name
    (tmp_path / "picture.txt").write_bytes(data)
    for value in (data, bytearray(data), tmp_path / "picture.txt", str(tmp_path / "picture.txt")):
        assert load_image(value) == Image(name, data)


def test_a_figure_a_picture_and_arrays_become_png():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2])
    grey, colour = np.zeros((4, 5)), np.zeros((4, 5, 3), dtype=np.uint8)
    for value in (figure, axes, Pillow.new("CMYK", (3, 3)), Pillow.new("P", (3, 3)), grey, colour, grey[:, :, None],
                  np.ones((4, 5, 4), dtype=np.float32), np.ones((4, 5), dtype=bool), np.full((2, 2), 255)):  # fmt: skip
        image = load_image(value)
        assert image.format == "png"
        with Pillow.open(io.BytesIO(image.data or b"")) as opened:
            opened.load()


def test_an_array_keeps_its_values():
    array = np.random.default_rng(0).integers(0, 256, (7, 5, 3), dtype=np.uint8)
    with Pillow.open(io.BytesIO(load_image(array).data or b"")) as opened:
        assert (np.asarray(opened) == array).all()


@pytest.mark.parametrize(
    "value",
    [3, None, object(), b"", b"hello", "/no/such/file.png", "data:image/png;base64,!!", "data:text/plain,x", "\0",
     np.zeros((0, 3)), np.zeros(3), np.zeros((2, 2, 2)), np.full((2, 2), 256), np.full((2, 2), -1),
     np.full((2, 2), 1.5), np.full((2, 2), np.nan), np.array([["a"]])],
)  # fmt: skip
def test_what_is_no_image_is_an_error_that_names_it(value):
    with pytest.raises(InvalidInput):
        load_image(value, "`x`")


def test_a_folder_and_a_huge_file_are_no_images(tmp_path: Path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_image(tmp_path)
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(65 * 1024 * 1024)
    with pytest.raises(InvalidInput, match="65 MiB"):
        load_image(huge)


# --- tokens ----------------------------------------------------------------------------------------


@given(st.text(max_size=500), st.text(max_size=500))
def test_an_estimate_is_ordered_and_grows_with_the_text(a, b):
    one, both = estimate_text(a), estimate_text(a + b)
    assert 0 <= one.low <= one.expected <= one.high
    assert one.high <= both.high
    assert one.expected <= both.expected + 1


@pytest.mark.parametrize(("text", "tokens"), [("The capital of France is Paris. " * 20, 141), ("狐狸" * 50, 100),
                                              ("0123456789" * 30, 100)])  # fmt: skip
def test_the_true_count_lies_within_the_range(text, tokens):
    estimate = estimate_text(text)
    assert estimate.low <= tokens <= estimate.high


def test_images_and_messages_add_to_the_estimate():
    bare = estimate_messages(parse_messages("x"))
    seen = estimate_messages(parse_messages("x", [PNG]))
    assert seen.low > bare.low
    assert seen.high > bare.high
    assert estimate_messages([Message("user", (Audio("wav", b"0" * 8000),))]).high > bare.high
