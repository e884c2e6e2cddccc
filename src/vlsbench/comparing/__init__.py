"""Runs beside each other: paired differences, abilities, published rows; a page and files."""

from vlsbench.comparing._compare import CompareConfig as CompareConfig
from vlsbench.comparing._compare import compare as compare
from vlsbench.comparing._compare import compare_opened as compare_opened
from vlsbench.comparing._compare import difference_tables as difference_tables
from vlsbench.comparing._compare import draw_compared as draw_compared
from vlsbench.comparing._compare import figures_table as figures_table
from vlsbench.comparing._compare import write_compared as write_compared
from vlsbench.comparing._ranking import LeaderboardConfig as LeaderboardConfig
from vlsbench.comparing._ranking import RankedBy as RankedBy
from vlsbench.comparing._ranking import Ranking as Ranking
from vlsbench.comparing._ranking import rank as rank
from vlsbench.comparing._ranking import ranking_table as ranking_table
from vlsbench.comparing._ranking import write_ranking as write_ranking
from vlsbench.comparing._runs import OpenRun as OpenRun
from vlsbench.comparing._runs import Run as Run
from vlsbench.comparing._runs import named_runs as named_runs
from vlsbench.comparing._runs import open_runs as open_runs
from vlsbench.comparing._scores import published_rows as published_rows
from vlsbench.comparing._table import Compared as Compared
from vlsbench.comparing._table import Difference as Difference
from vlsbench.comparing._table import Kind as Kind
from vlsbench.comparing._table import Scope as Scope
from vlsbench.comparing._table import corrected as corrected
