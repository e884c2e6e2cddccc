"""The lab's painter: draws the thing that a prompt names, or errs as it is told.

`lab/painter?wrong=0.2&missing=0.1&seed=0`: share of its images that show another thing, and of
those that show nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.errors import VlsbenchError
from vlsbench.lab._draw import GROUNDS, IMAGE_SIDE, blank, draw
from vlsbench.lab._faults import draw_number, pick
from vlsbench.lab._look import Look
from vlsbench.lab._world import THINGS, thing_in
from vlsbench.lab.task import Rates

PAINTER = {"wrong": 0.2, "missing": 0.1, "seed": 0.0}
MOST_SIDE = 256
"""Pixels; a larger image of the lab shows nothing more."""


def painter(text: str, look: Look, rates: Rates) -> str:
    """Say where it draws: it has no words."""
    return "I draw: ask me for an image, at /v1/images/generations."


def side_of(size: str) -> int:
    """Read `WIDTHxHEIGHT`; the lab draws squares. Raises `VlsbenchError` where it is none."""
    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise VlsbenchError(f"size {size!r}: write WIDTHxHEIGHT")
    return max(32, min(int(width), int(height), MOST_SIDE))


def paint_prompt(
    prompt: str, seed: int, side: int = IMAGE_SIDE, values: Mapping[str, float] = PAINTER
) -> bytes:
    """Draw what a prompt names, as a PNG of `side` by `side` pixels, the same each time."""
    key = (prompt, seed, values["seed"])
    thing, turn = thing_in(prompt), draw_number("paint", *key)
    if thing is None or turn < values["missing"]:
        return blank(pick(sorted(GROUNDS.values()), "ground", *key), side)
    if turn < values["missing"] + values["wrong"]:
        thing = pick([other for other in THINGS if other is not thing], "wrong", *key)
    return draw(thing.name, f"{prompt}:{seed}", side)
