"""The published training sets, by name."""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.aligning.data._beavertails_v import BEAVERTAILS_V
from vlsbench.aligning.data._rows import TrainingSet
from vlsbench.aligning.data._saferlhf import SAFERLHF
from vlsbench.aligning.data._spa_vl import SPA_VL
from vlsbench.aligning.data._vlguard import VLGUARD_TRAIN

TRAINING_SETS: Mapping[str, TrainingSet] = {
    one.name: one for one in (SAFERLHF, VLGUARD_TRAIN, SPA_VL, BEAVERTAILS_V)
}
