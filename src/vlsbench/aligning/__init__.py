"""Align: train a vision-language model, textually or with images, over TRL and PEFT."""

from vlsbench.aligning._arguments import Defaults, method_defaults
from vlsbench.aligning._contamination import Contamination, Match, check_against
from vlsbench.aligning._plan import Memory, TrainingPlan, plan_training
from vlsbench.aligning._prepare import Prepared, align, open_training
from vlsbench.aligning._rewards import by_judge, by_reward_model, by_wording, open_reward
from vlsbench.aligning._rows import HARMFUL, KINDS, RETAIN, SAFE, check_rows, digest_rows, sort_rows
from vlsbench.aligning._run import METRICS, RECORD, first_process_first, train
from vlsbench.aligning._settings import (
    AlignConfig,
    Lora,
    Method,
    Progress,
    Reward,
    Row,
    Trained,
    TrainingSettings,
    parse_lora,
    published,
)

__all__ = [
    "HARMFUL",
    "KINDS",
    "METRICS",
    "RECORD",
    "RETAIN",
    "SAFE",
    "AlignConfig",
    "Contamination",
    "Defaults",
    "Lora",
    "Match",
    "Memory",
    "Method",
    "Prepared",
    "Progress",
    "Reward",
    "Row",
    "Trained",
    "TrainingPlan",
    "TrainingSettings",
    "align",
    "by_judge",
    "by_reward_model",
    "by_wording",
    "check_against",
    "check_rows",
    "digest_rows",
    "first_process_first",
    "method_defaults",
    "open_reward",
    "open_training",
    "parse_lora",
    "plan_training",
    "published",
    "sort_rows",
    "train",
]
