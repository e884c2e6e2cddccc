"""Pairs, their images, the views under which they are shown, and the benchmarks they come from."""

from vlsbench.pairs._decode import (
    MAX_PIXELS,
    ImageData,
    ImageError,
    ImageFacts,
    decode,
    encode,
    image_facts,
    image_size,
    sniff_mime,
)
from vlsbench.pairs._describe import Description, Oddity, describe
from vlsbench.pairs._drop import DROP_COLUMNS, read_drop, without
from vlsbench.pairs._fetch import (
    PIN,
    Fetchable,
    Pin,
    card_licence,
    fetch,
    home_folder,
    read_pin,
)
from vlsbench.pairs._generic import parse_columns, plain_value
from vlsbench.pairs._image import FileImage, Image, MadeImage, ParquetImage, ParquetImages
from vlsbench.pairs._load import Bench, find_source, load, load_configured
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import (
    Embedded,
    Labelled,
    MissingFile,
    RowError,
    file_image,
    find,
    folder_of,
    read_json,
    read_jsonl,
    read_parquet,
)
from vlsbench.pairs._rows import Row as Fields
from vlsbench.pairs._shrink import Shrink
from vlsbench.pairs._source import Home, PairSet, Rows, Source, image_faults, list_sources
from vlsbench.pairs._view import NEUTRAL_REQUEST, Shown, Swapper, View, show

__all__ = [
    "DROP_COLUMNS",
    "MAX_PIXELS",
    "NEUTRAL_REQUEST",
    "PIN",
    "Bench",
    "Description",
    "Embedded",
    "Fetchable",
    "Fields",
    "FileImage",
    "Home",
    "Image",
    "ImageData",
    "ImageError",
    "ImageFacts",
    "Labelled",
    "MadeImage",
    "MissingFile",
    "Oddity",
    "Pair",
    "PairSet",
    "ParquetImage",
    "ParquetImages",
    "Pin",
    "RowError",
    "Rows",
    "Shown",
    "Shrink",
    "Source",
    "Swapper",
    "View",
    "card_licence",
    "decode",
    "describe",
    "encode",
    "fetch",
    "file_image",
    "find",
    "find_source",
    "folder_of",
    "home_folder",
    "image_facts",
    "image_faults",
    "image_size",
    "list_sources",
    "load",
    "load_configured",
    "parse_columns",
    "plain_value",
    "read_drop",
    "read_json",
    "read_jsonl",
    "read_parquet",
    "read_pin",
    "show",
    "sniff_mime",
    "without",
]
