"""What people look at: one self-contained HTML page a run, and one page that compares runs."""

from vlsbench.report._index import write_index
from vlsbench.report._report import write_report
from vlsbench.report._row import ReportRow
from vlsbench.report._thumbnail import thumbnail

__all__ = ["ReportRow", "thumbnail", "write_index", "write_report"]
