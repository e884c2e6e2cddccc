"""Look at an image: which thing of the world does it show, judged from its pixels alone?

The ground is the colour of the border; what differs from it is cut out, laid on white, reduced to
a small grid and compared with drawings of every thing. An image that is not of this world (a
photo, a screen of text, noise) is like none of them.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vlsbench.lab._draw import DRAWINGS, GROUNDS, Pose, paint_shapes
from vlsbench.lab._world import THINGS, Thing, thing_named
from vlsbench.pairs import ImageError, decode, image_size, sniff_mime

if TYPE_CHECKING:
    from PIL import Image

Look = Callable[[], Sequence[Thing]]
"""Looks at the images of a request, when called: the things of this world that they show."""

GRID = 12
"""Cells along each side of what is compared."""
ENOUGH = 96
"""Pixels of a side beyond which an image is reduced before it is looked at."""
GROUND_SPREAD = 14
"""Largest difference of a colour channel (0 to 255) within the ground."""
LIKE = 0.87
"""Least correlation with the nearest drawing.

Measured with fresh seeds: own drawings of 96 pixels and more stay above 0.91, photos and screens of
text below 0.75.
"""
FLAT_BYTES = 0.5
"""A flat drawing larger than 256 pixels takes fewer compressed bytes a pixel than this."""
REMEMBERED = 4096
"""Images that are looked at once."""

_seen: dict[bytes, str | None] = {}
_drawing = threading.Lock()
"""Held while the drawings are made, which many threads would do at once."""


def see(data: bytes) -> str | None:
    """Name the thing that an image file shows, in any format and size.

    None where it shows nothing of this world or cannot be decoded.
    """
    digest = hashlib.sha256(data).digest()
    if (found := _seen.get(digest, "")) != "":
        return found
    if len(_seen) >= REMEMBERED:
        _seen.clear()
    _seen[digest] = name = _see(data)
    return name


def look_at(images: Sequence[bytes]) -> Sequence[Thing]:
    """Say which things of the world some image files show, in their order."""
    names = (see(image) for image in images)
    return [thing for name in names if name and (thing := thing_named(name))]


def _see(data: bytes) -> str | None:
    try:
        if not _may_be_flat(data):
            return None
        grid = _grid(decode(data, "to look at"))
    except ImageError:
        return None
    if grid is None:
        return None
    with _drawing:
        drawings = _drawings()
    alike = drawings @ grid
    nearest = int(alike.argmax())
    return THINGS[nearest % len(THINGS)].name if alike[nearest] > LIKE else None


def _may_be_flat(data: bytes) -> bool:
    """Tell a photo by the size of its file, which spares decoding megabytes of it."""
    width, height = image_size(data, "to look at")
    packed = sniff_mime(data[:16]) in ("image/png", "image/jpeg", "image/webp")
    if packed and width * height > 256**2 and len(data) > FLAT_BYTES * width * height:
        return False
    return min(width, height) >= 16


def _grid(image: Image.Image) -> NDArray[np.float32] | None:
    """Cut the thing out, as a vector of mean 0 and length 1, so that a product correlates two."""
    from PIL import Image

    if (factor := max(image.size) // ENOUGH) > 1:
        image = image.reduce(factor)
    pixels = np.asarray(image, dtype=np.int16)
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(border, axis=0)
    if np.mean(np.abs(border - ground).max(axis=1) > GROUND_SPREAD) > 0.05:
        return None
    inside = np.abs(pixels - ground).max(axis=2) > 1.5 * GROUND_SPREAD
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    top, left = rows[0], columns[0]
    height, width = rows[-1] + 1 - top, columns[-1] + 1 - left
    side = max(height, width)
    if min(height, width) < 6:
        return None
    cut = np.full((side, side, 3), 255, dtype=np.uint8)
    y, x = (side - height) // 2, (side - width) // 2
    cut[y : y + height, x : x + width] = np.where(
        inside[top : top + height, left : left + width, None],
        pixels[top : top + height, left : left + width],
        255,
    )
    small = Image.fromarray(cut).resize((GRID, GRID), Image.Resampling.BOX)
    grid = np.asarray(small, dtype=np.float32).ravel()
    grid -= grid.mean()
    length = float(np.linalg.norm(grid))
    return grid / length if length else None


@cache
def _drawings() -> NDArray[np.float32]:
    grids = []
    for side in (32, 96):
        for turn in (-8.0, -4.0, 0.0, 4.0, 8.0):
            for thing in THINGS:
                plain = Pose("grey", GROUNDS["grey"], 0.75, turn, (0, 0))
                grid = _grid(paint_shapes(DRAWINGS[thing.name], plain, side))
                assert grid is not None, thing.name
                grids.append(grid)
    return np.stack(grids)
