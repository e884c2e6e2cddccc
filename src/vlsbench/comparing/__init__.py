"""Runs beside each other: paired differences, abilities, published rows; a page and files."""

from vlsbench.comparing._ability import ABILITIES as ABILITIES
from vlsbench.comparing._ability import read_abilities as read_abilities
from vlsbench.comparing._compare import CompareConfig as CompareConfig
from vlsbench.comparing._compare import compare as compare
from vlsbench.comparing._output import DifferencesTable as DifferencesTable
from vlsbench.comparing._output import bounds as bounds
from vlsbench.comparing._output import difference_tables as difference_tables
from vlsbench.comparing._output import heading as heading
from vlsbench.comparing._output import legend as legend
from vlsbench.comparing._output import marks as marks
from vlsbench.comparing._output import score as score
from vlsbench.comparing._output import write_compared as write_compared
from vlsbench.comparing._paired import corrected as corrected
from vlsbench.comparing._published import published_rows as published_rows
from vlsbench.comparing._table import Column as Column
from vlsbench.comparing._table import Compared as Compared
from vlsbench.comparing._table import Difference as Difference
from vlsbench.comparing._table import Kind as Kind
from vlsbench.comparing._table import Measure as Measure
from vlsbench.comparing._table import Scope as Scope
