"""The primitives that pictures are made of, on a square of 100 by 100 with (0, 0) top left."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

INK = "#26222b"


@dataclass(frozen=True, slots=True)
class Shape:
    """One primitive; `at` holds its points, or its box and what goes with it."""

    kind: Literal["box", "oval", "poly", "line", "arc"]
    fill: str
    at: tuple[float, ...]
    width: float
    """Of the line, or of the dark outline."""


def box(
    fill: str, left: float, top: float, right: float, bottom: float, r: float = 0, w: float = 2.5
) -> Shape:
    """A rectangle with corners of radius `r` and an outline of width `w`."""
    return Shape("box", fill, (left, top, right, bottom, r), w)


def oval(fill: str, left: float, top: float, right: float, bottom: float, w: float = 2.5) -> Shape:
    """An ellipse in a box, with an outline of width `w` (0 for none)."""
    return Shape("oval", fill, (left, top, right, bottom), w)


def poly(fill: str, *at: float, w: float = 2.5) -> Shape:
    """A polygon through x, y, x, y, …, with an outline of width `w`."""
    return Shape("poly", fill, at, w)


def line(fill: str, width: float, *at: float) -> Shape:
    """A line through x, y, x, y, … with round ends."""
    return Shape("line", fill, at, width)


def arc(
    fill: str, width: float, left: float, top: float, right: float, bottom: float, *turn: float
) -> Shape:
    """Part of an ellipse's edge, clockwise between two angles in degrees from three o'clock."""
    return Shape("arc", fill, (left, top, right, bottom, *turn), width)


def outline(fill: str, points: str, w: float = 2.5) -> Shape:
    """A polygon with many corners, written `x,y x,y …`."""
    return poly(fill, *(float(part) for part in points.replace(",", " ").split()), w=w)


def many(make: Callable[..., Shape], fill: str, *shapes: Sequence[float]) -> tuple[Shape, ...]:
    """Several shapes of one kind and colour, each by its numbers as `make` takes them."""
    return tuple(make(fill, *shape) for shape in shapes)
