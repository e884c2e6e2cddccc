"""What people look at: one self-contained HTML page a run, a page that compares runs, a card."""

from vlsbench.report._card import (
    bits,
    card_markdown,
    finding,
    league_markdown,
    share,
    write_card,
    write_league,
)
from vlsbench.report._index import write_index
from vlsbench.report._report import write_report
from vlsbench.report._row import ReportRow
from vlsbench.report._thumbnail import thumbnail

__all__ = [
    "ReportRow",
    "bits",
    "card_markdown",
    "finding",
    "league_markdown",
    "share",
    "thumbnail",
    "write_card",
    "write_index",
    "write_league",
    "write_report",
]
