"""Align: train a vision-language model, textually or with images, over TRL and PEFT."""

from vlsbench.aligning._arguments import method_defaults
from vlsbench.aligning._contamination import Contamination, check_against
from vlsbench.aligning._plan import TrainingPlan, plan_training
from vlsbench.aligning._prepare import Prepared, align, open_training
from vlsbench.aligning._rewards import by_wording, open_reward
from vlsbench.aligning._rows import HARMFUL, RETAIN, SAFE, check_rows
from vlsbench.aligning._run import train
from vlsbench.aligning._settings import (
    AlignConfig,
    Lora,
    Method,
    Progress,
    Reward,
    Row,
    Trained,
    TrainingSettings,
    published,
)

__all__ = [
    "HARMFUL",
    "RETAIN",
    "SAFE",
    "AlignConfig",
    "Contamination",
    "Lora",
    "Method",
    "Prepared",
    "Progress",
    "Reward",
    "Row",
    "Trained",
    "TrainingPlan",
    "TrainingSettings",
    "align",
    "by_wording",
    "check_against",
    "check_rows",
    "method_defaults",
    "open_reward",
    "open_training",
    "plan_training",
    "published",
    "train",
]
