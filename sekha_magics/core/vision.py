"""Images of every kind a notebook holds, as bytes with a known format.

Files, bytes, data URIs, addresses, PIL images, matplotlib figures and arrays become one `Image`. Objects are known
by what they can do, so that neither PIL nor matplotlib is needed until one of theirs is given.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InvalidInput
from .content import Image, Part, Text

__all__ = ["image_of_block", "load_image", "sniff", "split_data_uris"]

# Larger files are no pictures for a model: the largest limit of any provider is 30 MB.
_LARGEST = 64 * 1024 * 1024
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"\xff\xd8\xff", "jpeg"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
)
_DATA_URI = re.compile(r"data:image/([a-zA-Z0-9.+-]{1,20});base64,([A-Za-z0-9+/=_-]+)")
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


def sniff(data: bytes) -> str | None:
    """The format by the first bytes (`png`, `jpeg`, `gif`, `webp`, `bmp`, `tiff`, `heic`, `avif`), else None."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return "avif" if data[8:12] in (b"avif", b"avis") else "heic"
    return next((name for magic, name in _MAGIC if data.startswith(magic)), None)


def load_image(value: Any, origin: str = "") -> Image:
    """Make an `Image` of a path, address, data URI, bytes, PIL image, matplotlib figure or axes, or array.

    An array is [height, width] or [height, width, 1, 3 or 4]: integers 0 to 255, or floats 0 to 1.

    Raises `InvalidInput`.
    """
    match value:
        case Image():
            return value
        case str() if value.startswith("data:"):
            return _from_data_uri(value, origin)
        case str() if _ADDRESS.match(value):
            return Image(_suffix_format(value), url=value, origin=origin or value)
        case str() | Path():
            return _from_path(value, origin)
        case bytes() | bytearray() | memoryview():
            return _from_bytes(bytes(value), origin or "the bytes given")
        case Mapping():
            return image_of_block(value)
    if hasattr(value, "savefig"):
        return _from_figure(value, origin)
    if hasattr(getattr(value, "figure", None), "savefig"):
        return _from_figure(value.figure, origin)
    if hasattr(value, "save") and hasattr(value, "mode") and hasattr(value, "size"):
        return _from_pil(value, origin)
    if hasattr(value, "__array_interface__") or hasattr(value, "__array__"):
        return _from_array(value, origin)
    raise InvalidInput(
        f"{origin or 'The image'} is a {type(value).__name__}, which is no image.",
        hint="Give a path, bytes, a PIL image, a matplotlib figure or an array.",
    )


def image_of_block(block: Mapping[str, Any]) -> Image:
    """The image in a content part of OpenAI's (`image_url`, `input_image`) or Anthropic's (`image`) form."""
    source = block.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "url" and isinstance(source.get("url"), str):
            return load_image(source["url"])
        if isinstance(source.get("data"), str):
            return _from_base64(source["data"], "the image block")
    address = block.get("image_url", block.get("url"))
    if isinstance(address, Mapping):
        address = address.get("url")
    if isinstance(address, str) and (address.startswith("data:") or _ADDRESS.match(address)):
        return load_image(address)
    raise InvalidInput(
        "An image part holds neither an address nor base64 data.",
        hint='Write {"type": "image_url", "image_url": {"url": "https://..." or "data:image/png;base64,..."}}.',
    )


def split_data_uris(text: str) -> tuple[Part, ...]:
    """The parts of a text in which images stand as base64 data URIs. A URI that holds no picture stays text."""
    parts: list[Part] = []
    start = 0
    for found in _DATA_URI.finditer(text):
        try:
            image = _from_base64(found[2], "the data URI")
        except InvalidInput:
            continue
        if found.start() > start:
            parts.append(Text(text[start : found.start()]))
        parts.append(image)
        start = found.end()
    if start < len(text) or not parts:
        parts.append(Text(text[start:]))
    return tuple(parts)


def _suffix_format(address: str) -> str:
    suffix = Path(address.split("?", maxsplit=1)[0].split("#", maxsplit=1)[0]).suffix.lower().lstrip(".")
    return {"jpg": "jpeg"}.get(suffix, suffix if suffix in ("png", "jpeg", "gif", "webp", "bmp", "tiff") else "")


def _from_data_uri(value: str, origin: str) -> Image:
    found = _DATA_URI.fullmatch(value.strip())
    if found is None:
        raise InvalidInput(
            f"{origin or 'The data URI'} is not an image in base64.", hint="It reads data:image/png;base64,...."
        )
    return _from_base64(found[2], origin or "the data URI")


def _from_base64(text: str, origin: str) -> Image:
    try:
        data = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput(f"{origin} is not valid base64: {error}.") from None
    return _from_bytes(data, origin)


def _from_bytes(data: bytes, origin: str) -> Image:
    form = sniff(data)
    if form is None:
        what = "empty" if not data else "no image of a known format"
        raise InvalidInput(f"{origin} is {what}.", hint="PNG, JPEG, GIF and WebP are understood by most models.")
    return Image(form, data, origin=origin)


def _from_path(value: str | Path, origin: str) -> Image:
    path = Path(value).expanduser()
    try:
        size = path.stat().st_size
        if size > _LARGEST:
            raise InvalidInput(f"{path} has {size / 1024**2:.0f} MiB; no model takes an image that large.")
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(
            f"The image {str(value)[:200]!r} cannot be read: {reason}.",
            hint="Give the path of an image file, or the name of a variable that holds an image.",
        ) from None
    return _from_bytes(data, origin or path.name)


def _from_figure(figure: Any, origin: str) -> Image:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return Image("png", buffer.getvalue(), origin=origin or "the figure")


def _from_pil(picture: Any, origin: str) -> Image:
    buffer = io.BytesIO()
    if picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16"):
        picture = picture.convert("RGB")
    picture.save(buffer, format="PNG")
    return Image("png", buffer.getvalue(), origin=origin or "the picture")


def _from_array(value: Any, origin: str) -> Image:
    import numpy as np
    from PIL import Image as Pillow

    name = origin or "the array"
    array = np.asarray(value)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        raise InvalidInput(
            f"{name} has shape {list(array.shape)}, which is no image.",
            hint="An image is [height, width] or [height, width, 3 or 4].",
        )
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * 255
    elif array.dtype.kind == "f":
        if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
            raise InvalidInput(
                f"{name} holds floats outside 0 to 1.", hint="Scale it first: (x - x.min()) / (x.max() - x.min())."
            )
        array = np.round(array * 255).astype(np.uint8)
    elif array.dtype.kind in "ui":
        if array.min() < 0 or array.max() > 255:
            raise InvalidInput(f"{name} holds integers outside 0 to 255.", hint="Scale it to 0 to 255 first.")
        array = array.astype(np.uint8)
    else:
        raise InvalidInput(f"{name} holds {array.dtype}, not numbers.")
    return _from_pil(Pillow.fromarray(np.ascontiguousarray(array)), name)
