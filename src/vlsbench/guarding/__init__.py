"""Evaluate a guard model: what it detects, what it alarms at, and what it misses."""

from vlsbench.guarding._figures import SCHEMA as SCHEMA
from vlsbench.guarding._figures import GuardSummary as GuardSummary
from vlsbench.guarding._figures import JointOnly as JointOnly
from vlsbench.guarding._figures import Ways as Ways
from vlsbench.guarding._figures import read_guard as read_guard
from vlsbench.guarding._guard import PAIRS as PAIRS
from vlsbench.guarding._guard import VIEW as VIEW
from vlsbench.guarding._guard import GuardConfig as GuardConfig
from vlsbench.guarding._guard import evaluate_guard as evaluate_guard
from vlsbench.guarding._guard import plan_guard as plan_guard
from vlsbench.guarding._page import guard_sections as guard_sections
