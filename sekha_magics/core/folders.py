"""Folders of the memory: paths like `/uni/notes`, matched by whole segments.

`/uni` holds `/uni/notes`, not `/universe`.
"""

from __future__ import annotations

__all__ = ["LONGEST_FOLDER", "inside", "normal_folder"]

LONGEST_FOLDER = 300


def inside(folder: str, parent: str) -> bool:
    """Whether `folder` is `parent` or stands below it."""
    return parent in ("/", folder) or folder.startswith(f"{parent}/")


def normal_folder(path: str) -> str | None:
    """`path` without a slash at its end; None when it is no path from the top, or has empty, `.` or `..` segments."""
    if not path.startswith("/") or len(path) > LONGEST_FOLDER or not path.isprintable():
        return None
    short = path.rstrip("/")
    segments = short.split("/")[1:]
    if all(s.strip() == s and s not in ("", ".", "..") for s in segments):
        return short or "/"
    return None
