"""Answers and failures kept in a file, so that a notebook runs again without keys, configuration, network or money.

A cassette is keyed by what the caller asked, before any model was chosen; it carries the providers and models it was
made with. The n-th time a request is made, its n-th recording is played.
"""

from __future__ import annotations

from .fault import RECORDED, Fault
from .order import Order
from .recording import Attempted, Choice, Recording, Vectors, replayed
from .rendered import OPTIONS, Rendered, render
from .tape import MODES, Cassette, Mode, from_environment

__all__ = [
    "MODES",
    "OPTIONS",
    "RECORDED",
    "Attempted",
    "Cassette",
    "Choice",
    "Fault",
    "Mode",
    "Order",
    "Recording",
    "Rendered",
    "Vectors",
    "from_environment",
    "render",
    "replayed",
]
