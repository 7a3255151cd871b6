"""Width and height of an image, read from its first bytes."""

from __future__ import annotations

from io import BytesIO

from ..core.content import Image

__all__ = ["dimensions"]


def dimensions(image: Image) -> tuple[int, int] | None:
    """Pixels across and down, or None for an address or for bytes that nobody can read. Nothing is decoded."""
    if image.data is None:
        return None
    import warnings

    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            # Of a very large image too only the head is read.
            warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
            with Pillow.open(BytesIO(image.data)) as picture:
                width, height = picture.size
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError):
        return None
    return (width, height) if width > 0 and height > 0 else None
