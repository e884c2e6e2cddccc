"""Draw a thing: flat shapes on a pale ground, moved about by a seed, always the same bytes."""

from __future__ import annotations

import io
import random
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

IMAGE_SIDE = 96
"""Pixels of an image's side unless told otherwise."""
SMOOTH = 3
"""Images are drawn this many times larger and reduced, for smooth edges."""
GROUNDS = {
    "white": (246, 246, 246),
    "grey": (214, 216, 219),
    "blue": (205, 224, 245),
    "green": (209, 236, 211),
    "yellow": (248, 241, 196),
    "pink": (247, 216, 224),
    "purple": (226, 215, 243),
    "orange": (250, 224, 199),
}
"""Name → colour of the background, pale so that every thing stands out."""


class Shape(NamedTuple):
    """One primitive of a drawing, as `drawings.toml` describes them."""

    kind: str
    fill: str
    width: float
    at: tuple[float, ...]


_FILE = tomllib.loads(files("vlsbench.lab").joinpath("drawings.toml").read_text("utf-8"))
_COLOURS: Mapping[str, str] = _FILE["colours"]


def _shape(line: str) -> Shape:
    kind, fill, width, *at = line.split()
    return Shape(kind, _COLOURS.get(fill, fill), float(width), tuple(map(float, at)))


DRAWINGS: Mapping[str, Sequence[Shape]] = {
    name: [_shape(line) for line in lines.splitlines()] for name, lines in _FILE["drawings"].items()
}
"""Thing → its shapes. Tests check that it draws every thing of the world and nothing else."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How an image is arranged."""

    ground: str
    shade: tuple[int, int, int]
    scale: float
    """Share of the image's side that the thing's square takes."""
    turn: float
    """Degrees, anticlockwise."""
    shift: tuple[float, float]
    """Of the centre, as a share of the side."""


def pose(seed: str) -> Pose:
    """Arrange an image by its seed."""
    rng = random.Random(f"pose:{seed}")
    ground = rng.choice(sorted(GROUNDS))
    shade = tuple(max(0, min(255, part + rng.randint(-6, 6))) for part in GROUNDS[ground])
    scale = rng.uniform(0.66, 0.84)
    room = (1 - scale) / 2 - 0.04
    return Pose(
        ground,
        (shade[0], shade[1], shade[2]),
        scale,
        rng.uniform(-9, 9),
        (rng.uniform(-room, room), rng.uniform(-room, room)),
    )


def draw(name: str, seed: str, side: int = IMAGE_SIDE) -> bytes:
    """Draw the thing called `name` as a PNG of `side` by `side` pixels.

    The same arguments give the same bytes (with the same Pillow and zlib).
    """
    return _png(paint_shapes(DRAWINGS[name], pose(seed), side))


def blank(ground: tuple[int, int, int], side: int) -> bytes:
    """Draw a ground with nothing on it."""
    from PIL import Image

    return _png(Image.new("RGB", (side, side), ground))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def paint_shapes(shapes: Iterable[Shape], pose: Pose, side: int) -> Image.Image:
    """Draw shapes in a pose, the first one at the back."""
    from PIL import Image, ImageDraw

    big = side * SMOOTH
    canvas = Image.new("RGB", (big, big), pose.shade)
    pen = ImageDraw.Draw(canvas)
    unit = big * pose.scale / 100
    left, top = (big * (0.5 + shift) - 50 * unit for shift in pose.shift)
    for shape in shapes:
        _put(pen, shape, unit, left, top)
    centre = (left + 50 * unit, top + 50 * unit)
    return canvas.rotate(pose.turn, center=centre, fillcolor=pose.shade).reduce(SMOOTH)


def _put(pen: ImageDraw.ImageDraw, shape: Shape, unit: float, left: float, top: float) -> None:
    points = 4 if shape.kind in ("box", "oval", "arc") else len(shape.at)
    at = [
        part * unit + (left if place % 2 == 0 else top)
        for place, part in enumerate(shape.at[:points])
    ]
    width = max(1, round(shape.width * unit))
    outline = _COLOURS["ink"] if shape.width else None
    match shape.kind:
        case "box":
            pen.rounded_rectangle(at, shape.at[4] * unit, shape.fill, outline, width)
        case "oval":
            pen.ellipse(at, shape.fill, outline, width)
        case "poly":
            pen.polygon(at, shape.fill)
            if outline:
                pen.line([*at, *at[:4]], outline, width, joint="curve")
        case "line":
            pen.line(at, shape.fill, width, joint="curve")
            for x, y in (at[:2], at[-2:]):
                half = width / 2
                pen.ellipse((x - half, y - half, x + half, y + half), shape.fill)
        case "arc":
            pen.arc(at, shape.at[4], shape.at[5], shape.fill, width)
