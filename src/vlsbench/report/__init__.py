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
from vlsbench.report._compare import DifferencesTable, difference_tables, write_compared
from vlsbench.report._compare_text import LEGEND, bounds, heading, marks, points, probability, score
from vlsbench.report._index import write_index
from vlsbench.report._report import write_report
from vlsbench.report._row import ReportRow
from vlsbench.report._thumbnail import thumbnail

__all__ = [
    "LEGEND",
    "DifferencesTable",
    "ReportRow",
    "bits",
    "bounds",
    "card_markdown",
    "difference_tables",
    "finding",
    "heading",
    "league_markdown",
    "marks",
    "points",
    "probability",
    "score",
    "share",
    "thumbnail",
    "write_card",
    "write_compared",
    "write_index",
    "write_league",
    "write_report",
]
