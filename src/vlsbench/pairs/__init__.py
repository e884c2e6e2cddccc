"""Pairs, their images, the views under which they are shown, and the benchmarks they come from."""

from vlsbench.pairs._describe import Description, Oddity, describe
from vlsbench.pairs._fetch import fetch
from vlsbench.pairs._generic import parse_columns
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
from vlsbench.pairs._load import find_source, load
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._shrink import Shrink
from vlsbench.pairs._source import Home, PairSet, Rows, Source, image_faults, source
from vlsbench.pairs._view import NEUTRAL_REQUEST, Shown, Swapper, View, show
from vlsbench.pairs.sources import SOURCES

__all__ = [
    "NEUTRAL_REQUEST",
    "SOURCES",
    "Description",
    "FileImage",
    "Home",
    "Image",
    "ImageData",
    "ImageError",
    "MadeImage",
    "Oddity",
    "Pair",
    "PairSet",
    "ParquetImage",
    "ParquetImages",
    "Rows",
    "Shown",
    "Shrink",
    "Source",
    "Swapper",
    "View",
    "describe",
    "fetch",
    "find_source",
    "image_faults",
    "load",
    "parse_columns",
    "show",
    "sniff_mime",
    "source",
]
