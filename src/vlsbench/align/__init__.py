"""Align: train a vision-language model, textually or with pictures, over TRL and PEFT."""

from vlsbench.align._config import make_settings, parse_lora, published, read_config
from vlsbench.align._contamination import Contamination, Match, check_against
from vlsbench.align._plan import Memory, Plan, plan
from vlsbench.align._rewards import by_judge, by_reward_model, by_rules, open_reward
from vlsbench.align._rows import (
    HARMFUL,
    KINDS,
    RETAIN,
    SAFE,
    check_rows,
    digest_rows,
    sort_rows,
)
from vlsbench.align._run import METRICS, RECORD, align, first_process_first
from vlsbench.align._types import (
    Defaults,
    Lora,
    Method,
    Progress,
    Reward,
    Row,
    Settings,
    Trained,
    method_defaults,
)

__all__ = [
    "HARMFUL",
    "KINDS",
    "METRICS",
    "RECORD",
    "RETAIN",
    "SAFE",
    "Contamination",
    "Defaults",
    "Lora",
    "Match",
    "Memory",
    "Method",
    "Plan",
    "Progress",
    "Reward",
    "Row",
    "Settings",
    "Trained",
    "align",
    "by_judge",
    "by_reward_model",
    "by_rules",
    "check_against",
    "check_rows",
    "digest_rows",
    "first_process_first",
    "make_settings",
    "method_defaults",
    "open_reward",
    "parse_lora",
    "plan",
    "published",
    "read_config",
    "sort_rows",
]
