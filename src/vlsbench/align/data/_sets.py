"""The published training sets, by name."""

from __future__ import annotations

from collections.abc import Mapping

from vlsbench.align.data._beavertails_v import BEAVERTAILS_V
from vlsbench.align.data._rows import TrainingSet
from vlsbench.align.data._saferlhf import SAFERLHF
from vlsbench.align.data._spa_vl import SPA_VL
from vlsbench.align.data._vlguard import VLGUARD_TRAIN

TRAINING_SETS: Mapping[str, TrainingSet] = {
    one.name: one for one in (SAFERLHF, VLGUARD_TRAIN, SPA_VL, BEAVERTAILS_V)
}
