"""Data to train on: published sets, and sets of one's own, as rows that the methods take."""

from vlsbench.aligning.data._open import Data, open_data, unpack
from vlsbench.aligning.data._sets import TRAINING_SETS

__all__ = ["TRAINING_SETS", "Data", "TrainingSet", "open_data", "unpack"]
