"""HTML pages: templates, charts and thumbnails. Knows no job."""

from vlsbench.pages._page import (
    clean,
    count,
    counted,
    interval,
    percent,
    without_address,
    write_page,
)
from vlsbench.pages._thumbnail import MIME, thumbnail

__all__ = [
    "MIME",
    "clean",
    "count",
    "counted",
    "interval",
    "percent",
    "thumbnail",
    "without_address",
    "write_page",
]
