"""Report: runs and audits on one page, with figures for print."""

from vlsbench.reporting._figures import draw_taxonomy as draw_taxonomy
from vlsbench.reporting._report import Report as Report
from vlsbench.reporting._report import ReportConfig as ReportConfig
from vlsbench.reporting._report import calibration_sections as calibration_sections
from vlsbench.reporting._report import rates_table as rates_table
from vlsbench.reporting._report import report as report
