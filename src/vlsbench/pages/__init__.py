"""HTML pages and figures for print: templates, charts and thumbnails. Knows no job."""

from vlsbench.pages._figures import COLOURS as COLOURS
from vlsbench.pages._figures import ENDINGS as ENDINGS
from vlsbench.pages._figures import INK as INK
from vlsbench.pages._figures import MIME as MIME
from vlsbench.pages._figures import SIMULATED as SIMULATED
from vlsbench.pages._figures import Bar as Bar
from vlsbench.pages._figures import bars as bars
from vlsbench.pages._figures import drawing as drawing
from vlsbench.pages._figures import embedded as embedded
from vlsbench.pages._figures import label as label
from vlsbench.pages._figures import lacking_figures as lacking_figures
from vlsbench.pages._figures import thumbnail as thumbnail
from vlsbench.pages._page import Cell as Cell
from vlsbench.pages._page import Document as Document
from vlsbench.pages._page import Section as Section
from vlsbench.pages._page import Table as Table
from vlsbench.pages._page import cells as cells
from vlsbench.pages._page import framed as framed
from vlsbench.pages._page import html_templates as html_templates
from vlsbench.pages._page import interval as interval
from vlsbench.pages._page import percent as percent
from vlsbench.pages._page import two as two
from vlsbench.pages._page import within as within
from vlsbench.pages._page import without_address as without_address
from vlsbench.pages._page import write_page as write_page
from vlsbench.text import counted as counted
