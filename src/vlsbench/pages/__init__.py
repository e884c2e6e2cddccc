"""HTML pages: templates, charts and thumbnails. Knows no job."""

from vlsbench.pages._page import clean as clean
from vlsbench.pages._page import count as count
from vlsbench.pages._page import framed as framed
from vlsbench.pages._page import interval as interval
from vlsbench.pages._page import moment as moment
from vlsbench.pages._page import percent as percent
from vlsbench.pages._page import write_page as write_page
from vlsbench.pages._thumbnail import MIME as MIME
from vlsbench.pages._thumbnail import thumbnail as thumbnail
from vlsbench.text import counted as counted
