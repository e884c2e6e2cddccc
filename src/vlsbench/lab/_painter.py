"""The lab's painter: draws the thing that a prompt names, or errs as it is told.

`lab/painter?wrong=0.2&missing=0.1&seed=0`: share of its images that show another thing, and of
those that show nothing at all.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.lab._draw import GROUNDS, IMAGE_SIDE, blank, draw
from vlsbench.lab._faults import draw_number, pick
from vlsbench.lab._task import read_options
from vlsbench.lab._world import THINGS, WORLD_VERSION, thing_in
from vlsbench.models import Drawing, Drawn, Reply, Usage
from vlsbench.pairs import ImageData

NAME = "painter"
OPTIONS = {"wrong": 0.2, "missing": 0.1, "seed": 0.0}
MOST_SIDE = 256
"""Pixels; a larger image of the lab shows nothing more."""
_options = lru_cache(maxsize=256)(lambda text: read_options(NAME, text, OPTIONS))


def side_of(size: str) -> int:
    """Read `WIDTHxHEIGHT`; the lab draws squares. Raises `VlsbenchError` where it is none."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise VlsbenchError(f"size {size!r}: write WIDTHxHEIGHT")
    return max(32, min(int(width), int(height), MOST_SIDE))


def paint_prompt(prompt: str, seed: int, side: int = IMAGE_SIDE, options: str = "") -> bytes:
    """Draw what a prompt names, as a PNG of `side` by `side` pixels, the same each time."""
    values = _options(options)
    key = (prompt, seed, values["seed"])
    thing, turn = thing_in(prompt), draw_number("paint", *key)
    if thing is None or turn < values["missing"]:
        return blank(pick(sorted(GROUNDS.values()), "ground", *key), side)
    if turn < values["missing"] + values["wrong"]:
        thing = pick([other for other in THINGS if other is not thing], "wrong", *key)
    return draw(thing.name, f"{prompt}:{seed}", side)


class LabPainter:
    """The painter in process; implements `models.ImageModel`."""

    endpoint = "lab"

    def __init__(self, spec: str) -> None:
        """Take `lab/painter`, with options. Raises `VlsbenchError` where they cannot be read."""
        self._text = spec.partition("?")[2]
        _options(self._text)
        self.spec = spec
        self.identity: Mapping[str, Any] = {"model": spec, "world": WORLD_VERSION}

    async def draw(self, drawing: Drawing) -> Drawn:
        """Draw; never fails."""
        start = time.perf_counter()
        side = side_of(drawing.size)
        data = await asyncio.to_thread(paint_prompt, drawing.prompt, drawing.seed, side, self._text)
        took = time.perf_counter() - start
        reply = Reply("", usage=Usage(0, 1), latency_s=took, served_by=f"lab/{NAME}")
        return Drawn(reply, ImageData.of(data, "of the lab"))

    async def close(self) -> None:
        """Nothing is open."""
