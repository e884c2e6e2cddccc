"""What makes two queries, and two pictures, alike."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from vlsbench.pairs import decode

HASH_SIDE = 8
HASH_BITS = HASH_SIDE * HASH_SIDE

Bits = NDArray[np.float32]
"""Shape (64,), each -1 or 1."""


def normalised(query: str) -> str:
    """Return a query without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", query.casefold()))


def difference_hash(data: bytes) -> Bits:
    """Return the 64-bit difference hash of a picture.

    Grey, 9 by 8 pixels; a bit says whether a pixel is brighter than its left neighbour. Source:
    N. Krawetz, "Kind of Like That", hackerfactor.com, 2013.
    """
    from PIL import Image

    grey_image = decode(data, "to compare").convert("L")
    small = grey_image.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS)
    grey = np.asarray(small, dtype=np.int16)
    bits: Bits = np.where(grey[:, 1:] > grey[:, :-1], 1, -1).astype(np.float32).ravel()
    return bits


def differing(one: Bits, other: Bits) -> int:
    """Count the bits in which two hashes differ."""
    return round((HASH_BITS - float(one @ other)) / 2)
