"""Pairs, their images, the views under which they are shown, and the benchmarks they come from."""

from vlsbench.pairs._image import (
    FileImage,
    Image,
    ImageData,
    ImageError,
    MadeImage,
    ParquetImage,
    ParquetImages,
    sniff_mime,
)
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._source import Home, PairSet, Rows, Source
from vlsbench.pairs._view import Shown, Swapper, View, show

__all__ = [
    "FileImage",
    "Home",
    "Image",
    "ImageData",
    "ImageError",
    "MadeImage",
    "Pair",
    "PairSet",
    "ParquetImage",
    "ParquetImages",
    "Rows",
    "Shown",
    "Source",
    "Swapper",
    "View",
    "show",
    "sniff_mime",
]
