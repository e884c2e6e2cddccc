"""Measure A: what the queries of a benchmark tell about its images, from embeddings."""

from vlsbench.auditing.overlap._calibration import Calibration, load_calibration, shipped
from vlsbench.auditing.overlap._captions import CAPTION, captions
from vlsbench.auditing.overlap._contents import content_of
from vlsbench.auditing.overlap._figures import (
    Channel,
    ChannelFigures,
    ContentKind,
    Estimate,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
)
from vlsbench.auditing.overlap._naming import Naming
from vlsbench.auditing.overlap._ocr import TEXT, require_tesseract, texts
from vlsbench.auditing.overlap._overlap import overlap, telling_words

__all__ = [
    "CAPTION",
    "TEXT",
    "Calibration",
    "Channel",
    "ChannelFigures",
    "ContentKind",
    "Estimate",
    "Naming",
    "OverlapGroup",
    "OverlapPair",
    "OverlapSummary",
    "Reading",
    "TellingWord",
    "captions",
    "content_of",
    "load_calibration",
    "overlap",
    "require_tesseract",
    "shipped",
    "telling_words",
    "texts",
]
