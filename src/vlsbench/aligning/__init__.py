"""Align: train a vision-language model, textually or with images, over TRL and PEFT."""

from vlsbench.aligning._prepare import Contamination as Contamination
from vlsbench.aligning._prepare import Prepared as Prepared
from vlsbench.aligning._prepare import align as align
from vlsbench.aligning._prepare import check_against as check_against
from vlsbench.aligning._prepare import open_training as open_training
from vlsbench.aligning._rewards import by_wording as by_wording
from vlsbench.aligning._rewards import open_reward as open_reward
from vlsbench.aligning._run import TrainingPlan as TrainingPlan
from vlsbench.aligning._run import plan_training as plan_training
from vlsbench.aligning._run import train as train
from vlsbench.aligning._settings import AlignConfig as AlignConfig
from vlsbench.aligning._settings import Lora as Lora
from vlsbench.aligning._settings import Method as Method
from vlsbench.aligning._settings import Progress as Progress
from vlsbench.aligning._settings import Reward as Reward
from vlsbench.aligning._settings import Row as Row
from vlsbench.aligning._settings import Trained as Trained
from vlsbench.aligning._settings import TrainingSettings as TrainingSettings
from vlsbench.aligning._settings import published as published
from vlsbench.aligning.rows import HARMFUL as HARMFUL
from vlsbench.aligning.rows import RETAIN as RETAIN
from vlsbench.aligning.rows import SAFE as SAFE
from vlsbench.aligning.rows import check_rows as check_rows
