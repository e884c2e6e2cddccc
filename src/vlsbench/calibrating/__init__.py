"""Calibration: people label some replies of a run, and its rates are corrected by that."""

from vlsbench.calibrating._design import PILOT as PILOT
from vlsbench.calibrating._design import Labelled as Labelled
from vlsbench.calibrating._design import next_sizes as next_sizes
from vlsbench.calibrating._design import spread_out as spread_out
