"""Rates with intervals that know which pairs share an image."""

from vlsbench.stats._compared import Area as Area
from vlsbench.stats._compared import auroc as auroc
from vlsbench.stats._compared import holm as holm
from vlsbench.stats._compared import paired_interval as paired_interval
from vlsbench.stats._compared import paired_p as paired_p
from vlsbench.stats._compared import variance_components as variance_components
from vlsbench.stats._intervals import LEVEL as LEVEL
from vlsbench.stats._intervals import Interval as Interval
from vlsbench.stats._intervals import Rate as Rate
from vlsbench.stats._intervals import Z as Z
from vlsbench.stats._intervals import binomial_interval as binomial_interval
from vlsbench.stats._intervals import bounded_interval as bounded_interval
from vlsbench.stats._intervals import clustered_interval as clustered_interval
from vlsbench.stats._intervals import clustered_rate as clustered_rate
from vlsbench.stats._intervals import difference_interval as difference_interval
from vlsbench.stats._intervals import effective_size as effective_size
from vlsbench.stats._intervals import estimate_interval as estimate_interval
from vlsbench.stats._intervals import interval_p as interval_p
from vlsbench.stats._intervals import mean_interval as mean_interval
from vlsbench.stats._intervals import median_interval as median_interval
from vlsbench.stats._intervals import numbered as numbered
from vlsbench.stats._intervals import planned_size as planned_size
from vlsbench.stats._intervals import t_quantile as t_quantile
