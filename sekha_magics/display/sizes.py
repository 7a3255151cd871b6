"""Sizes of files as people read them."""

from __future__ import annotations

__all__ = ["format_bytes"]

_UNITS = ("bytes", "kB", "MB", "GB", "TB")


def format_bytes(size: int) -> str:
    """`873 bytes`, `1.2 kB`, `34 MB`; a unit is a thousand of the one before."""
    number, unit = float(size), 0
    while number >= 999.5 and unit < len(_UNITS) - 1:
        number, unit = number / 1000, unit + 1
    return f"{number:.1f} {_UNITS[unit]}" if unit and number < 9.95 else f"{number:.0f} {_UNITS[unit]}"
