"""The unit of everything: a query and the images it is asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from vlsbench.pairs._image import Image

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Pair:
    """One item of an image-text safety benchmark. Immutable; holds no image bytes.

    `harmful=False` marks a benign control, so over-refusal is measured with the same machinery.
    """

    id: str
    """Unique in its benchmark and stable across versions of the loader."""
    query: str
    images: tuple[Image, ...] = ()
    """In the order in which they are shown. Empty for text-only sets."""
    category: str = ""
    subcategory: str = ""
    harmful: bool = True
    description: str = ""
    """What the image shows, in words, where the benchmark says so."""
    reason: str = ""
    """Why the pair is harmful, where the benchmark says so (VLSBench: `safety_reason`)."""
    source: str = ""
    """Where the image came from, as the benchmark tells it."""
    meta: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    """Everything else of the row that a later step may want, as plain JSON values."""

    @property
    def cluster(self) -> str:
        """What must be resampled together: pairs with the same images are not independent."""
        return "|".join(image.ref for image in self.images) or self.id
