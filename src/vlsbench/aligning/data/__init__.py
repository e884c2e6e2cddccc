"""Data to train on: published sets, and sets of one's own, as rows that the methods take."""

from vlsbench.aligning.data._open import Data as Data
from vlsbench.aligning.data._open import open_data as open_data
from vlsbench.aligning.data._open import unpack as unpack
from vlsbench.aligning.data._sets import TRAINING_SETS as TRAINING_SETS
